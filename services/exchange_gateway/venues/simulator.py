"""The exchange in the box, by stockbroker.exchange.v1."""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Any

import grpc
import structlog

from libs.rpc.status import metadata_of
from services.exchange_gateway.domain import Command, Instrument, Order, Report
from services.exchange_gateway.domain.comparison import Theirs
from services.exchange_gateway.domain.numbers import Numbers
from services.exchange_gateway.domain.replaces import Replace
from services.exchange_gateway.venues import (
    CommandsKept,
    LoggedOn,
    ReportsHeard,
    VenueAway,
    VenueOutOfStep,
    VenueUnheard,
)
from services.exchange_gateway.venues import simulator_wire as wire
from services.exchange_gateway.venues.answering import answer_of as _answer
from services.exchange_gateway.venues.answering import words_of as _words
from services.exchange_gateway.venues.garbled import Garbled, read_response
from services.exchange_gateway.venues.market import MarketReader, MarketWatcher
from stockbroker.exchange.v1 import exchange_service_pb2 as pb
from stockbroker.exchange.v1.exchange_service_pb2_grpc import ExchangeServiceStub

_Call = grpc.aio.StreamStreamCall[pb.SessionRequest, pb.SessionResponse | Garbled]
_log = structlog.get_logger()
_TOO_LARGE = "message larger than max"  # gRPC's own words
_SESSION = "/stockbroker.exchange.v1.ExchangeService/Session"


class SimulatorVenue(MarketReader):
    """Speaks ExchangeService under the name `session_id`, over channels that `dial` opens.

    Each logon dials anew: a connection that is dead on one side only is left behind by it.
    """

    def __init__(
        self,
        dial: Callable[[], grpc.aio.Channel],
        *,
        session_id: str,
        answer_seconds: float = 5.0,
    ) -> None:
        self._dial = dial
        self._channel = dial()
        self._exchange: Any = ExchangeServiceStub(self._channel)
        self._session_id = session_id
        self._answer_seconds = answer_seconds

    async def close(self) -> None:
        """Hang up."""
        await self._channel.close()

    @property
    def takes_stops(self) -> bool:
        """It does."""
        return True

    def encode(self, order: Order, seq: int) -> bytes:
        """A Command with the order."""
        return wire.order_to(order, seq)

    def encode_cancel(self, trade_id: str, seq: int) -> bytes:
        """A Command to cancel the order."""
        return wire.cancel_to(trade_id, seq)

    def encode_replace(self, replace: Replace, seq: int) -> bytes:
        """A Command to give the order other terms."""
        return wire.replace_to(replace, seq)

    def encode_nothing(self, seq: int) -> bytes:
        """A Command that holds nothing but its number."""
        return wire.nothing_to(seq)

    def decode(self, raw: bytes) -> Report:
        """A report from its stored bytes."""
        return wire.stored(raw)

    def write(self, report: Report) -> bytes:
        """An ExecutionReport without a number of the session."""
        return wire.report_to(report)

    @asynccontextmanager
    async def watch_market(self) -> AsyncIterator[MarketWatcher]:
        """A channel for the market alone."""
        channel = self._dial()
        try:
            stub = ExchangeServiceStub(channel)
            yield MarketWatcher(stub, answer_seconds=self._answer_seconds)
        finally:
            await channel.close()

    @asynccontextmanager
    async def log_on(self, next_report_seq: int) -> AsyncIterator["SimulatorStream"]:
        """A session stream, logged on."""
        older, self._channel = self._channel, self._dial()
        self._exchange = ExchangeServiceStub(self._channel)
        await older.close()
        session: Any = self._channel.stream_stream(
            _SESSION,
            request_serializer=pb.SessionRequest.SerializeToString,
            response_deserializer=read_response,
        )
        call: _Call = session()
        try:
            yield await self._greet(call, next_report_seq)
        except grpc.aio.AioRpcError as error:
            raise VenueAway(_words(error)) from error
        finally:
            call.cancel()

    async def ask(self, trade_id: str) -> Sequence[Report] | None:
        """GetOrder."""
        request = pb.GetOrderRequest(client_order_id=trade_id)
        answer = await _answer(self._exchange.GetOrder(request, timeout=self._answer_seconds))
        return [wire.report_from(report) for report in answer.reports] if answer.is_known else None

    async def find_orders(self, trade_ids: Sequence[str]) -> dict[str, Theirs | None]:
        """ListOrders of named orders."""
        answer = await self._list_orders(pb.ListOrdersRequest(client_order_ids=trade_ids))
        return {
            o.client_order_id: wire.theirs_from(o) if o.is_known else None for o in answer.orders
        }

    async def list_orders(self, since: int, after: str) -> tuple[Sequence[Theirs], str]:
        """ListOrders of those open or told of lately."""
        request = pb.ListOrdersRequest(since_report_seq=since, after_client_order_id=after)
        answer = await self._list_orders(request)
        return [
            wire.theirs_from(order) for order in answer.orders
        ], answer.next_after_client_order_id

    async def _list_orders(self, request: pb.ListOrdersRequest) -> pb.ListOrdersResponse:
        request.session_id = self._session_id
        call = self._exchange.ListOrders(request, timeout=self._answer_seconds)
        answer: pb.ListOrdersResponse = await _answer(call)
        return answer

    async def list_instruments(self) -> list[Instrument]:
        """ListInstruments."""
        request = pb.ListInstrumentsRequest()
        call = self._exchange.ListInstruments(request, timeout=self._answer_seconds)
        answer = await _answer(call)
        return [Instrument(i.symbol, i.name, not i.is_halted) for i in answer.instruments]

    async def _greet(self, call: _Call, next_report_seq: int) -> "SimulatorStream":
        logon = pb.SessionRequest.Logon(
            session_id=self._session_id, next_report_seq=next_report_seq
        )
        try:
            async with asyncio.timeout(self._answer_seconds):
                await _write(call, pb.SessionRequest(logon=logon))
                answer = await _read(call)
        except TimeoutError:
            raise VenueAway("no answer to the logon") from None
        if isinstance(answer, Garbled) or not answer.HasField("logged_on"):
            raise VenueAway("the logon was answered by something else")
        said = answer.logged_on
        return SimulatorStream(
            call, LoggedOn(said.venue, said.next_command_seq, said.next_report_seq)
        )


