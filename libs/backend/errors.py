"""How a trade ends that was not placed: it is known not to be, or it is not known."""

import grpc

from libs.backend.stream import Ended
from libs.refusals import PREFIX
from stockbroker.common.v1.reason_pb2 import Reason
from stockbroker.order.v1 import order_service_pb2 as pb

_CODES = {code.value[0]: code for code in grpc.StatusCode}
_UNKNOWN = {Reason.REASON_UNAVAILABLE, Reason.REASON_INTERNAL}  # whether it is recorded


class NotPlaced(Exception):
    """Nothing is recorded of this trade, nor will be by this call; as PlaceTrade would have ended.

    `reason` is stable, for example UNKNOWN_SYMBOL, and the number of one that this client does not
    know; `text` says it in words; `field` is the one at fault, or empty.
    `retry_after_seconds`: when it may be let in, where the house is too busy for it; else 0.
    """

    def __init__(
        self,
        code: grpc.StatusCode,
        reason: str,
        text: str,
        *,
        field: str = "",
        retry_after_seconds: float = 0.0,
    ) -> None:
        super().__init__(f"{reason}: {text}")
        self.code = code
        self.reason = reason
        self.text = text
        self.field = field
        self.retry_after_seconds = retry_after_seconds


class Passing(NotPlaced):
    """Not yet: asked again it may be."""


class Unknown(Passing):
    """It may have been, by an attempt that was not answered."""


class InDoubt(Exception):
    """Not known whether the trade is recorded.

    Place it again with the same `client_order_id`: what is recorded is told, and nothing is
    recorded twice.
    """

    def __init__(self, customer_id: str, client_order_id: str) -> None:
        super().__init__(
            f"not known whether {customer_id}'s trade {client_order_id} is recorded: place it again"
        )
        self.customer_id = customer_id
        self.client_order_id = client_order_id


def of_result(result: pb.PlaceTradesResponse.Result) -> pb.PlaceTradesResponse.Placed | NotPlaced:
    """What became of one item."""
    if result.HasField("placed"):
        return result.placed
    if not result.HasField("refused"):
        return of_end(Ended())
    refused = result.refused
    kind: type[NotPlaced] = NotPlaced
    if refused.reason in _UNKNOWN:
        kind = Unknown
    elif refused.reason == Reason.REASON_OVERLOADED:
        kind = Passing
    return kind(
        _CODES.get(refused.code, grpc.StatusCode.UNKNOWN),
        _name(refused.reason),
        refused.text,
        field=refused.field,
        retry_after_seconds=refused.retry_after.ToMilliseconds() / 1e3,
    )


def of_end(end: Ended) -> NotPlaced:
    """What became of a batch that has no answer."""
    kind: type[NotPlaced] = Unknown
    if end.was_not_read:
        # A token that was good and is over is replaced.
        is_worn = end.was_answered and end.code is grpc.StatusCode.UNAUTHENTICATED
        kind = Passing if is_worn else NotPlaced
    return kind(end.code, end.reason, end.text, retry_after_seconds=end.retry_after_seconds)


def not_sent(why: str) -> NotPlaced:
    """What became of a trade that did not leave this client."""
    code = grpc.StatusCode.UNAVAILABLE
    return NotPlaced(code, code.name, why)


def out_of_reach() -> Passing:
    """What became of a trade when there was no connection to send it over."""
    code = grpc.StatusCode.UNAVAILABLE
    return Passing(code, code.name, "there is no connection to the house")


def of_size(most: int) -> NotPlaced:
    """What became of a trade of more bytes than any can have."""
    text = f"a trade is at most {most:,} bytes"
    return NotPlaced(grpc.StatusCode.INVALID_ARGUMENT, "INVALID_REQUEST", text)


def _name(reason: Reason.ValueType) -> str:
    """As it is known by; the number of one that is newer than this client."""
    known = Reason.DESCRIPTOR.values_by_number.get(reason)
    return known.name.removeprefix(PREFIX) if known else str(reason)
