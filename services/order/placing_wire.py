"""The contract's messages about placing, from and to what the rules speak of."""

from collections.abc import Iterable

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


def results_to(outcomes: Iterable[Trade | Exception]) -> pb.PlaceTradesResponse:
    """What became of each item of a batch, in order. Made in place: nothing is copied."""
    response = pb.PlaceTradesResponse()
    for outcome in outcomes:
        result = response.results.add()
        if isinstance(outcome, Trade):
            _tell_placed(result.placed, outcome)
        else:
            _tell_refused(result.refused, outcome)
    return response


def _tell_placed(placed: pb.PlaceTradesResponse.Placed, trade: Trade) -> None:
    placed.trade_id = trade.trade_id
    placed.client_order_id = trade.client_order_id
    placed.seq = trade.placed_seq
    set_moment(placed.created_at, trade.created_at)
    if trade.standing.reason:
        placed.reason = Reason.ValueType(trade.standing.reason)
        placed.reason_text = trade.standing.reason_text


def _tell_refused(refused: pb.PlaceTradesResponse.Refused, error: Exception) -> None:
    refusal = (
        error if isinstance(error, Refusal) else Internal(Reason.REASON_INTERNAL, "internal error")
    )
    refused.code = refusal.code.value[0]
    refused.reason = refusal.reason
    refused.text = refusal.text
    refused.field = refusal.field
    if refusal.retry_after_seconds is not None:
        refused.retry_after.FromMilliseconds(int(refusal.retry_after_seconds * 1000))
