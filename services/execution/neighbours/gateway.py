"""The exchange gateway: the way to the exchange."""

from collections.abc import Sequence
from pathlib import Path

from libs.clock import Clock
from services.execution import replace_wire, wire
from services.execution.domain.replacing import ClaimedReplace, ReplaceTaken
from services.execution.domain.trade import CancelTaken, Held, Submitted, Trade
from services.execution.neighbours.calling import Neighbour, must_answer_all
from stockbroker.common.v1.reason_pb2 import Reason
from stockbroker.exchange_gateway.v1 import exchange_gateway_service_pb2 as gateway_pb
from stockbroker.exchange_gateway.v1 import exchange_gateway_service_pb2_grpc as gateway_grpc

_TAKEN = Submitted()


class Gateway(Neighbour):
    """The way to the exchange."""

    def __init__(self, address: str, token_file: Path | str, clock: Clock) -> None:
        super().__init__(address, token_file, clock)
        self._stub = gateway_grpc.ExchangeGatewayServiceStub(self.channel)

    async def submit(self, orders: Sequence[tuple[Trade, Held]]) -> list[Submitted]:
        """Hand orders over for the exchange; known ones are not sent twice."""
        response = await self._call(self._stub.SubmitOrders, wire.orders_to(orders))
        if response.all_taken and not response.results:
            return [_TAKEN] * len(orders)
        must_answer_all(orders, response.results)
        return [
            Submitted(
                result.reason,
                is_stale=result.reason == Reason.REASON_STALE_EPOCH,
                is_expired=result.reason == Reason.REASON_EXPIRED,
            )
            for result in response.results
        ]

    async def cancel(self, trades: Sequence[Trade]) -> list[CancelTaken]:
        """Hand cancels over for the exchange, or for orders it never got."""
        request = gateway_pb.CancelOrdersRequest(cancels=map(wire.cancel_to, trades))
        response = await self._call(self._stub.CancelOrders, request)
        must_answer_all(trades, response.results)
        return [
            CancelTaken(
                result.reason,
                is_stale=result.reason == Reason.REASON_STALE_EPOCH,
                never_sent=result.never_sent,
            )
            for result in response.results
        ]

    async def replace(self, replaces: Sequence[ClaimedReplace]) -> list[ReplaceTaken]:
        """Hand replaces over for the exchange; known ones are not sent twice."""
        request = gateway_pb.ReplaceOrdersRequest(replaces=map(replace_wire.replace_to, replaces))
        response = await self._call(self._stub.ReplaceOrders, request)
        must_answer_all(replaces, response.results)
        return [
            ReplaceTaken(
                result.reason,
                is_stale=result.reason == Reason.REASON_STALE_EPOCH,
                never_sent=result.never_sent,
            )
            for result in response.results
        ]

    async def orders(self, trade_ids: Sequence[str]) -> list[gateway_pb.OrderStatus]:
        """Where orders stand, at most 1000; the exchange is asked for those without an answer."""
        request = gateway_pb.GetOrdersRequest(trade_ids=trade_ids)
        response = await self._call(self._stub.GetOrders, request)
        must_answer_all(trade_ids, response.orders)
        return list(response.orders)
