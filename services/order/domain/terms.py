"""What a customer asks for, and what a replace may change of it.

Enums bear the numbers of the contract, which are stored as they are. Values are frozen structs of
msgspec: a batch makes hundreds of them, and a frozen dataclass takes ten times as long to make.
"""

from enum import IntEnum

import msgspec


class Side(IntEnum):
    """Which way shares move for the customer."""

    BUY = 1
    SELL = 2


class OrderType(IntEnum):
    """What price the customer accepts."""

    MARKET = 1
    LIMIT = 2
    STOP = 3
    STOP_LIMIT = 4


class TimeInForce(IntEnum):
    """How long an order may wait for a fill."""

    DAY = 1
    GTC = 2
    IOC = 3
    FOK = 4


_LASTING = frozenset({TimeInForce.DAY, TimeInForce.GTC})


class Terms(msgspec.Struct, frozen=True, kw_only=True):
    """What the customer asked for. Prices in micros per share; 0 where the type has none."""

    symbol: str
    side: Side
    quantity: int
    order_type: OrderType = OrderType.MARKET
    limit_price_micros: int = 0
    stop_price_micros: int = 0
    time_in_force: TimeInForce = TimeInForce.DAY

    @property
    def may_rest(self) -> bool:
        """Whether the exchange may keep it on its book."""
        return self.order_type is not OrderType.MARKET and self.time_in_force in _LASTING

    @property
    def revision(self) -> "Revision":
        """What a replace may change of them."""
        return Revision(self.quantity, self.limit_price_micros, self.stop_price_micros)

    def revised(self, revision: "Revision") -> "Terms":
        """The same terms but for these."""
        return msgspec.structs.replace(
            self,
            quantity=revision.quantity,
            limit_price_micros=revision.limit_price_micros,
            stop_price_micros=revision.stop_price_micros,
        )


class Revision(msgspec.Struct, frozen=True):
    """Whole shares in all and micros per share; 0: none, or as asked for by a customer: kept."""

    quantity: int
    limit_price_micros: int
    stop_price_micros: int
