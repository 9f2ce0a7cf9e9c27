"""A member of the exchange, an operator and a reader, as they are on the wire."""

import asyncio
import itertools
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from types import TracebackType
from typing import Any

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc

from stockbroker.exchange.v1 import exchange_control_service_pb2 as control_pb
from stockbroker.exchange.v1 import exchange_control_service_pb2_grpc as control_grpc
from stockbroker.exchange.v1 import exchange_pb2 as pb
from stockbroker.exchange.v1 import exchange_service_pb2 as service_pb
from stockbroker.exchange.v1 import exchange_service_pb2_grpc as service_grpc
from tests.support.keys import Keys, bearer
from tests.support.wait import until

_numbers = itertools.count(1)

NEW = pb.ExecutionReport.EXEC_TYPE_NEW
TRADE = pb.ExecutionReport.EXEC_TYPE_TRADE
REJECTED = pb.ExecutionReport.EXEC_TYPE_REJECTED
CANCELED = pb.ExecutionReport.EXEC_TYPE_CANCELED
EXPIRED = pb.ExecutionReport.EXEC_TYPE_EXPIRED
CANCEL_REJECTED = pb.ExecutionReport.EXEC_TYPE_CANCEL_REJECTED
REPLACED = pb.ExecutionReport.EXEC_TYPE_REPLACED
REPLACE_REJECTED = pb.ExecutionReport.EXEC_TYPE_REPLACE_REJECTED
TRIGGERED = pb.ExecutionReport.EXEC_TYPE_TRIGGERED
ENDINGS = (REJECTED, CANCELED, EXPIRED)

Command = pb.NewOrder | pb.CancelOrder | pb.ReplaceOrder


def an_order(**terms: Any) -> pb.NewOrder:
    """A MARKET BUY of 10 AAPL for the day, but for `terms`."""
    usual: dict[str, Any] = {
        "client_order_id": f"order-{next(_numbers)}",
        "symbol": "AAPL",
        "side": pb.SIDE_BUY,
        "quantity": 10,
        "order_type": pb.ORDER_TYPE_MARKET,
        "time_in_force": pb.TIME_IN_FORCE_DAY,
    }
    return pb.NewOrder(**usual | terms)


def a_limit(price_micros: int, **terms: Any) -> pb.NewOrder:
    """A LIMIT BUY of 10 AAPL for the day, but for `terms`."""
    return an_order(order_type=pb.ORDER_TYPE_LIMIT, limit_price_micros=price_micros, **terms)


def a_cancel(order: pb.NewOrder) -> pb.CancelOrder:
    """The request that the rest of an order be canceled."""
    return pb.CancelOrder(client_order_id=order.client_order_id)


def a_replace(
    order: pb.NewOrder, quantity: int, *, limit: int = 0, stop: int = 0, max_notional: int = 0
) -> pb.ReplaceOrder:
    """The request that an order have other terms."""
    return pb.ReplaceOrder(
        client_order_id=order.client_order_id,
        quantity=quantity,
        limit_price_micros=limit,
        stop_price_micros=stop,
        max_notional_micros=max_notional,
    )


def is_over(report: pb.ExecutionReport) -> bool:
    """Whether an order has ended with this report."""
    return report.exec_type in ENDINGS or (
        report.exec_type == TRADE and report.leaves_quantity == 0
    )


