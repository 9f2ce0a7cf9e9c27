"""Wakes whoever looks after the stops that the house holds."""

import asyncio


class Bell:
    """Rung once or often before it is heard, it is heard once."""

    def __init__(self) -> None:
        self._rung = asyncio.Event()
        self._is_new = False

    def ring(self, *, is_new: bool = False) -> None:
        """There is something to do; `is_new`: there may be stops not yet accepted."""
        self._is_new = self._is_new or is_new
        self._rung.set()

    async def heard(self) -> None:
        """Wait until it was rung."""
        await self._rung.wait()
        self._rung.clear()

    def take_new(self) -> bool:
        """Whether there may be new stops; not any more."""
        is_new, self._is_new = self._is_new, False
        return is_new
