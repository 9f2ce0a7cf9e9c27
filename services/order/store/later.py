"""Rows that were asked for and not looked at yet, so that more can be asked in the same flight."""

from collections.abc import Awaitable, Callable
from typing import Any, Generic, Protocol, TypeVar

Found = TypeVar("Found")
Other = TypeVar("Other")
Rows = list[tuple[Any, ...]]


class _Cursor(Protocol):
    def fetchall(self) -> Awaitable[Rows]: ...


class Later(Generic[Found]):
    """What the rows of a cursor come to."""

    def __init__(self, cursor: _Cursor, made_of: Callable[[Rows], Found]) -> None:
        self._cursor = cursor
        self._made_of = made_of

    async def read(self) -> Found:
        """Waits for the rows, if they are not here yet."""
        return self._made_of(await self._cursor.fetchall())

    def then(self, made_of: "Callable[[Found], Other]") -> "Later[Other]":
        """What that comes to in turn."""
        return Later(self._cursor, lambda rows: made_of(self._made_of(rows)))