class Member:
    """One connection of a session. Commands are numbered; what comes back is collected."""

    def __init__(
        self, stub: "service_grpc.ExchangeServiceAsyncStub", token: str, session_id: str
    ) -> None:
        self._outbox: asyncio.Queue[service_pb.SessionRequest | None] = asyncio.Queue()
        self._call = stub.Session(self._requests(), metadata=bearer(token))
        self._session_id = session_id
        self._reader: asyncio.Task[None] | None = None
        self.logged_on: service_pb.SessionResponse.LoggedOn | None = None
        self.next_command_seq = 1
        self.kept_seq = 0
        self.reports: list[pb.ExecutionReport] = []
        self.error: grpc.aio.AioRpcError | None = None

    async def log_on(self, next_report_seq: int = 1) -> None:
        """Say what is missing; wait for the answer, or for the end."""
        logon = service_pb.SessionRequest.Logon(
            session_id=self._session_id, next_report_seq=next_report_seq
        )
        self._outbox.put_nowait(service_pb.SessionRequest(logon=logon))
        self._reader = asyncio.create_task(self._read())
        await until(lambda: self.logged_on is not None or self.is_ended)
        if self.logged_on is not None:
            self.next_command_seq = self.logged_on.next_command_seq

    @property
    def is_ended(self) -> bool:
        """Whether the stream is over."""
        return self._reader is not None and self._reader.done()

    def send(self, *commands: Command, first_seq: int | None = None) -> None:
        """Send commands in one message, numbered on from the last, or from `first_seq`."""
        if first_seq is not None:
            self.next_command_seq = first_seq
        numbered = []
        for command in commands:
            numbered.append(_numbered(self.next_command_seq, command))
            self.next_command_seq += 1
        message = service_pb.SessionRequest.Commands(commands=numbered)
        self._outbox.put_nowait(service_pb.SessionRequest(commands=message))

    async def ask(self, command: pb.CancelOrder | pb.ReplaceOrder) -> pb.ExecutionReport:
        """Send a cancel or a replace and wait for its answer."""
        seq = self.next_command_seq
        self.send(command)
        await until(lambda: self.answers(seq), what=str(command))
        (answer,) = self.answers(seq)
        return answer

    def answers(self, command_seq: int) -> list[pb.ExecutionReport]:
        """What answers a command so far."""
        return [report for report in self.reports if report.command_seq == command_seq]

    async def rest(self, order: pb.NewOrder) -> None:
        """Send an order and wait until it is taken."""
        self.send(order)
        await self.said(order, NEW)

    async def said(
        self, order: pb.NewOrder, *kinds: pb.ExecutionReport.ExecType.ValueType
    ) -> list[pb.ExecutionReport]:
        """Wait for reports of an order to be these, no more and no less; the reports."""
        await until(lambda: len(self.reports_of(order)) >= len(kinds), what=str(order))
        reports = self.reports_of(order)
        assert [r.exec_type for r in reports] == list(kinds), reports
        return reports

    def acknowledge(self, report_seq: int) -> None:
        """Say that reports up to this one are stored."""
        message = service_pb.SessionRequest.Acknowledge(report_seq=report_seq)
        self._outbox.put_nowait(service_pb.SessionRequest(acknowledge=message))

    def put(self, request: service_pb.SessionRequest) -> None:
        """Send anything at all."""
        self._outbox.put_nowait(request)

    async def trade(self, order: pb.NewOrder) -> list[pb.ExecutionReport]:
        """Send an order and wait for its end; its reports."""
        self.send(order)
        return await self.ended(order)

    async def ended(self, order: pb.NewOrder) -> list[pb.ExecutionReport]:
        """Wait for an order's end; its reports."""
        await until(lambda: any(map(is_over, self.reports_of(order))), what=str(order))
        return self.reports_of(order)

    def reports_of(self, order: pb.NewOrder) -> list[pb.ExecutionReport]:
        """Reports of an order so far."""
        return [r for r in self.reports if r.client_order_id == order.client_order_id]

    async def code_at_end(self) -> grpc.StatusCode:
        """Wait for the stream to end, and how it did."""
        await until(lambda: self.is_ended)
        return self.error.code() if self.error else grpc.StatusCode.OK

    async def hang_up(self) -> None:
        """Break the connection off."""
        self._call.cancel()
        await until(lambda: self.is_ended)

    async def leave(self) -> None:
        """Say no more and hear the exchange out."""
        self._outbox.put_nowait(None)
        await until(lambda: self.is_ended)

    async def _requests(self) -> AsyncIterator[service_pb.SessionRequest]:
        while (request := await self._outbox.get()) is not None:
            yield request

    async def _read(self) -> None:
        try:
            async for response in self._call:
                self._hear(response)
        except grpc.aio.AioRpcError as error:
            self.error = error
        except asyncio.CancelledError:
            if not self._call.cancelled():
                raise

    def _hear(self, response: service_pb.SessionResponse) -> None:
        kind = response.WhichOneof("message")
        if kind == "logged_on":
            self.logged_on = response.logged_on
        elif kind == "commands_kept":
            self.kept_seq = response.commands_kept.command_seq
        else:
            self.reports.extend(response.reports.reports)


