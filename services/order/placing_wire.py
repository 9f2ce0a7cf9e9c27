"""The contract's messages about placing, from and to what the rules speak of."""

from libs.reasons import Reason
from libs.refusals import Internal, Refusal
from libs.stamps import set_moment
from services.order.domain.placing import Wanted
from services.order.domain.trade import Trade
from stockbroker.order.v1 import order_service_pb2 as pb


def wanted_from(request: pb.PlaceTradeRequest) -> Wanted:
    """What is asked for, as it was sent."""
    return Wanted(
        client_order_id=request.client_order_id,
        symbol=request.symbol,
        side=request.side,
        quantity=request.quantity,
        order_type=request.order_type,
        limit_price_micros=request.limit_price_micros,
        stop_price_micros=request.stop_price_micros,
        time_in_force=request.time_in_force,
    )


def result_to(outcome: Trade | Exception) -> pb.PlaceTradesResponse.Result:
    """What became of one item of a batch."""
    if isinstance(outcome, Trade):
        placed = pb.PlaceTradesResponse.Placed(
            trade_id=outcome.trade_id,
            client_order_id=outcome.client_order_id,
            seq=outcome.placed_seq,
            reason=Reason.ValueType(outcome.standing.reason),
            reason_text=outcome.standing.reason_text,
        )
        set_moment(placed.created_at, outcome.created_at)
        return pb.PlaceTradesResponse.Result(placed=placed)
    refusal = (
        outcome
        if isinstance(outcome, Refusal)
        else Internal(Reason.REASON_INTERNAL, "internal error")
    )
    refused = pb.PlaceTradesResponse.Refused(
        code=refusal.code.value[0],
        reason=refusal.reason,
        text=refusal.text,
        field=refusal.field,
    )
    if refusal.retry_after_seconds is not None:
        refused.retry_after.FromMilliseconds(int(refusal.retry_after_seconds * 1000))
    return pb.PlaceTradesResponse.Result(refused=refused)
