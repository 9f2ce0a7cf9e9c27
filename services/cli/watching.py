"""A customer's events as they happen, over however many connections it takes."""

from collections.abc import Iterator

from services.cli.neighbours import Door, follow, remaining
from services.cli.screen import note
from stockbroker.order.v1 import order_service_pb2 as pb
from stockbroker.order.v1.order_service_pb2_grpc import OrderServiceStub


def watch_trades(
    door: Door, after_seq: int, *, deadline: float | None = None
) -> Iterator[pb.WatchTradesResponse]:
    """Every event after `after_seq`, once and in order, and heartbeats.

    Ends at `deadline` (monotonic seconds). Raises Failure when the house refuses.
    """
    stub = OrderServiceStub(door.channel)
    seen_seq = after_seq

    def open_stream() -> Iterator[pb.WatchTradesResponse]:
        nonlocal seen_seq
        request = pb.WatchTradesRequest(after_seq=seen_seq)
        stream = stub.WatchTrades(request, timeout=remaining(deadline), metadata=door.metadata())
        for response in stream:
            if response.HasField("event"):
                seen_seq = response.event.seq
            yield response

    def say_cut_off(why: str) -> None:
        note(f"the stream was cut off ({why}); going on after event {seen_seq}")

    yield from follow(door, open_stream, deadline=deadline, on_cut_off=say_cut_off)
