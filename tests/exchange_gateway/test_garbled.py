"""A report that is garbled on the wire is kept for an operator, and the others are read."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import grpc
import pytest
from google.protobuf.message import DecodeError

from services.exchange_gateway.domain import Kind
from services.exchange_gateway.venues import VenueAway, VenueUnheard
from services.exchange_gateway.venues.garbled import Garbled, read_response, seq_of
from services.exchange_gateway.venues.simulator import SimulatorVenue
from stockbroker.exchange.v1 import exchange_pb2 as market
from stockbroker.exchange.v1 import exchange_service_pb2 as pb

_REPORTS = [
    market.ExecutionReport(seq=seq, client_order_id=f"order-{seq}", symbol=symbol)
    for seq, symbol in ((1, "AAPL"), (2, "WXYZ"), (3, "KO"))
]
_SOUND = pb.SessionResponse(
    reports=pb.SessionResponse.Reports(reports=_REPORTS)
).SerializeToString()
_WITHOUT_NUMBER = b"\x1a\x06\x0a\x04\x32\x02\xff\xfe"
_GARBLED = _SOUND.replace(b"WXYZ", b"\xff\xfe\xfd\xfc")


@asynccontextmanager
async def a_venue_that_says(content: bytes) -> AsyncIterator[SimulatorVenue]:
    """These very bytes, after a logon and of any order."""

    async def session(requests: Any, context: Any) -> AsyncIterator[bytes]:
        await anext(aiter(requests))
        yield pb.SessionResponse(logged_on=pb.SessionResponse.LoggedOn()).SerializeToString()
        yield content

    server = grpc.aio.server()

    async def get_order(request: bytes, context: Any) -> bytes:
        return content

    methods: Any = {
        "Session": grpc.stream_stream_rpc_method_handler(session),
        "GetOrder": grpc.unary_unary_rpc_method_handler(get_order),
    }
    name = "stockbroker.exchange.v1.ExchangeService"
    handlers = grpc.method_handlers_generic_handler(name, methods)
    server.add_generic_rpc_handlers((handlers,))
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    venue = SimulatorVenue(lambda: grpc.aio.insecure_channel(f"127.0.0.1:{port}"), session_id="s")
    yield venue
    await venue.close()
    await server.stop(None)


def test_a_message_without_fault_is_read_as_ever() -> None:
    response = read_response(_SOUND)

    assert isinstance(response, pb.SessionResponse)
    assert list(response.reports.reports) == _REPORTS


def test_of_a_garbled_message_only_the_garbled_report_is_unreadable() -> None:
    response = read_response(_GARBLED)

    assert isinstance(response, Garbled)
    first, second, third = response.reports
    assert [market.ExecutionReport.FromString(raw) for raw in (first, third)] == [
        _REPORTS[0],
        _REPORTS[2],
    ]
    assert seq_of(second) == 2
    with pytest.raises(DecodeError):
        market.ExecutionReport.FromString(second)


@pytest.mark.parametrize("content", [b"\x1a\xff", b"\x0a\x02\xff\xff"])
def test_what_is_no_message_of_reports_cannot_be_read(content: bytes) -> None:
    with pytest.raises(DecodeError):
        read_response(content)


def test_a_report_without_a_number_cannot_be_put_in_sequence() -> None:
    with pytest.raises(DecodeError):
        seq_of(market.ExecutionReport(symbol="KO").SerializeToString())


@pytest.mark.parametrize("content", [b"\x1a\xff", _WITHOUT_NUMBER])
async def test_what_cannot_be_taken_in_is_told_apart_from_a_venue_that_is_away(
    content: bytes,
) -> None:
    async with a_venue_that_says(content) as venue, venue.log_on(1) as stream:
        with pytest.raises(VenueUnheard):
            await anext(stream.hear())


async def test_an_answer_that_cannot_be_read_is_as_good_as_none() -> None:
    async with a_venue_that_says(b"\x12\xff") as venue:
        with pytest.raises(VenueAway):
            await venue.ask("order-1")


@pytest.mark.parametrize(("seconds", "nanos"), [(253_402_300_800, 0), (-(2**63), 0), (1, -1)])
async def test_a_report_of_no_time_makes_no_sense_and_keeps_its_number(
    seconds: int, nanos: int
) -> None:
    said = market.ExecutionReport(
        seq=7, client_order_id="order-7", exec_type=market.ExecutionReport.EXEC_TYPE_TRADE
    )
    said.transact_time.seconds, said.transact_time.nanos = seconds, nanos
    venue = SimulatorVenue(lambda: grpc.aio.insecure_channel("127.0.0.1:1"), session_id="s")

    report = venue.decode(said.SerializeToString())

    await venue.close()
    assert (report.venue_seq, report.kind) == (7, Kind.UNREADABLE)
    assert report.raw == said.SerializeToString()
