"""What customers ask for next: all of it follows from a customer's own randomness and prices."""

import random
from collections.abc import Mapping, Sequence
from dataclasses import replace

from services.chaos.domain.history import SILENT, STOPS, Order, Terms

SYMBOLS = ("AAPL", "MSFT", "KO", "NVDA")
# By the exchange's scripts: over at once; at rest for a while; held up for seconds.
_PROMPT = (
    *("TEST.FILL", "TEST.PARTS", "TEST.HALF"),
    *("TEST.EXPIRE", "TEST.REJECT", "TEST.HALTED"),
)
_LASTING = ("TEST.STEPS", "TEST.REST")
_SLOW = ("TEST.STEPS", "TEST.SLOW", SILENT, SILENT)
_LASTING_LIMIT_MICROS = 10_010_000
_MOST_SHARES = 9
_BEYOND_MEANS = 9_000_000
_CENT = 10_000
_AGAIN_BELOW, _SCRIPTED_BELOW, _LASTING_BELOW, _RESTING_BELOW = 0.05, 0.15, 0.18, 0.43
_BEYOND_ABOVE = 0.95
# Below the last price for a buy; below 0 it may fill at once.
_AWAY_CENTS = (-2, 0, 1, 3, 8, 20, 60)
# Above the last price for a buy; below 0 it is met at once.
_STOP_CENTS = (-2, 1, 2, 4, 10, 60)
_SLACK_CENTS = (0, 5, 20)


class Wishes:
    """Of one customer. `prices`: micros a share of late, by symbol; they change meanwhile."""

    def __init__(self, rng: random.Random, prices: Mapping[str, int]) -> None:
        self._rng = rng
        self._prices = prices

    def next_order(self, before: Sequence[Order]) -> Order:
        """Now and then an old one again, one with a scripted end, or one beyond all means."""
        luck = self._rng.random()
        name = f"o-{len(before)}"
        if before and luck < _AGAIN_BELOW:
            return self._rng.choice(before)
        if luck < _SCRIPTED_BELOW:
            return self._market(name, self._rng.choice(_PROMPT))
        if luck < _LASTING_BELOW:
            return self._lasting(name)
        symbol = self._rng.choice(SYMBOLS)
        if luck < _RESTING_BELOW and symbol in self._prices:
            return self._resting(name, symbol)
        return Order(
            client_order_id=name,
            side=self._rng.choice(("BUY", "SELL")),
            symbol=symbol,
            quantity=_BEYOND_MEANS if luck > _BEYOND_ABOVE else self._shares(),
        )

    def next_terms(self, order: Order) -> Terms:
        """Other terms for an order that may rest; 0: kept. Some change nothing."""
        other = self._priced(order)
        return Terms(
            self._shares() if self._rng.random() < 0.6 else 0,
            other.limit_price_micros if self._rng.random() < 0.6 else 0,
            other.stop_price_micros if self._rng.random() < 0.6 else 0,
        )

    def next_slow_order(self, before: Sequence[Order]) -> Order:
        """One that takes seconds, or is never answered; every other one waits behind such a one."""
        symbols = SYMBOLS if len(before) % 2 else _SLOW
        return self._market(f"o-{len(before)}", self._rng.choice(symbols))

    def _market(self, name: str, symbol: str) -> Order:
        return Order(client_order_id=name, side="BUY", symbol=symbol, quantity=self._shares())

    def _lasting(self, name: str) -> Order:
        """One that works for seconds, or until it is canceled."""
        return Order(
            client_order_id=name,
            side="BUY",
            symbol=self._rng.choice(_LASTING),
            quantity=self._shares(),
            order_type="LIMIT",
            limit_price_micros=_LASTING_LIMIT_MICROS,
            time_in_force="GTC",
        )

    def _resting(self, name: str, symbol: str) -> Order:
        """A LIMIT or a stop near the market."""
        order = Order(
            client_order_id=name,
            side=self._rng.choice(("BUY", "SELL")),
            symbol=symbol,
            quantity=self._shares(),
            order_type=self._rng.choice(("LIMIT", "LIMIT", "STOP", "STOP_LIMIT")),
            time_in_force=self._rng.choice(("DAY", "GTC")),
        )
        return self._priced(order)

    def _priced(self, order: Order) -> Order:
        """With prices by the last one: a limit rests, and a stop waits, more often than not."""
        up = _CENT if order.side == "BUY" else -_CENT
        last, is_stop = self._prices[order.symbol], order.order_type in STOPS
        stop = last + up * self._rng.choice(_STOP_CENTS)
        limit = last - up * self._rng.choice(_AWAY_CENTS)
        if is_stop:
            limit = stop + up * self._rng.choice(_SLACK_CENTS)
        return replace(
            order,
            limit_price_micros=0 if order.order_type == "STOP" else limit,
            stop_price_micros=stop if is_stop else 0,
        )

    def _shares(self) -> int:
        return self._rng.randint(1, _MOST_SHARES)
