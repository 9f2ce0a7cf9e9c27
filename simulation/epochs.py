"""Who leads a partition no more claims nothing, and hands the gateway nothing on (I7).

Written without the services' rules, as all of the invariants.
"""

from collections.abc import Collection, Mapping
from typing import Any

from simulation.database import Database
from simulation.world import Violation
from stockbroker.exchange_gateway.v1 import exchange_gateway_service_pb2 as gateway_pb
from stockbroker.order.v1 import order_execution_service_pb2 as order_pb

_CLAIMED = ("trades", "cancels", "replaces")
# What is asked for and how it is answered, by method; the field of its items, and of their ids.
_HANDED_ON: Mapping[str, tuple[Any, Any, str, str]] = {
    "SubmitOrders": (
        gateway_pb.SubmitOrdersRequest,
        gateway_pb.SubmitOrdersResponse,
        "orders",
        "trade_id",
    ),
    "CancelOrders": (
        gateway_pb.CancelOrdersRequest,
        gateway_pb.CancelOrdersResponse,
        "cancels",
        "trade_id",
    ),
    "ReplaceOrders": (
        gateway_pb.ReplaceOrdersRequest,
        gateway_pb.ReplaceOrdersResponse,
        "replaces",
        "replace_id",
    ),
}


def under_old_epochs(
    method: str, asked: bytes, order: Database, gateway: Database
) -> Collection[object]:
    """Of a claim the partitions whose epoch is over, of what is handed on the ids under such."""
    if method == "ClaimTrades":
        epochs = dict(order.rows("SELECT partition, epoch FROM execution_partition"))
        grants = [claim.grant for claim in order_pb.ClaimTradesRequest.FromString(asked).claims]
        return {g.partition for g in grants if epochs[g.partition] > g.epoch}
    if method in _HANDED_ON:
        request, _, items, id_of = _HANDED_ON[method]
        seen = dict(gateway.rows("SELECT partition, epoch FROM partition_epoch"))
        given = getattr(request.FromString(asked), items)
        return {getattr(x, id_of) for x in given if seen.get(x.partition, 0) > x.epoch}
    return ()


def check_epochs(method: str, old: Collection[object], found: bytes) -> None:
    """None of these may have been taken. Raises Violation."""
    if method == "ClaimTrades":
        claims = order_pb.ClaimTradesResponse.FromString(found)
        taken = {each.partition for field in _CLAIMED for each in getattr(claims, field)}
        _must(not taken & set(old), f"claimed under an epoch that is over: {taken & set(old)}")
    elif method in _HANDED_ON and old:
        _, response, _, id_of = _HANDED_ON[method]
        answer = response.FromString(found)
        refused = {getattr(result, id_of) for result in answer.results if result.reason}
        _must(refused >= set(old), f"{method} took {set(old) - refused} under an old epoch")


def _must(holds: object, words: str) -> None:
    if not holds:
        raise Violation(f"I7: {words}")
