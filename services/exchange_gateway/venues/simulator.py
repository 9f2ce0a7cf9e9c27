"""The exchange in the box, by stockbroker.exchange.v1."""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Any

import grpc
import msgspec
import structlog
from google.protobuf.message import DecodeError

from libs.rpc.status import metadata_of
from libs.stamps import nanos_of
from services.exchange_gateway.domain import Command, Instrument, Kind, Order, Reason, Report
from services.exchange_gateway.domain.comparison import Theirs
from services.exchange_gateway.domain.numbers import Numbers
from services.exchange_gateway.domain.replaces import Replace, Revision
from services.exchange_gateway.venues import (
    CommandsKept,
    LoggedOn,
    ReportsHeard,
    VenueAway,
    VenueOutOfStep,
)
from services.exchange_gateway.venues.answering import answer_of as _answer
from services.exchange_gateway.venues.answering import words_of as _words
from services.exchange_gateway.venues.garbled import Garbled, read_response, seq_of
from services.exchange_gateway.venues.market import MarketReader, MarketWatcher
from stockbroker.exchange.v1 import exchange_pb2 as market
from stockbroker.exchange.v1 import exchange_service_pb2 as pb
from stockbroker.exchange.v1.exchange_service_pb2_grpc import ExchangeServiceStub

_KINDS = {
    market.ExecutionReport.EXEC_TYPE_NEW: Kind.ACCEPTED,
    market.ExecutionReport.EXEC_TYPE_TRADE: Kind.FILLED,
    market.ExecutionReport.EXEC_TYPE_REJECTED: Kind.REJECTED,
    market.ExecutionReport.EXEC_TYPE_CANCELED: Kind.CANCELED,
    market.ExecutionReport.EXEC_TYPE_EXPIRED: Kind.EXPIRED,
    market.ExecutionReport.EXEC_TYPE_CANCEL_REJECTED: Kind.CANCEL_REJECTED,
    market.ExecutionReport.EXEC_TYPE_REPLACED: Kind.REPLACED,
    market.ExecutionReport.EXEC_TYPE_REPLACE_REJECTED: Kind.REPLACE_REJECTED,
    market.ExecutionReport.EXEC_TYPE_TRADE_CANCEL: Kind.BUSTED,
    market.ExecutionReport.EXEC_TYPE_TRADE_CORRECT: Kind.CORRECTED,
    # Says once more that the exchange has the order.
    market.ExecutionReport.EXEC_TYPE_TRIGGERED: Kind.ACCEPTED,
}
_EXEC_TYPES = {kind: exec_type for exec_type, kind in reversed(_KINDS.items())}
_REASONS = {
    market.REJECT_REASON_UNSPECIFIED: None,
    market.REJECT_REASON_UNKNOWN_SYMBOL: Reason.UNKNOWN_SYMBOL,
    market.REJECT_REASON_MARKET_CLOSED: Reason.MARKET_CLOSED,
    market.REJECT_REASON_HALTED: Reason.SYMBOL_HALTED,
    market.REJECT_REASON_NO_LIQUIDITY: Reason.NO_LIQUIDITY,
    market.REJECT_REASON_MAX_NOTIONAL: Reason.INSUFFICIENT_FUNDS,
    market.REJECT_REASON_EXPIRED: Reason.EXPIRED,
    market.REJECT_REASON_TOO_LATE: Reason.TOO_LATE_TO_CANCEL,
    # By whose wish the member does not say, and the house knows.
    market.REJECT_REASON_CANCELED_BY_MEMBER: Reason.CANCELED_BY_CUSTOMER,
}
_ENDS = (Kind.REJECTED, Kind.CANCELED, Kind.EXPIRED)
_WITHOUT_REASON = frozenset((Kind.ACCEPTED, Kind.FILLED))

