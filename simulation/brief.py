"""What brief answers leave out, for the coverage."""

from collections.abc import Sequence

from simulation.database import Database
from stockbroker.exchange_gateway.v1 import exchange_gateway_service_pb2 as gateway_pb
from stockbroker.execution.v1 import execution_service_pb2 as execution_pb


def left_out(method: str, asked: bytes, found: bytes, gateway: Database) -> Sequence[str]:
    """What the results would say, had they not been left out."""
    if method == "SubmitOrders":
        submitted = gateway_pb.SubmitOrdersResponse.FromString(found)
        orders = gateway_pb.SubmitOrdersRequest.FromString(asked).orders
        return _states([order.trade_id for order in orders], gateway) if submitted.all_taken else ()
    if method == "ApplyReports":
        applied = execution_pb.ApplyReportsResponse.FromString(found)
        reports = execution_pb.ApplyReportsRequest.FromString(asked).reports
        return ["CODE_APPLIED"] * len(reports) if applied.all_applied else ()
    return ()


def _states(trade_ids: Sequence[str], gateway: Database) -> Sequence[str]:
    """As the gateway has just answered: it goes on only when its answer is on the way."""
    stored = gateway.rows(
        "SELECT state FROM venue_order WHERE trade_id = ANY (%s::uuid[])", trade_ids
    )
    return [gateway_pb.OrderState.Name(state) for (state,) in stored]
