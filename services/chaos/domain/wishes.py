"""What customers ask for next: all of it follows from a customer's own randomness and prices."""

import random
from collections.abc import Mapping, Sequence

from services.chaos.domain.history import SCRIPTED, Order, Terms

SYMBOLS = ("AAPL", "MSFT", "KO", "NVDA")
_MOST_SHARES = 9
_BEYOND_MEANS = 9_000_000
_CENT = 10_000
_AGAIN_BELOW, _SCRIPTED_BELOW, _RESTING_BELOW, _BEYOND_ABOVE = 0.05, 0.15, 0.4, 0.95
_AWAY_CENTS = (
    -2,
    0,
    1,
    3,
    8,
    20,
    60,
)  # below the last price for a buy; below 0 it may fill at once


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
            return self._scripted(name)
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
        """Other terms for an order that may rest; 0: kept."""
        terms = Terms(self._shares() if self._rng.random() < 0.7 else 0)
        if self._rng.random() < 0.3 and terms.quantity:
            return terms
        return Terms(terms.quantity, self._price(order.symbol, order.side))

    def _scripted(self, name: str) -> Order:
        return Order(
            client_order_id=name,
            side="BUY",
            symbol=self._rng.choice(tuple(SCRIPTED)),
            quantity=self._shares(),
        )

    def _resting(self, name: str, symbol: str) -> Order:
        """A LIMIT near the market."""
        side = self._rng.choice(("BUY", "SELL"))
        return Order(
            client_order_id=name,
            side=side,
            symbol=symbol,
            quantity=self._shares(),
            order_type="LIMIT",
            limit_price_micros=self._price(symbol, side),
            time_in_force=self._rng.choice(("DAY", "GTC")),
        )

    def _price(self, symbol: str, side: str) -> int:
        """A limit that rests more often than not."""
        cents = self._rng.choice(_AWAY_CENTS)
        return self._prices[symbol] + (-cents if side == "BUY" else cents) * _CENT

    def _shares(self) -> int:
        return self._rng.randint(1, _MOST_SHARES)
