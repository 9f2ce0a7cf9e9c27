"""Asks the gateway what became of orders, and does what follows from its answer."""

from collections.abc import Sequence

from services.execution import outcome_wire, wire
from services.execution.domain.trade import OrderState
from services.execution.lanes import Lanes
from services.execution.neighbours import Gateway
from services.execution.pipeline import Pipeline
from stockbroker.exchange_gateway.v1.exchange_gateway_service_pb2 import OrderStatus


class Enquiry:
    """Used by the sweep for orders that take long, and by operators."""

    def __init__(self, gateway: Gateway, lanes: Lanes, pipeline: Pipeline) -> None:
        self._gateway = gateway
        self._lanes = lanes
        self._pipeline = pipeline

    async def ask(self, trade_ids: Sequence[str]) -> list[OrderStatus]:
        """One status per id, at most 1000. Raises Unavailable or NeighbourFault.

        An order that neither the gateway nor the exchange knows is submitted again, if it is this
        worker's. One that rests at the exchange is no longer in doubt. What has ended comes as
        reports.
        """
        orders = await self._gateway.orders(trade_ids)
        lost = {
            order.trade_id for order in orders if wire.order_state_of(order) is OrderState.UNKNOWN
        }
        if lost:
            self._pipeline.submit_again(lost)
        accepted = [
            order
            for order in orders
            if wire.order_state_of(order) is OrderState.ACCEPTED and order.exchange_order_id
        ]
        if accepted:
            await self._lanes.tell([outcome_wire.acceptance_to(order) for order in accepted])
        return orders

    async def doubt(self, trade_ids: Sequence[str], why: str) -> None:
        """Nobody can say what became of these. Raises Unavailable when closing."""
        await self._lanes.doubt(trade_ids, why)
