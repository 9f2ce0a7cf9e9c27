"""What a request to cancel means for a trade."""

from collections.abc import Mapping
from typing import Final

import msgspec
from msgspec.structs import replace

from libs.reasons import Reason
from services.order import refusals
from services.order.domain.outcomes import Step
from services.order.domain.trade import Cause, Trade, TradeEventKind, TradeStatus

REASONS: Final[Mapping[Cause, int]] = {
    Cause.CUSTOMER: Reason.REASON_CANCELED_BY_CUSTOMER,
    Cause.OPERATOR: Reason.REASON_CANCELED_BY_OPERATOR,
}


class Cancellation(msgspec.Struct, frozen=True):
    """Who asks for what to be canceled. `customer_id` empty: an operator, for any customer."""

    trade_id: str
    customer_id: str = ""

    @property
    def cause(self) -> Cause:
        """Who asks."""
        return Cause.CUSTOMER if self.customer_id else Cause.OPERATOR

    def may_name(self, trade: Trade) -> bool:
        """Customers name their own trades, operators all."""
        return not self.customer_id or trade.customer_id == self.customer_id


def cancel(trade: Trade, cause: Cause) -> Step | None:
    """The step that ends it; None: it was canceled on request before.

    Raises Refused when it has ended otherwise, Unimplemented once it is on its way to the exchange.
    """
    standing = trade.standing
    match trade.status:
        case TradeStatus.PLACED:
            ended = replace(standing, status=TradeStatus.CANCELED, reason=REASONS[cause])
            return Step(TradeEventKind.CANCELED, ended, cause)
        case TradeStatus.CANCELED if standing.reason in REASONS.values():
            return None
        case status if status.is_terminal:
            raise refusals.too_late_to_cancel()
    raise refusals.cancel_not_offered()
