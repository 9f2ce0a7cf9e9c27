"""The trading floor: the markets of all listed symbols. Pure; one writer at a time."""

import random
from collections.abc import Iterable
from datetime import datetime

from services.exchange_simulator.bands import Rule
from services.exchange_simulator.domain import Ending, Instrument, RejectReason
from services.exchange_simulator.maker import Maker
from services.exchange_simulator.market import Market, TapeCommand
from services.exchange_simulator.matching import Event


class Floor:
    """Markets by symbol. Orders run between `begin` and `commit` or `rollback`."""

    def __init__(
        self,
        instruments: Iterable[Instrument],
        *,
        seed: int,
        opened_at: datetime,
        rule: Rule | None = None,
    ) -> None:
        self.markets = {
            instrument.symbol: Market(instrument, rule)
            for instrument in sorted(instruments, key=lambda instrument: instrument.symbol)
        }
        self._seed = seed
        self._random = random.Random(seed)
        self._last_id = 0
        self._in_progress: dict[str, Market] = {}
        self._now = opened_at
        for symbol, market in self.markets.items():
            self.reset(symbol)
            market.quote, market.updated_at = market.look(), opened_at

    def begin(self, now: datetime) -> None:
        """All from here on can be undone; it is `now` until the next time."""
        self._now, self._in_progress = now, {}

    def touch(self, symbol: str) -> Market:
        """A listed market that is about to change."""
        market = self.markets[symbol]
        if symbol not in self._in_progress:
            self._in_progress[symbol] = market
            market.begin(self._now)
        return market

    def follow(self) -> list[Event]:
        """The makers of the markets that were touched quote again; what comes of it."""
        touched = [market for market in self._in_progress.values() if not market.is_stopped]
        return [event for market in touched for event in market.follow()]

    def commit(self) -> list[str]:
        """It stands. The symbols that were touched."""
        touched, self._in_progress = self._in_progress, {}
        for market in touched.values():
            market.commit()
        return list(touched)

    def rollback(self) -> None:
        """It never was."""
        touched, self._in_progress = self._in_progress, {}
        for market in touched.values():
            market.rollback()

    def objection(self, symbol: str, *, is_open: bool) -> Ending | None:
        """Why no order may trade there now; None: it may."""
        if symbol not in self.markets:
            return Ending(RejectReason.UNKNOWN_SYMBOL, f"{symbol[:16]} is not listed")
        if not is_open:
            return Ending(RejectReason.MARKET_CLOSED, "the exchange is closed")
        if self.touch(symbol).is_stopped:
            return Ending(RejectReason.HALTED, f"trading in {symbol} is halted")
        return None

    def resumable(self, now: datetime) -> list[str]:
        """The symbols whose pause has come to its end."""
        return [s for s, market in self.markets.items() if market.guard.is_over(now)]

    def forget(self) -> None:
        """End every pause: the time is another one."""
        for market in self.markets.values():
            market.guard.forget()

    def load(self, symbol: str, orders: Iterable[TapeCommand]) -> int:
        """Load a book; see Market.load."""
        return self.markets[symbol].load(orders)

    def reset(self, symbol: str) -> int:
        """Give a book to its maker, as at the start; how many orders rest."""
        market = self.markets[symbol]
        return market.reset(Maker(market.instrument, seed=self._seed, next_id=self._next_id))

    def keep(self, symbol: str) -> None:
        """Have a market for it also when it is listed no more: its orders work on, halted."""
        if symbol not in self.markets:
            gone = Instrument(symbol, "Listed no more", 10_00, 2, 1_000, is_calm=True)
            self.markets[symbol] = market = Market(gone)
            market.is_halted = True

    def movable(self) -> str | None:
        """A symbol, drawn anew, whose maker may move it; None: there is none."""
        movable = [s for s, market in self.markets.items() if market.is_movable]
        return self._random.choice(movable) if movable else None

    def _next_id(self) -> int:
        self._last_id -= 1
        return self._last_id
