"""The other participants of AAPL: the book they begin with, and what they do."""

from collections.abc import AsyncIterator, Iterable

from stockbroker.exchange.v1 import exchange_control_service_pb2 as pb
from tests.exchange_simulator.member import Exchange

DOLLAR = 1_000_000


def resting(order_id: int, dollars: int, quantity: int, *, is_bid: bool = False) -> pb.RestingOrder:
    return pb.RestingOrder(
        order_id=order_id, is_bid=is_bid, quantity=quantity, price_micros=dollars * DOLLAR
    )


def step(kind: pb.TapeCommand.Kind.ValueType, order: pb.RestingOrder) -> pb.TapeCommand:
    return pb.TapeCommand(kind=kind, order=order)


async def load(exchange: Exchange, *orders: pb.RestingOrder) -> int:
    request = pb.LoadBookRequest(symbol="AAPL", orders=orders)
    return (await exchange.control.LoadBook(request, metadata=exchange.operator)).orders


async def play(exchange: Exchange, requests: Iterable[pb.PlayTapeRequest]) -> pb.PlayTapeResponse:
    async def stream() -> AsyncIterator[pb.PlayTapeRequest]:
        for request in requests:
            yield request

    return await exchange.control.PlayTape(stream(), metadata=exchange.operator)


async def do(exchange: Exchange, *commands: pb.TapeCommand) -> pb.PlayTapeResponse:
    """Other participants do this at once."""
    return await play(exchange, [pb.PlayTapeRequest(symbol="AAPL", commands=commands)])


async def phase(exchange: Exchange, phase: pb.SetPhaseRequest.Phase.ValueType) -> bool:
    """Open or close the exchange; whether it is open then."""
    request = pb.SetPhaseRequest(phase=phase)
    return (await exchange.control.SetPhase(request, metadata=exchange.operator)).is_open
