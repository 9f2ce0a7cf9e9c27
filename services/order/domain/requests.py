"""What the exchange is asked for beside orders: a cancel or a replace of a trade, one of each."""

from collections.abc import Iterable

import msgspec

from services.order.domain.trade import Trade, TradeStatus


class Request(msgspec.Struct, frozen=True):
    """A cancel, or a replace, that is not answered yet."""

    customer_id: str
    trade_id: str
    is_replace: bool


def requests_of(trades: Iterable[Trade]) -> frozenset[Request]:
    """What of these trades is on its way to the exchange. What has ended asks for nothing."""
    found = set()
    for trade in trades:
        if trade.status is TradeStatus.PENDING_CANCEL:
            found.add(Request(trade.customer_id, trade.trade_id, is_replace=False))
        if trade.standing.replace is not None:
            found.add(Request(trade.customer_id, trade.trade_id, is_replace=True))
    return frozenset(found)
