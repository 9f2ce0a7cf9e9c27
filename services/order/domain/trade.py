"""A trade: what was asked for, and where it stands."""

from datetime import datetime
from enum import IntEnum

import msgspec

from libs.held import held_id
from services.order.domain.terms import Revision, Terms


class TradeStatus(IntEnum):
    """Where a trade stands."""

    PLACED = 1
    IN_PROGRESS = 2
    PARTIALLY_FILLED = 3
    FILLED = 4
    PENDING_CANCEL = 5
    PENDING_REPLACE = 6
    CANCELED = 7
    REJECTED = 8
    EXPIRED = 9

    @property
    def is_terminal(self) -> bool:
        """A trade never leaves such a status."""
        return self in _TERMINAL

    @property
    def is_pending(self) -> bool:
        """A request is on its way to the exchange."""
        return self in _PENDING


_PENDING = frozenset({TradeStatus.PENDING_CANCEL, TradeStatus.PENDING_REPLACE})
_TERMINAL = frozenset(
    {TradeStatus.FILLED, TradeStatus.CANCELED, TradeStatus.REJECTED, TradeStatus.EXPIRED}
)


class Replace(msgspec.Struct, frozen=True, kw_only=True):
    """Other terms for a trade: as asked for, what the trade had then, and what it comes to.

    `orig_client_order_id` is the trade's when it was asked for, `old_filled_quantity` what was used
    up of it.
    """

    replace_id: str
    client_order_id: str
    orig_client_order_id: str
    asked: Revision
    old: Revision
    old_filled_quantity: int
    new: Revision


class Standing(msgspec.Struct, frozen=True, kw_only=True):
    """What an event may change of a trade.

    `reason` is a number of stockbroker.common.v1.Reason, 0 for none. `in_doubt_since` is set if and
    only if it is in doubt, by the journal. `filled_notional_micros` is the exact sum of price x
    quantity. `replace`: the one on its way to the exchange. `taken_back`: shares that were filled,
    and then busted or corrected away; they count in neither.
    """

    status: TradeStatus = TradeStatus.PLACED
    reason: int = 0
    reason_text: str = ""
    in_doubt: bool = False
    in_doubt_since: datetime | None = None
    filled_quantity: int = 0
    filled_notional_micros: int = 0
    exchange_order_id: str = ""
    executed_at: datetime | None = None
    replace: Replace | None = None
    taken_back: int = 0

    @property
    def traded_quantity(self) -> int:
        """Shares of the order that are used up at the exchange: no bust gives any back to it."""
        return self.filled_quantity + self.taken_back


class AsPlaced(msgspec.Struct, frozen=True):
    """What a replace changed of a trade, as it was at first."""

    client_order_id: str
    revision: Revision


class Trade(msgspec.Struct, frozen=True, kw_only=True):
    """One trade of one customer as it stood right after its event `seq`.

    `as_placed`: once a replace was asked for.
    """

    trade_id: str
    client_order_id: str
    customer_id: str
    terms: Terms
    placed_seq: int
    created_at: datetime
    standing: Standing
    seq: int
    updated_at: datetime
    orig_client_order_id: str = ""
    as_placed: AsPlaced | None = None

    @property
    def status(self) -> TradeStatus:
        """Where it stands."""
        return self.standing.status

    @property
    def needs_turn(self) -> bool:
        """Whether it holds up the customer's next trade: until it has ended, or rests."""
        return not self.status.is_terminal and not self.rests

    @property
    def rests(self) -> bool:
        """Whether it is on the exchange's book, or may be."""
        if not self.terms.may_rest or self.status.is_terminal:
            return False
        return bool(self.standing.exchange_order_id or self.standing.traded_quantity)

    @property
    def is_held_by_house(self) -> bool:
        """Whether it is a stop that the house holds, and that the exchange does not know yet."""
        at_exchange = self.standing.exchange_order_id
        is_held = bool(at_exchange) and at_exchange == held_id(self.trade_id)
        return is_held and not self.status.is_terminal

    @property
    def is_to_be_replaced(self) -> bool:
        """Whether its replace may go to the exchange now: after its order, not over a cancel."""
        return self.status is TradeStatus.PENDING_REPLACE and self.rests


def average_price_micros(filled_quantity: int, filled_notional_micros: int) -> int:
    """The notional per share, rounded half up; 0 before the first fill.

    >>> average_price_micros(2, 3), average_price_micros(3, 4), average_price_micros(0, 0)
    (2, 1, 0)
    """
    if filled_quantity == 0:
        return 0
    return (2 * filled_notional_micros + filled_quantity) // (2 * filled_quantity)
