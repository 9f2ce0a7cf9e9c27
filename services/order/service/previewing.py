"""What would become of a trade; nothing is recorded."""

from libs.auth import caller
from libs.rpc import Context
from services.order import controls_wire, placing_wire, refusals
from services.order.domain.controls.decision import Decision
from services.order.domain.placing import check
from services.order.domain.previewing import estimate, hold_for, preview
from services.order.domain.terms import Terms
from services.order.guard import inform
from services.order.service.desk import Desk
from stockbroker.order.v1 import order_service_pb2 as pb


class PreviewingService:
    """See the contract for each method."""

    _desk: Desk

    async def PreviewTrade(
        self, request: pb.PreviewTradeRequest, context: Context
    ) -> pb.PreviewTradeResponse:
        customer_id = caller().subject
        day = self._desk.clock.now().date()
        terms = check(placing_wire.wanted_from(request.trade), day)
        if not await self._desk.instruments.is_tradable(terms.symbol):
            raise refusals.unknown_symbol(terms.symbol)
        decision = await self._decide(customer_id, terms)
        neighbours = self._desk.neighbours
        funds = await neighbours.ledger.funds(customer_id, hold_for(terms).asset)
        depth = await neighbours.gateway.depth(terms.symbol)
        estimated = estimate(terms, depth) if depth is not None else None
        return controls_wire.preview_to(preview(terms, decision, funds, estimated))

    async def _decide(self, customer_id: str, terms: Terms) -> Decision:
        """As if it were placed now."""
        gate = self._desk.guard.gate()
        async with self._desk.database.connection() as connection:
            await inform(gate, connection, [(customer_id, terms)])
        return gate.preview(customer_id, terms)
