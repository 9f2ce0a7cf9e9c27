"""The end of a numbered journal, and how far somebody has come in one."""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from itertools import islice
from typing import Generic, Protocol, TypeVar


class Numbered(Protocol):
    """Something with a number in a journal."""

    @property
    def seq(self) -> int:
        """1, 2, 3, ... without gap."""


Entry = TypeVar("Entry", bound=Numbered)


class Watermark:
    """A number that only rises, and that can be waited for."""

    def __init__(self, value: int) -> None:
        self.value = value
        self._risen = asyncio.Event()

    def raise_to(self, value: int) -> None:
        """Rise to `value`; a lower one changes nothing."""
        if value > self.value:
            self.value = value
            self._risen.set()
            self._risen = asyncio.Event()

    async def beyond(self, value: int) -> int:
        """The number, once it is greater than `value`."""
        while self.value <= value:
            await self._risen.wait()
        return self.value


class Tail(Generic[Entry]):
    """Follows a journal that is stored: the newest entries from memory, older ones by `load`.

    `load(start, end)` reads the entries numbered start <= seq < end, all of which are stored.
    One reader at a time; what it has read is forgotten here, and loaded should it start over.
    """

    def __init__(
        self,
        load: Callable[[int, int], Awaitable[Sequence[Entry]]],
        *,
        head: int,
        keep: int = 10_000,
    ) -> None:
        self._load = load
        self._head = Watermark(head)
        self._keep = keep
        self._newest: deque[Entry] = deque()

    @property
    def head(self) -> int:
        """The number the next new entry will get."""
        return self._head.value

    def announce(self, head: int, entries: Sequence[Entry] = ()) -> None:
        """Everything before `head` is stored; `entries` are the last of it, as far as at hand."""
        if not entries or entries[0].seq != self._head.value:
            self._newest.clear()
        self._newest.extend(entries)
        while len(self._newest) > self._keep:
            self._newest.popleft()
        self._head.raise_to(head)

    async def reaches(self, head: int) -> None:
        """Wait until everything before `head` is there."""
        await self._head.beyond(head - 1)

    async def read(self, start: int, most: int) -> Sequence[Entry]:
        """At least one and at most `most` entries from number `start` on; waits for the first."""
        head = await self._head.beyond(start)
        while self._newest and self._newest[0].seq < start:
            self._newest.popleft()
        if self._newest and self._newest[0].seq == start:
            return list(islice(self._newest, most))
        return await self._load(start, min(head, start + most))
