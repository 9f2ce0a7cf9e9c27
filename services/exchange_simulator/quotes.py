"""Who watches quotes. Each has a set of symbols that changed, so that a slow one skips ahead.

A range is the lowest and the highest price of some trades; None: nothing traded.
"""

import asyncio
from collections.abc import AsyncIterator, Iterable

Range = tuple[int, int] | None


def both(one: Range, other: Range) -> Range:
    """The range of all of these trades.

    >>> both((5, 7), (6, 9)), both(None, (6, 9)), both(None, None)
    ((5, 9), (6, 9), None)
    """
    if one is None or other is None:
        return one or other
    return min(one[0], other[0]), max(one[1], other[1])


class Watcher:
    """One reader of some symbols' quotes."""

    def __init__(self, symbols: frozenset[str]) -> None:
        self._symbols = symbols
        self._changed: dict[str, Range] = dict.fromkeys(sorted(symbols))
        self._is_ended = False
        self._wake = asyncio.Event()
        self._wake.set()

    def touch(self, symbol: str, traded: Range) -> None:
        """This symbol has a new quote, after such trades."""
        if symbol in self._symbols:
            self._changed[symbol] = both(self._changed.get(symbol), traded)
            self._wake.set()

    def end(self) -> None:
        """Nothing more will be told."""
        self._is_ended = True
        self._wake.set()

    async def changes(self) -> AsyncIterator[tuple[str, Range]]:
        """Symbols whose quote is to be told, all of them first, until the end.

        With each what traded since it was told last.
        """
        while not self._is_ended:
            await self._wake.wait()
            self._wake.clear()
            changed, self._changed = self._changed, {}
            for symbol, traded in changed.items():
                yield symbol, traded


class Board:
    """Tells watchers what changed."""

    def __init__(self) -> None:
        self._watchers: set[Watcher] = set()

    def watch(self, symbols: Iterable[str]) -> Watcher:
        """A new watcher; `leave` it."""
        watcher = Watcher(frozenset(symbols))
        self._watchers.add(watcher)
        return watcher

    def leave(self, watcher: Watcher) -> None:
        """Watch no more."""
        self._watchers.discard(watcher)

    def close(self) -> None:
        """End every watcher."""
        for watcher in self._watchers:
            watcher.end()

    def touch(self, symbol: str, traded: Range) -> None:
        """A quote changed, after such trades."""
        for watcher in self._watchers:
            watcher.touch(symbol, traded)