def _numbered(seq: int, command: Command) -> service_pb.SessionRequest.Command:
    if isinstance(command, pb.NewOrder):
        return service_pb.SessionRequest.Command(seq=seq, new_order=command)
    if isinstance(command, pb.CancelOrder):
        return service_pb.SessionRequest.Command(seq=seq, cancel_order=command)
    return service_pb.SessionRequest.Command(seq=seq, replace_order=command)


class Exchange:
    """A channel to a running exchange for everybody."""

    def __init__(self, address: str, keys: Keys) -> None:
        self.address = address
        self.keys = keys
        self.channel = grpc.aio.insecure_channel(address)
        self.service = service_grpc.ExchangeServiceStub(self.channel)
        self.control = control_grpc.ExchangeControlServiceStub(self.channel)
        self._health: Any = health_pb2_grpc.HealthStub(self.channel)  # its types name no methods
        self.operator = bearer(keys.operator())
        self.reader = bearer(keys.service("exchange_gateway"))

    async def __aenter__(self) -> "Exchange":
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.channel.close()

    async def is_ready(self) -> bool:
        """Whether it says that it is serving."""
        request = health_pb2.HealthCheckRequest()
        response = await self._health.Check(request, timeout=30)
        return bool(response.status == health_pb2.HealthCheckResponse.SERVING)

    async def ready(self) -> None:
        """Wait until it is."""
        await until(self.is_ready)

    @asynccontextmanager
    async def member(
        self, session_id: str = "gateway", next_report_seq: int = 1
    ) -> AsyncIterator[Member]:
        """A member that is logged on, until it hangs up."""
        token = self.keys.service("exchange_gateway")
        member = Member(self.service, token, session_id)
        await member.log_on(next_report_seq)
        try:
            yield member
        finally:
            await member.hang_up()

    async def reports_of(self, order: pb.NewOrder) -> list[pb.ExecutionReport] | None:
        """What the exchange knows of an order; None: nothing."""
        request = service_pb.GetOrderRequest(client_order_id=order.client_order_id)
        response = await self.service.GetOrder(request, metadata=self.reader)
        return list(response.reports) if response.is_known else None

    async def standings(self, *orders: pb.NewOrder) -> list[service_pb.OrderStanding]:
        """How orders stand."""
        request = service_pb.ListOrdersRequest(
            client_order_ids=[order.client_order_id for order in orders]
        )
        response = await self.service.ListOrders(request, metadata=self.reader)
        return list(response.orders)

    async def halt(self, symbol: str, *, is_halted: bool) -> None:
        """Halt or resume trading, as an operator."""
        request = control_pb.SetHaltRequest(symbol=symbol, is_halted=is_halted)
        await self.control.SetHalt(request, metadata=self.operator)

    async def levels(self, symbol: str) -> tuple[list[tuple[int, int]], list[tuple[int, int]]]:
        """Bids and asks as (price, quantity), best first."""
        request = service_pb.GetBookRequest(symbol=symbol, depth=1000)
        book = await self.service.GetBook(request, metadata=self.reader)
        return _pairs(book.bids), _pairs(book.asks)


def _pairs(levels: Iterable[pb.PriceLevel]) -> list[tuple[int, int]]:
    return [(level.price_micros, level.quantity) for level in levels]