class SimulatorStream:
    """One logged-on stream."""

    def __init__(self, call: _Call, logged_on: LoggedOn) -> None:
        self._call = call
        self._logged_on = logged_on
        self._pen = asyncio.Lock()  # a gRPC stream takes one write at a time

    @property
    def logged_on(self) -> LoggedOn:
        """What the exchange said at logon."""
        return self._logged_on

    async def send(self, commands: Sequence[Command]) -> None:
        """Send commands in one message."""
        request = pb.SessionRequest()
        add = request.commands.commands.add
        for command in commands:
            add().MergeFromString(command.raw)
        await self._write(request)

    async def acknowledge(self, venue_seq: int) -> None:
        """Acknowledge every report up to this one."""
        acknowledge = pb.SessionRequest.Acknowledge(report_seq=venue_seq)
        await self._write(pb.SessionRequest(acknowledge=acknowledge))

    async def hear(self) -> AsyncIterator[CommandsKept | ReportsHeard]:
        """What the exchange says, until it hangs up."""
        while True:
            response = await _read(self._call)
            if isinstance(response, Garbled):
                _log.error("reports_garbled", reports=len(response.reports))
                yield ReportsHeard([wire.sequenced(raw) for raw in response.reports])
            elif response.HasField("reports"):
                yield ReportsHeard(
                    [wire.report_from(report) for report in response.reports.reports]
                )
            elif response.HasField("commands_kept"):
                yield CommandsKept(response.commands_kept.command_seq)

    async def _write(self, request: pb.SessionRequest) -> None:
        async with self._pen:
            await _write(self._call, request)


async def _write(call: _Call, request: pb.SessionRequest) -> None:
    try:
        await call.write(request)
    except grpc.aio.AioRpcError as error:
        raise VenueAway(_words(error)) from error
    except asyncio.InvalidStateError as error:
        raise VenueAway("the stream is closed") from error


async def _read(call: _Call) -> pb.SessionResponse | Garbled:
    try:
        response = await call.read()
    except grpc.aio.AioRpcError as error:
        raise _failure(error) from error
    if response is None:  # so gRPC gives what it could not decode
        raise VenueUnheard("a message of the exchange cannot be read")
    if not isinstance(response, pb.SessionResponse | Garbled):
        raise VenueAway("the exchange ended the session")
    return response


def _failure(error: grpc.aio.AioRpcError) -> VenueAway:
    """What the end of a stream means."""
    if error.code() == grpc.StatusCode.RESOURCE_EXHAUSTED and _TOO_LARGE in (error.details() or ""):
        return VenueUnheard(f"a message of the exchange is too large: {error.details()}")
    stands = metadata_of(error) if error.code() == grpc.StatusCode.FAILED_PRECONDITION else {}
    if not {"next_command_seq", "next_report_seq"} <= stands.keys():
        return VenueAway(_words(error))
    theirs = Numbers(int(stands["next_command_seq"]), int(stands["next_report_seq"]))
    return VenueOutOfStep(theirs, _words(error))
