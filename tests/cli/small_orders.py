"""OrderService out of memory. A trade's symbol says what becomes of it.

AAPL fills in two parts, DEAD is rejected, SLOW stays open.
"""

import asyncio
from collections import defaultdict
from collections.abc import AsyncIterator
from typing import Any

from libs.auth import caller
from libs.clock import SystemClock
from libs.ids import SystemIds
from libs.refusals import AlreadyExists, NotFound, Unavailable, Unimplemented
from stockbroker.common.v1.reason_pb2 import Reason
from stockbroker.order.v1 import order_pb2 as model
from stockbroker.order.v1 import order_service_pb2 as pb
from stockbroker.order.v1.order_service_pb2_grpc import OrderServiceServicer

EVIL_WORDS = "no\x1b[2J thanks"
_MOMENT_SECONDS = 0.05
FILLS = ((18, 585_910_000), (282, 585_940_100))


class SmallOrders(OrderServiceServicer):
    """`unavailable_calls`, `cut_off_after` and `hangs_up` make it fail on purpose.

    `hangs_up`: on who watches, a moment before their deadline.
    """

    def __init__(self) -> None:
        self.asked: list[pb.PlaceTradeRequest] = []
        self.events: dict[str, list[model.TradeEvent]] = defaultdict(list)
        self.trades: dict[str, list[model.Trade]] = defaultdict(list)
        self.previewed = pb.PreviewTradeResponse()
        self.explained = pb.ExplainTradeResponse()
        self.unavailable_calls = 0
        self.cut_off_after: list[int] = []
        self.hangs_up = False
        self._ids = SystemIds(SystemClock())
        self._changed = asyncio.Condition()

    async def PlaceTrade(self, request: pb.PlaceTradeRequest, context: Any) -> Any:
        self.asked.append(request)
        if self.unavailable_calls:
            self.unavailable_calls -= 1
            raise Unavailable(Reason.REASON_UNAVAILABLE, "the service does not answer")
        customer = caller().subject
        for known in self.trades[customer]:
            if known.client_order_id == request.client_order_id:
                if (known.symbol, known.quantity) != (request.symbol, request.quantity):
                    raise AlreadyExists(Reason.REASON_CLIENT_ORDER_ID_REUSED, "other terms")
                return pb.PlaceTradeResponse(trade=known)
        trade = model.Trade(
            trade_id=self._ids.new(),
            client_order_id=request.client_order_id,
            customer_id=customer,
            symbol=request.symbol,
            side=request.side,
            quantity=request.quantity,
            order_type=request.order_type,
            limit_price_micros=request.limit_price_micros,
            stop_price_micros=request.stop_price_micros,
            time_in_force=request.time_in_force,
        )
        trade.created_at.GetCurrentTime()
        self._tell(trade, model.TRADE_EVENT_KIND_PLACED, model.TRADE_STATUS_PLACED)
        placed = model.Trade()
        placed.CopyFrom(trade)
        self.trades[customer].append(placed)
        self._carry_on(trade)
        async with self._changed:
            self._changed.notify_all()
        return pb.PlaceTradeResponse(trade=placed)

    async def PreviewTrade(self, request: pb.PreviewTradeRequest, context: Any) -> Any:
        self.asked.append(request.trade)
        return self.previewed

    async def ExplainTrade(self, request: pb.ExplainTradeRequest, context: Any) -> Any:
        return self.explained

    def _carry_on(self, trade: model.Trade) -> None:
        self._tell(trade, model.TRADE_EVENT_KIND_STARTED, model.TRADE_STATUS_IN_PROGRESS)
        if trade.symbol == "DEAD":
            trade.reason = Reason.REASON_EXCHANGE_REJECTED
            trade.reason_text = EVIL_WORDS
            self._tell(trade, model.TRADE_EVENT_KIND_REJECTED, model.TRADE_STATUS_REJECTED)
        elif trade.symbol == "AAPL":
            for quantity, price_micros in FILLS:
                self._fill(trade, quantity, price_micros)

    def _fill(self, trade: model.Trade, quantity: int, price_micros: int) -> None:
        trade.filled_quantity += quantity
        trade.filled_notional_micros += quantity * price_micros
        trade.average_price_micros = trade.filled_notional_micros // trade.filled_quantity
        is_last = trade.filled_quantity == trade.quantity
        status = model.TRADE_STATUS_FILLED if is_last else model.TRADE_STATUS_PARTIALLY_FILLED
        fill = model.Execution(quantity=quantity, price_micros=price_micros, venue="XSIM")
        self._tell(trade, model.TRADE_EVENT_KIND_EXECUTED, status, fill)

    def _tell(
        self,
        trade: model.Trade,
        kind: model.TradeEventKind.ValueType,
        status: model.TradeStatus.ValueType,
        execution: model.Execution | None = None,
    ) -> None:
        events = self.events[trade.customer_id]
        trade.status = status
        trade.seq = len(events) + 1
        trade.updated_at.GetCurrentTime()
        event = model.TradeEvent(seq=trade.seq, trade=trade, kind=kind, execution=execution)
        event.occurred_at.GetCurrentTime()
        events.append(event)

    async def WatchTrades(
        self, request: pb.WatchTradesRequest, context: Any
    ) -> AsyncIterator[pb.WatchTradesResponse]:
        events = self.events[caller().subject]
        seq = request.after_seq
        left = self.cut_off_after.pop(0) if self.cut_off_after else -1
        while True:
            for event in events[seq:]:
                if left == 0:
                    raise Unavailable(Reason.REASON_UNAVAILABLE, "cut off")
                yield pb.WatchTradesResponse(event=event)
                left -= 1
                seq = event.seq
            yield pb.WatchTradesResponse(
                heartbeat=pb.WatchTradesResponse.Heartbeat(head_seq=len(events))
            )
            try:
                async with asyncio.timeout(self._patience(context)), self._changed:
                    await self._changed.wait()
            except TimeoutError:
                raise Unavailable(Reason.REASON_UNAVAILABLE, "cut off") from None

    def _patience(self, context: Any) -> float | None:
        left: float | None = context.time_remaining()
        return max(left - _MOMENT_SECONDS, 0.0) if self.hangs_up and left is not None else None

    async def ListTrades(self, request: pb.ListTradesRequest, context: Any) -> Any:
        newest_first = [
            trade
            for trade in reversed(self.trades[caller().subject])
            if request.symbol in ("", trade.symbol)
        ]
        begin = int(request.page_token or 0)
        end = begin + min(request.page_size, 3)
        token = str(end) if end < len(newest_first) else ""
        return pb.ListTradesResponse(trades=newest_first[begin:end], next_page_token=token)

    async def ListTradeEvents(self, request: pb.ListTradeEventsRequest, context: Any) -> Any:
        events = self.events[caller().subject]
        found = [event for event in events if event.trade.trade_id == request.trade_id]
        if not found:
            raise NotFound(Reason.REASON_TRADE_NOT_FOUND, "no such trade")
        return pb.ListTradeEventsResponse(events=found)

    async def ReplaceTrade(self, request: pb.ReplaceTradeRequest, context: Any) -> Any:
        for trade in self.trades[caller().subject]:
            if trade.trade_id == request.trade_id:
                trade.quantity = request.quantity or trade.quantity
                trade.limit_price_micros = request.limit_price_micros or trade.limit_price_micros
                return pb.ReplaceTradeResponse(trade=trade)
        raise NotFound(Reason.REASON_TRADE_NOT_FOUND, "no such trade")

    async def CancelAllTrades(self, request: pb.CancelAllTradesRequest, context: Any) -> Any:
        found = [
            trade for trade in self.trades[caller().subject] if request.symbol in ("", trade.symbol)
        ]
        return pb.CancelAllTradesResponse(canceled=len(found), pending=1)

    async def CancelTrade(self, request: pb.CancelTradeRequest, context: Any) -> Any:
        raise Unimplemented(Reason.REASON_NOT_IMPLEMENTED, "trades cannot be canceled")
