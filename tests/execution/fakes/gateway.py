"""Orders for the exchange, by the contract, in memory."""

import asyncio
from collections import defaultdict
from typing import Any

import grpc

from stockbroker.common.v1.reason_pb2 import Reason
from stockbroker.exchange_gateway.v1 import exchange_gateway_service_pb2 as gateway_pb
from stockbroker.exchange_gateway.v1 import exchange_gateway_service_pb2_grpc as gateway_grpc
from tests.execution.fakes.canceling import FakeWithdrawals
from tests.execution.fakes.faults import Faults
from tests.execution.fakes.replacing import FakeRevisions

Context = grpc.aio.ServicerContext[Any, Any]


class FakeGateway(FakeRevisions, FakeWithdrawals, gateway_grpc.ExchangeGatewayServiceServicer):
    """Orders, each sent to the exchange once, fenced by epoch."""

    def __init__(self) -> None:
        super().__init__()
        self.faults = Faults()
        self.orders: dict[str, gateway_pb.Order] = {}
        self.sent: list[str] = []
        self.exchange_order_ids: dict[str, str] = {}
        self.states: dict[str, gateway_pb.OrderState.ValueType] = {}
        self.epochs: dict[int, int] = defaultdict(int)
        self.stale = 0
        self.chokes_on: set[str] = set()  # trade ids answered `chokes_with`
        self.chokes_with = Reason.REASON_INVALID_REQUEST
        self.expires: set[str] = set()  # trade ids whose day is over
        self.last_submit = gateway_pb.SubmitOrdersRequest()
        self.news: asyncio.Queue[str] = asyncio.Queue()

    async def SubmitOrders(
        self, request: gateway_pb.SubmitOrdersRequest, context: Context | None
    ) -> gateway_pb.SubmitOrdersResponse:
        await self.faults.before("SubmitOrders", request)
        self.last_submit = request
        response = gateway_pb.SubmitOrdersResponse()
        for order in request.orders:
            reason = Reason.REASON_UNSPECIFIED
            if order.epoch < self.epochs[order.partition]:
                reason = Reason.REASON_STALE_EPOCH
                self.stale += 1
            elif order.trade_id in self.chokes_on:
                reason = self.chokes_with
            elif order.trade_id in self.expires:
                reason = Reason.REASON_EXPIRED
            else:
                self.epochs[order.partition] = order.epoch
                self._take(order)
            response.results.add(
                trade_id=order.trade_id,
                reason=reason,
                state=self.states.get(order.trade_id, gateway_pb.ORDER_STATE_UNKNOWN),
            )
        await self.faults.after("SubmitOrders")
        return response

    def _take(self, order: gateway_pb.Order) -> None:
        if order.trade_id in self.orders or order.trade_id in self.withdrawn:
            return
        self.orders[order.trade_id] = order
        self.states[order.trade_id] = gateway_pb.ORDER_STATE_PENDING
        self.sent.append(order.trade_id)
        self.news.put_nowait(order.trade_id)

    async def GetOrders(
        self, request: gateway_pb.GetOrdersRequest, context: Context
    ) -> gateway_pb.GetOrdersResponse:
        await self.faults.before("GetOrders", request)
        unknown = gateway_pb.ORDER_STATE_UNKNOWN
        return gateway_pb.GetOrdersResponse(
            orders=[
                gateway_pb.OrderStatus(
                    trade_id=trade_id,
                    state=self.states.get(trade_id, unknown),
                    exchange_order_id=self.exchange_order_ids.get(trade_id, ""),
                )
                for trade_id in request.trade_ids
            ]
        )

    async def ListInstruments(
        self, request: gateway_pb.ListInstrumentsRequest, context: Context
    ) -> gateway_pb.ListInstrumentsResponse:
        aapl = gateway_pb.Instrument(symbol="AAPL", name="Apple Inc.", is_tradable=True)
        return gateway_pb.ListInstrumentsResponse(instruments=[aapl])
