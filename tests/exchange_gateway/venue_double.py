"""A venue by the contract, with a memory that a test can read and faults that a test can set."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Callable, Sequence
from typing import Any

import grpc

from libs.refusals import Refused
from libs.rpc.status import to_status
from stockbroker.common.v1.reason_pb2 import Reason
from stockbroker.exchange.v1 import exchange_pb2 as market
from stockbroker.exchange.v1 import exchange_service_pb2 as pb
from stockbroker.exchange.v1.exchange_service_pb2_grpc import (
    ExchangeServiceServicer,
    add_ExchangeServiceServicer_to_server,
)

Report = market.ExecutionReport
Answer = Callable[[market.NewOrder], Sequence[Report]]
PRICE = 100_000_000


def accept(order: market.NewOrder) -> Report:
    """The order is taken."""
    return _about(order, Report.EXEC_TYPE_NEW, leaves_quantity=order.quantity)


def fill(order: market.NewOrder, quantity: int = 0, *, so_far: int = 0) -> Report:
    """A fill of `quantity` shares (0: all), after `so_far` before."""
    quantity = quantity or order.quantity
    return _about(
        order,
        Report.EXEC_TYPE_TRADE,
        last_quantity=quantity,
        last_price_micros=PRICE,
        cumulative_quantity=so_far + quantity,
        leaves_quantity=max(0, order.quantity - so_far - quantity),
    )


def reject(order: market.NewOrder, reason: int, text: str = "") -> Report:
    """The order is refused."""
    return _about(order, Report.EXEC_TYPE_REJECTED, reject_reason=reason, reason_text=text)


def replaced(order: market.NewOrder, command_seq: int, *, so_far: int = 0) -> Report:
    """The order has these terms now."""
    return _about(
        order,
        Report.EXEC_TYPE_REPLACED,
        command_seq=command_seq,
        quantity=order.quantity,
        limit_price_micros=order.limit_price_micros,
        stop_price_micros=order.stop_price_micros,
        max_notional_micros=order.max_notional_micros,
        cumulative_quantity=so_far,
        leaves_quantity=max(0, order.quantity - so_far),
    )


def bust(filled: Report, **fields: Any) -> Report:
    """That fill never was."""
    report = Report()
    report.CopyFrom(filled)
    report.seq, report.exec_id, report.exec_ref_id = 0, "", filled.exec_id
    report.exec_type = Report.EXEC_TYPE_TRADE_CANCEL
    report.MergeFrom(Report(**fields))
    return report


def correct(filled: Report, quantity: int, price_micros: int) -> Report:
    """That fill was another."""
    report = bust(filled, exec_type=Report.EXEC_TYPE_TRADE_CORRECT)
    report.last_quantity, report.last_price_micros = quantity, price_micros
    return report


def _counts(report: Report) -> int:
    """How many shares are filled by it, less than 0 for those that never were."""
    return report.last_quantity * (-1 if report.exec_ref_id else 1)


def accept_and_fill(order: market.NewOrder) -> Sequence[Report]:
    """Taken and filled at once."""
    return [accept(order), fill(order)]


def _about(order: market.NewOrder, exec_type: int, **fields: Any) -> Report:
    return Report(
        client_order_id=order.client_order_id,
        exchange_order_id=f"X-{order.client_order_id}",
        symbol=order.symbol,
        side=order.side,
        exec_type=Report.ExecType.ValueType(exec_type),
        **fields,
    )


class VenueDouble(ExchangeServiceServicer):
    """Keeps commands and reports as the contract says, in memory; outlives its own connections."""

    def __init__(self) -> None:
        self.answer: Answer = accept_and_fill
        self.orders: dict[str, market.NewOrder] = {}
        self.sends: Counter[str] = Counter()
        self.reports: list[Report] = []
        self.next_command_seq = 1
        self.acknowledged = 0
        self.logons: list[pb.SessionRequest.Logon] = []
        self.asked: list[str] = []
        self.instruments = [market.Instrument(symbol="AAPL", name="Apple Inc.")]
        self.quotes: list[market.Quote] = []
        self.is_open = True
        self.days_ended = 0
        self._watchers: list[asyncio.Queue[pb.WatchQuotesResponse | None]] = []
        self.cancels: list[str] = []
        self.replaces: list[tuple[int, market.ReplaceOrder]] = []
        # Faults.
        self.cancels_too_late = False
        self.refuses_replaces = 0  # a RejectReason
        self.forgets_replaces = 0
        self.drops_commands = 0
        self.forgets_orders = 0
        self.withholds_reports: set[int] = set()
        self.sends_twice = False
        self.sends_in_reverse = False
        self.ignores_acknowledge = False
        self.refuses_strangers = False
        self._live: asyncio.Queue[pb.SessionResponse | None] | None = None
        self._server: grpc.aio.Server | None = None
        self.port = 0

    async def start(self) -> None:
        """Listen, on the same port as before."""
        self._server = grpc.aio.server(options=[("grpc.so_reuseport", 0)])
        add_ExchangeServiceServicer_to_server(self, self._server)
        self.port = self._server.add_insecure_port(f"127.0.0.1:{self.port}")
        await self._server.start()

    async def stop(self) -> None:
        """Go away; everything is remembered."""
        if self._server is not None:
            await self._server.stop(0)
            self._server = None

    def hang_up(self) -> None:
        """End the connection in use."""
        if self._live is not None:
            self._live.put_nowait(None)
            self._live = None

    def say(self, *reports: Report) -> None:
        """Report something."""
        fresh = []
        for report in reports:
            seq = len(self.reports) + 1
            numbered = Report(seq=seq, exec_id=report.exec_id or f"E-{seq}-{id(self)}")
            numbered.MergeFrom(report)
            numbered.transact_time.FromNanoseconds(1_700_000_000_000_000_000 + seq)
            self.reports.append(numbered)
            fresh.append(numbered)
        sent = [r for r in fresh if r.seq not in self.withholds_reports]
        if self.sends_in_reverse:
            sent.reverse()
        for _ in range(2 if self.sends_twice else 1):
            self._send(sent)

    def is_acknowledged(self) -> bool:
        """Whether there are reports and every one is acknowledged."""
        return 0 < len(self.reports) == self.acknowledged

    def lose_memory(self) -> None:
        """Forget everything, as if made anew."""
        self.hang_up()
        self.orders.clear()
        self.reports.clear()
        self.next_command_seq = 1
        self.acknowledged = 0

    def memory(self) -> tuple[Any, ...]:
        """All it knows, to be remembered later."""
        return dict(self.orders), list(self.reports), self.next_command_seq, self.acknowledged

    def remember(self, kept: tuple[Any, ...]) -> None:
        """Know again what it knew."""
        self.hang_up()
        self.orders, self.reports, self.next_command_seq, self.acknowledged = kept

    async def Session(self, request_iterator: Any, context: Any) -> AsyncIterator[Any]:
        """A member's session."""
        logon = (await anext(aiter(request_iterator))).logon
        self.logons.append(logon)
        if self.refuses_strangers and logon.next_report_seq > len(self.reports) + 1:
            refusal = Refused(
                Reason.REASON_INVALID_SEQUENCE,
                "the member has reports that were never sent",
                next_report_seq=str(len(self.reports) + 1),
                next_command_seq=str(self.next_command_seq),
            )
            await context.abort_with_status(to_status(refusal))
        self.hang_up()
        live: asyncio.Queue[pb.SessionResponse | None] = asyncio.Queue()
        self._live = live
        yield pb.SessionResponse(
            logged_on=pb.SessionResponse.LoggedOn(
                next_command_seq=self.next_command_seq,
                next_report_seq=len(self.reports) + 1,
                venue="XTEST",
            )
        )
        first = min(logon.next_report_seq, self.acknowledged + 1)
        self._send(self.reports[first - 1 :])
        listener = asyncio.create_task(self._listen(request_iterator, live))
        try:
            while (response := await live.get()) is not None:
                yield response
        finally:
            listener.cancel()

    async def GetOrder(self, request: pb.GetOrderRequest, context: Any) -> pb.GetOrderResponse:
        """What is known of an order."""
        self.asked.append(request.client_order_id)
        known = request.client_order_id in self.orders
        reports = [r for r in self.reports if r.client_order_id == request.client_order_id]
        return pb.GetOrderResponse(is_known=known, reports=reports)

    async def ListOrders(
        self, request: pb.ListOrdersRequest, context: Any
    ) -> pb.ListOrdersResponse:
        """How orders stand, two on a page."""
        if request.client_order_ids:
            return pb.ListOrdersResponse(orders=map(self._standing, request.client_order_ids))
        lately = {r.client_order_id for r in self.reports if r.seq >= request.since_report_seq > 0}
        found = sorted(
            i
            for i in self.orders
            if i > request.after_client_order_id and (i in lately or self._standing(i).is_open)
        )
        return pb.ListOrdersResponse(
            orders=map(self._standing, found[:2]),
            next_after_client_order_id=found[1] if len(found) > 2 else "",
        )

    def _standing(self, trade_id: str) -> pb.OrderStanding:
        order = self.orders.get(trade_id)
        if order is None:
            return pb.OrderStanding(client_order_id=trade_id)
        reports = [r for r in self.reports if r.client_order_id == trade_id]
        filled = sum(_counts(r) for r in reports)
        traded = sum(r.last_quantity for r in reports if not r.exec_ref_id)
        ends = (Report.EXEC_TYPE_REJECTED, Report.EXEC_TYPE_CANCELED, Report.EXEC_TYPE_EXPIRED)
        return pb.OrderStanding(
            client_order_id=trade_id,
            is_known=True,
            symbol=order.symbol,
            side=order.side,
            quantity=order.quantity,
            cumulative_quantity=filled,
            is_open=traded < order.quantity and not any(r.exec_type in ends for r in reports),
            last_report_seq=reports[-1].seq if reports else 0,
            limit_price_micros=order.limit_price_micros,
            stop_price_micros=order.stop_price_micros,
        )

    async def ListQuotes(
        self, request: pb.ListQuotesRequest, context: Any
    ) -> pb.ListQuotesResponse:
        """What it was told to say."""
        return pb.ListQuotesResponse(quotes=self.quotes)

    async def WatchQuotes(
        self, request: pb.WatchQuotesRequest, context: Any
    ) -> AsyncIterator[pb.WatchQuotesResponse]:
        """The quotes, then what is traded."""
        mine: asyncio.Queue[pb.WatchQuotesResponse | None] = asyncio.Queue()
        for quote in self.quotes:
            mine.put_nowait(pb.WatchQuotesResponse(quote=quote))
        self._watchers.append(mine)
        try:
            while (change := await mine.get()) is not None:
                yield change
        finally:
            self._watchers.remove(mine)

    def is_watched(self) -> bool:
        """Whether somebody follows the quotes."""
        return bool(self._watchers)

    def trade(self, price_micros: int, *, lowest: int = 0, highest: int = 0) -> None:
        """Its one symbol trades at this price last, and within these since it was told last."""
        self.change(last_price_micros=price_micros)
        self._tell(lowest or price_micros, highest or price_micros)

    def change(self, **fields: Any) -> None:
        """Its one symbol is quoted like this; nobody is told."""
        if not self.quotes:
            self.quotes = [market.Quote(symbol="AAPL")]
        for name, value in fields.items():
            setattr(self.quotes[0], name, value)

    def halt(self, *, is_halted: bool) -> None:
        """Its one symbol is halted, or trades again."""
        self.change(is_halted=is_halted)
        self._tell(0, 0)

    def _tell(self, lowest: int, highest: int) -> None:
        quote = market.Quote()
        quote.CopyFrom(self.quotes[0])
        change = pb.WatchQuotesResponse(
            quote=quote, lowest_traded_micros=lowest, highest_traded_micros=highest
        )
        for watcher in self._watchers:
            watcher.put_nowait(change)

    async def GetMarketStatus(
        self, request: pb.GetMarketStatusRequest, context: Any
    ) -> pb.GetMarketStatusResponse:
        """As it was set."""
        answer = pb.GetMarketStatusResponse(is_open=self.is_open)
        answer.day_ended_at.FromSeconds(1_700_000_000 + 86_400 * self.days_ended)
        return answer

    async def GetBook(self, request: pb.GetBookRequest, context: Any) -> pb.GetBookResponse:
        """The best of the quotes."""
        (quote,) = [quote for quote in self.quotes if quote.symbol == request.symbol]
        return pb.GetBookResponse(bids=[quote.bid], asks=[quote.ask])

    async def ListInstruments(
        self, request: pb.ListInstrumentsRequest, context: Any
    ) -> pb.ListInstrumentsResponse:
        """What is listed."""
        return pb.ListInstrumentsResponse(instruments=self.instruments)

    async def _listen(self, requests: Any, live: Any) -> None:
        async for request in requests:
            if self._live is not live:
                return
            if request.HasField("acknowledge"):
                if not self.ignores_acknowledge:
                    self.acknowledged = max(self.acknowledged, request.acknowledge.report_seq)
            elif self.drops_commands:
                self.drops_commands -= 1
            else:
                self._keep(request.commands.commands)

    def _keep(self, commands: Sequence[pb.SessionRequest.Command]) -> None:
        for command in commands:
            if command.seq < self.next_command_seq:
                continue
            if command.seq > self.next_command_seq:
                self.hang_up()
                return
            self.next_command_seq += 1
            if command.HasField("new_order"):
                self._take(command.new_order)
            elif command.HasField("cancel_order"):
                self._cancel(command.cancel_order.client_order_id)
            elif command.HasField("replace_order"):
                self._replace(command.seq, command.replace_order)
        self._put(
            pb.SessionResponse(
                commands_kept=pb.SessionResponse.CommandsKept(command_seq=self.next_command_seq - 1)
            )
        )

    def _take(self, order: market.NewOrder) -> None:
        self.sends[order.client_order_id] += 1
        if self.forgets_orders:
            self.forgets_orders -= 1
        elif order.client_order_id not in self.orders:
            self.orders[order.client_order_id] = order
            self.say(*self.answer(order))

    def _cancel(self, client_order_id: str) -> None:
        self.cancels.append(client_order_id)
        order = self.orders[client_order_id]
        mine = [r for r in self.reports if r.client_order_id == client_order_id]
        if self.cancels_too_late or mine[-1].leaves_quantity == 0:
            kind, reason = Report.EXEC_TYPE_CANCEL_REJECTED, market.REJECT_REASON_TOO_LATE
        else:
            kind, reason = Report.EXEC_TYPE_CANCELED, market.REJECT_REASON_CANCELED_BY_MEMBER
        self.say(_about(order, kind, reject_reason=reason))

    def _replace(self, seq: int, wanted: market.ReplaceOrder) -> None:
        self.replaces.append((seq, wanted))
        if self.forgets_replaces:
            self.forgets_replaces -= 1
            return
        order = self.orders[wanted.client_order_id]
        mine = [r for r in self.reports if r.client_order_id == wanted.client_order_id]
        filled = sum(r.last_quantity for r in mine)
        if self.refuses_replaces or mine[-1].leaves_quantity == 0:
            reason = self.refuses_replaces or market.REJECT_REASON_TOO_LATE
            kind = Report.EXEC_TYPE_REPLACE_REJECTED
            self.say(_about(order, kind, command_seq=seq, reject_reason=reason))
            return
        order.quantity = wanted.quantity
        order.limit_price_micros = wanted.limit_price_micros or order.limit_price_micros
        order.stop_price_micros = wanted.stop_price_micros or order.stop_price_micros
        order.max_notional_micros = wanted.max_notional_micros or order.max_notional_micros
        self.say(replaced(order, seq, so_far=filled))
        if order.quantity <= filled:
            reason = market.REJECT_REASON_CANCELED_BY_MEMBER
            self.say(_about(order, Report.EXEC_TYPE_CANCELED, reject_reason=reason))

    def _send(self, reports: Sequence[Report]) -> None:
        if reports:
            self._put(pb.SessionResponse(reports=pb.SessionResponse.Reports(reports=reports)))

    def _put(self, response: pb.SessionResponse) -> None:
        if self._live is not None:
            self._live.put_nowait(response)