_Call = grpc.aio.StreamStreamCall[pb.SessionRequest, pb.SessionResponse | Garbled]
_log = structlog.get_logger()
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
        """A Command with the order. Sides, types and times in force have the same numbers."""
        terms = order.terms
        new_order = market.NewOrder(
            client_order_id=order.trade_id,
            symbol=terms.symbol,
            side=market.Side.ValueType(terms.side),
            quantity=terms.quantity,
            order_type=market.OrderType.ValueType(terms.order_type),
            limit_price_micros=terms.limit_price_micros,
            stop_price_micros=terms.stop_price_micros,
            time_in_force=market.TimeInForce.ValueType(terms.time_in_force),
            max_notional_micros=terms.max_notional_micros,
        )
        return pb.SessionRequest.Command(seq=seq, new_order=new_order).SerializeToString()

    def encode_cancel(self, trade_id: str, seq: int) -> bytes:
        """A Command to cancel the order."""
        cancel = market.CancelOrder(client_order_id=trade_id)
        return pb.SessionRequest.Command(seq=seq, cancel_order=cancel).SerializeToString()

    def encode_replace(self, replace: Replace, seq: int) -> bytes:
        """A Command to give the order other terms."""
        terms = market.ReplaceOrder(
            client_order_id=replace.trade_id,
            quantity=replace.revision.quantity,
            limit_price_micros=replace.revision.limit_price_micros,
            stop_price_micros=replace.revision.stop_price_micros,
            max_notional_micros=replace.revision.max_notional_micros,
        )
        return pb.SessionRequest.Command(seq=seq, replace_order=terms).SerializeToString()

    def encode_nothing(self, seq: int) -> bytes:
        """A Command that holds nothing but its number."""
        return pb.SessionRequest.Command(seq=seq).SerializeToString()

    def decode(self, raw: bytes) -> Report:
        """A report from its stored bytes."""
        try:
            return _report(market.ExecutionReport.FromString(raw), raw)
        except DecodeError:
            return _unreadable(raw)

    def write(self, report: Report) -> bytes:
        """An ExecutionReport without a number of the session."""
        said = market.ExecutionReport(
            client_order_id=report.trade_id,
            exchange_order_id=report.exchange_order_id,
            exec_type=_EXEC_TYPES[report.kind],
            exec_id=report.execution_id,
            symbol=report.symbol,
            side=market.Side.ValueType(report.side),
            last_quantity=report.quantity,
            last_price_micros=report.price_micros,
            leaves_quantity=report.leaves_quantity,
            reject_reason=_reject_reason(report.reason),
            reason_text=report.reason_text,
            command_seq=report.command_seq,
        )
        if report.revision is not None:
            said.quantity = report.revision.quantity
            said.limit_price_micros = report.revision.limit_price_micros
            said.stop_price_micros = report.revision.stop_price_micros
            said.max_notional_micros = report.revision.max_notional_micros
        said.transact_time.FromNanoseconds(report.executed_at_nanos)
        return said.SerializeToString()

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
        return [_report(report) for report in answer.reports] if answer.is_known else None

    async def find_orders(self, trade_ids: Sequence[str]) -> dict[str, Theirs | None]:
        """ListOrders of named orders."""
        answer = await self._list_orders(pb.ListOrdersRequest(client_order_ids=trade_ids))
        return {o.client_order_id: _theirs(o) if o.is_known else None for o in answer.orders}

    async def list_orders(self, since: int, after: str) -> tuple[Sequence[Theirs], str]:
        """ListOrders of those open or told of lately."""
        request = pb.ListOrdersRequest(since_report_seq=since, after_client_order_id=after)
        answer = await self._list_orders(request)
        return [_theirs(order) for order in answer.orders], answer.next_after_client_order_id

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
        parsed = [pb.SessionRequest.Command.FromString(command.raw) for command in commands]
        await self._write(pb.SessionRequest(commands=pb.SessionRequest.Commands(commands=parsed)))

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
                yield ReportsHeard([_decoded(raw) for raw in response.reports])
            elif response.HasField("reports"):
                yield ReportsHeard([_report(report) for report in response.reports.reports])
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
    if not isinstance(response, pb.SessionResponse | Garbled):
        raise VenueAway("the exchange ended the session")
    return response


def _decoded(raw: bytes) -> Report:
    """A report of a garbled message. Raises VenueAway when it cannot be put in sequence."""
    try:
        return _report(market.ExecutionReport.FromString(raw))
    except DecodeError:
        pass
    try:
        return msgspec.structs.replace(_unreadable(raw), venue_seq=seq_of(raw))
    except DecodeError as error:
        raise VenueAway("the exchange sends reports that cannot be put in sequence") from error


def _unreadable(raw: bytes) -> Report:
    return msgspec.structs.replace(_report(market.ExecutionReport()), raw=raw)


def _report(said: market.ExecutionReport, raw: bytes | None = None) -> Report:
    """A report; `raw`: its bytes, where they are at hand. One of no time makes no sense."""
    kind = _KINDS.get(said.exec_type, Kind.UNREADABLE)
    try:
        executed_at_nanos = nanos_of(said.transact_time)
    except ValueError:
        kind, executed_at_nanos = Kind.UNREADABLE, 0
    return Report(
        said.seq,
        said.client_order_id,
        kind,
        said.symbol,
        said.side,
        said.exchange_order_id,
        said.exec_id,
        said.last_quantity,
        said.last_price_micros,
        said.leaves_quantity,
        executed_at_nanos,
        None if kind in _WITHOUT_REASON else _reason(said.reject_reason, kind),
        said.reason_text,
        said.SerializeToString() if raw is None else raw,
        said.command_seq,
        _revision(said) if kind == Kind.REPLACED else None,
        said.exec_ref_id,
    )


def _revision(said: market.ExecutionReport) -> Revision:
    return Revision(
        said.quantity,
        said.limit_price_micros,
        said.stop_price_micros,
        said.max_notional_micros,
    )


def _reason(said: market.RejectReason.ValueType, kind: Kind) -> Reason | None:
    """The house's word for the exchange's reason; None: there is none."""
    reason = _REASONS.get(said, Reason.EXCHANGE_REJECTED)
    if reason is None and kind in _ENDS:
        return Reason.EXPIRED if kind == Kind.EXPIRED else Reason.EXCHANGE_REJECTED
    if kind == Kind.REPLACE_REJECTED and reason is Reason.TOO_LATE_TO_CANCEL:
        return Reason.TOO_LATE_TO_REPLACE
    return reason


def _theirs(order: pb.OrderStanding) -> Theirs:
    return Theirs(
        order.client_order_id,
        order.symbol,
        order.side,
        order.quantity,
        order.cumulative_quantity,
        order.is_open,
        order.last_report_seq,
        order.limit_price_micros,
        order.stop_price_micros,
    )


def _reject_reason(reason: Reason | None) -> market.RejectReason.ValueType:
    """The exchange's word for a reason; OTHER where it has none."""
    said = (theirs for theirs, ours in _REASONS.items() if ours == reason)
    return market.RejectReason.ValueType(next(said, market.REJECT_REASON_OTHER))


def _failure(error: grpc.aio.AioRpcError) -> VenueAway:
    """What the end of a stream means."""
    stands = metadata_of(error) if error.code() == grpc.StatusCode.FAILED_PRECONDITION else {}
    if not {"next_command_seq", "next_report_seq"} <= stands.keys():
        return VenueAway(_words(error))
    theirs = Numbers(int(stands["next_command_seq"]), int(stands["next_report_seq"]))
    return VenueOutOfStep(theirs, _words(error))
