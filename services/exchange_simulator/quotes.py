"""Who watches quotes. Each has a set of symbols that changed, so that a slow one skips ahead."""

import asyncio
from collections.abc import AsyncIterator, Iterable


class Watcher:
    """One reader of some symbols' quotes."""

    def __init__(self, symbols: frozenset[str]) -> None:
        self._symbols = symbols
        self._changed = dict.fromkeys(sorted(symbols))
        self._is_ended = False
        self._wake = asyncio.Event()
        self._wake.set()

    def touch(self, symbol: str) -> None:
        """This symbol has a new quote."""
        if symbol in self._symbols:
            self._changed[symbol] = None
            self._wake.set()

    def end(self) -> None:
        """Nothing more will be told."""
        self._is_ended = True
        self._wake.set()

    async def changes(self) -> AsyncIterator[str]:
        """Symbols whose quote is to be told, all of them first, until the end."""
        while not self._is_ended:
            await self._wake.wait()
            self._wake.clear()
            changed, self._changed = self._changed, {}
            for symbol in changed:
                yield symbol


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

    def touch(self, symbol: str) -> None:
        """A quote changed."""
        for watcher in self._watchers:
            watcher.touch(symbol)
