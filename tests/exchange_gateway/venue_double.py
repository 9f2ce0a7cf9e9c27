"""A venue by the contract, with a memory that a test can read and faults that a test can set."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from typing import Any

import grpc

from libs.refusals import Refused
from libs.rpc.status import to_status
from stockbroker.common.v1.reason_pb2 import Reason
from stockbroker.exchange.v1 import exchange_pb2 as market
from stockbroker.exchange.v1 import exchange_service_pb2 as pb
from stockbroker.exchange.v1.exchange_service_pb2_grpc import add_ExchangeServiceServicer_to_server
from tests.exchange_gateway.market_double import MarketDouble
from tests.exchange_gateway.venue_words import (
    Answer,
    Report,
    about,
    accept_and_fill,
    replaced,
    shares,
)


class VenueDouble(MarketDouble):
    """Keeps commands and reports as the contract says, in memory; outlives its own connections."""

    def __init__(self) -> None:
        super().__init__()
        self.answer: Answer = accept_and_fill
        self.orders: dict[str, market.NewOrder] = {}
        self.sends: Counter[str] = Counter()
        self.reports: list[Report] = []
        self.next_command_seq = 1
        self.acknowledged = 0
        self.logons: list[pb.SessionRequest.Logon] = []
        self.asked: list[str] = []
        self.cancels: list[str] = []
        self.replaces: list[tuple[int, market.ReplaceOrder]] = []
        # Faults.
        self.cancels_too_late = False
        self.refuses_replaces = 0  # a RejectReason
        self.forgets_replaces = 0
        self.drops_commands = 0
        self.withholds_commands = False
        self.before_it_tells: Callable[[], Awaitable[None]] | None = None  # of an order, once
        self.forgets_orders = 0
        self.withholds_reports: set[int] = set()
        self.sends_twice = False
        self.sends_in_reverse = False
        self.ignores_acknowledge = False
        self.refuses_strangers = False
        self.may_log_on = asyncio.Event()  # until then a logon has no answer
        self.may_log_on.set()
        self._withheld: list[pb.SessionRequest.Command] = []
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
        await self.may_log_on.wait()
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
        if self.before_it_tells is not None:
            meanwhile, self.before_it_tells = self.before_it_tells, None
            await meanwhile()
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
        filled = sum(shares(r) for r in reports)
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

    async def _listen(self, requests: Any, live: Any) -> None:
        async for request in requests:
            if self._live is not live:
                return
            if request.HasField("acknowledge"):
                if not self.ignores_acknowledge:
                    self.acknowledged = max(self.acknowledged, request.acknowledge.report_seq)
            elif self.drops_commands:
                self.drops_commands -= 1
            elif self.withholds_commands:
                self._withheld += request.commands.commands
            else:
                self._keep(request.commands.commands)

    def keep_withheld(self) -> None:
        """Keep what was withheld, and withhold nothing any more."""
        self.withholds_commands = False
        commands, self._withheld = self._withheld, []
        self._keep(commands)

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
        self.say(about(order, kind, reject_reason=reason))

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
            self.say(about(order, kind, command_seq=seq, reject_reason=reason))
            return
        order.quantity = wanted.quantity
        order.limit_price_micros = wanted.limit_price_micros or order.limit_price_micros
        order.stop_price_micros = wanted.stop_price_micros or order.stop_price_micros
        order.max_notional_micros = wanted.max_notional_micros or order.max_notional_micros
        self.say(replaced(order, seq, so_far=filled))
        if order.quantity <= filled:
            reason = market.REJECT_REASON_CANCELED_BY_MEMBER
            self.say(about(order, Report.EXEC_TYPE_CANCELED, reject_reason=reason))

    def _send(self, reports: Sequence[Report]) -> None:
        if reports:
            self._put(pb.SessionResponse(reports=pb.SessionResponse.Reports(reports=reports)))

    def _put(self, response: pb.SessionResponse) -> None:
        if self._live is not None:
            self._live.put_nowait(response)
