"""Contract <-> domain, for replaces."""

from services.execution.domain.replacing import Adjustment, ClaimedReplace, ReplaceTerms, Shape
from services.execution.domain.trade import OrderType, Side
from services.execution.wire import trade_of
from stockbroker.common.v1 import terms_pb2 as terms_pb
from stockbroker.common.v1.reason_pb2 import Reason
from stockbroker.exchange_gateway.v1 import exchange_gateway_service_pb2 as gateway_pb
from stockbroker.ledger.v1 import ledger_service_pb2 as ledger_pb
from stockbroker.order.v1 import order_execution_service_pb2 as order_pb


def claimed_replace_from(claimed: order_pb.ClaimedReplace) -> ClaimedReplace:
    """A trade to be replaced, and how."""
    return ClaimedReplace(trade_of(claimed, attempts=1), terms_from(claimed.terms))


def terms_from(message: order_pb.ReplaceTerms) -> ReplaceTerms:
    """What a replace asks for, and what it replaces."""
    return ReplaceTerms(
        replace_id=message.replace_id,
        trade_id=message.trade_id,
        side=Side(message.side),
        symbol=message.symbol,
        order_type=OrderType(message.order_type),
        old=Shape(
            message.old_quantity, message.old_limit_price_micros, message.old_stop_price_micros
        ),
        old_filled_quantity=message.old_filled_quantity,
        new=Shape(message.quantity, message.limit_price_micros, message.stop_price_micros),
    )


def replace_to(replace: ClaimedReplace) -> gateway_pb.Replace:
    """A replace for the exchange."""
    trade, terms = replace.trade, replace.terms
    return gateway_pb.Replace(
        replace_id=terms.replace_id,
        trade_id=trade.trade_id,
        customer_id=trade.customer_id,
        partition=trade.partition,
        epoch=trade.epoch,
        symbol=trade.symbol,
        side=terms_pb.Side.ValueType(trade.side),
        quantity=terms.new.quantity,
        limit_price_micros=terms.new.limit_price_micros,
        stop_price_micros=terms.new.stop_price_micros,
        max_notional_micros=terms.max_notional_micros,
    )


def adjustment_to(adjustment: Adjustment) -> ledger_pb.HoldAdjustment:
    """A change of what is held."""
    return ledger_pb.HoldAdjustment(
        adjustment_id=adjustment.adjustment_id,
        hold_id=adjustment.hold_id,
        amount=adjustment.amount,
    )


def refusal_to(terms: ReplaceTerms, reason: int) -> order_pb.Outcome:
    """The house does not replace the trade."""
    outcome = order_pb.Outcome(trade_id=terms.trade_id)
    outcome.replace_rejected.replace_id = terms.replace_id
    outcome.replace_rejected.reason = Reason.ValueType(reason)
    outcome.replace_rejected.cause = "house"
    return outcome
