"""What the house itself says of a trade, for the order service."""

from services.execution.domain.trade import Held, Trade
from stockbroker.common.v1.reason_pb2 import Reason
from stockbroker.exchange_gateway.v1 import exchange_gateway_service_pb2 as gateway_pb
from stockbroker.order.v1 import order_execution_service_pb2 as order_pb

_HOUSE_WORDS = {
    Reason.REASON_INSUFFICIENT_FUNDS: "the available cash does not cover the trade",
    Reason.REASON_INSUFFICIENT_SHARES: "there are not that many available shares",
    Reason.REASON_ACCOUNT_NOT_OPEN: "an account of the trade is frozen or closed",
}


def rejection_to(trade: Trade, held: Held) -> order_pb.Outcome:
    """The house refuses the trade."""
    outcome = order_pb.Outcome(trade_id=trade.trade_id)
    reason = Reason.ValueType(held.reason)
    outcome.rejected.reason = reason
    outcome.rejected.reason_text = _HOUSE_WORDS.get(reason, "the house's books do not allow it")
    outcome.rejected.cause = "house"
    return outcome


def end_by_operator_to(trade_id: str) -> order_pb.Outcome:
    """An operator ends a trade that was never sent."""
    outcome = order_pb.Outcome(trade_id=trade_id)
    outcome.rejected.reason = Reason.REASON_CANCELED_BY_OPERATOR
    outcome.rejected.reason_text = "the house could not execute it and ended it"
    outcome.rejected.cause = "operator"
    return outcome


def acceptance_to(order: gateway_pb.OrderStatus) -> order_pb.Outcome:
    """The exchange has the order."""
    outcome = order_pb.Outcome(trade_id=order.trade_id)
    outcome.accepted.exchange_order_id = order.exchange_order_id
    return outcome


def cancellation_to(trade: Trade) -> order_pb.Outcome:
    """The trade has ended before it was sent; who asked for that the order service knows."""
    outcome = order_pb.Outcome(trade_id=trade.trade_id)
    outcome.canceled.reason = Reason.REASON_CANCELED_BY_CUSTOMER
    return outcome


def expiry_to(trade_id: str) -> order_pb.Outcome:
    """The day of a DAY order was over before it was sent."""
    outcome = order_pb.Outcome(trade_id=trade_id)
    outcome.canceled.reason = Reason.REASON_EXPIRED
    outcome.canceled.reason_text = "the day was over before it could be sent to the exchange"
    outcome.canceled.expired = True
    outcome.canceled.cause = "house"
    return outcome


def doubt_to(trade_id: str, reason_text: str) -> order_pb.Outcome:
    """The order was sent and nobody says what became of it."""
    outcome = order_pb.Outcome(trade_id=trade_id)
    outcome.in_doubt.reason_text = reason_text
    return outcome
