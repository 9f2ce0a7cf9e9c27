"""What was looked at before a trade was let through."""

from collections.abc import Awaitable, Callable

from libs.rpc import Context
from services.order import controls_wire as wire
from services.order.domain.controls.decision import explanation
from services.order.domain.trade import Trade
from services.order.service.desk import Desk
from services.order.store.own_orders import OwnOrders
from stockbroker.order.v1 import order_service_pb2 as pb


class ExplainingService:
    """See the contract for each method."""

    _desk: Desk
    _find: Callable[[str], Awaitable[Trade]]  # the trade, if the caller may see it

    async def ExplainTrade(
        self, request: pb.ExplainTradeRequest, context: Context
    ) -> pb.ExplainTradeResponse:
        trade = await self._find(request.trade_id)
        guard = self._desk.guard
        async with self._desk.database.connection() as connection:
            packed = await OwnOrders(connection).decision(trade.trade_id)
            await guard.refresh(connection)  # another process may have known newer settings
        return wire.explained_to(trade, explanation(trade, guard.book, packed))
