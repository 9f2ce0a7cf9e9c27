"""What operators look into: trades that are parked, and trades in doubt."""

from collections.abc import Mapping, Sequence

import structlog

from libs.clock import Clock
from libs.refusals import Invalid, NotFound, Refusal, Refused, Unavailable
from services.execution import outcome_wire, wire
from services.execution.domain.booking import Code
from services.execution.domain.trade import OrderState
from services.execution.enquiry import Enquiry
from services.execution.neighbours import NeighbourFault, Neighbours
from services.execution.operators_wire import in_doubt_to
from stockbroker.common.v1.reason_pb2 import Reason
from stockbroker.exchange_gateway.v1.exchange_gateway_service_pb2 import OrderStatus
from stockbroker.execution.v1 import execution_service_pb2 as pb
from stockbroker.order.v1.order_execution_service_pb2 import ParkedTrade
from stockbroker.order.v1.order_pb2 import TRADE_STATUS_REJECTED, Trade

_REFUSALS: Mapping[str, type[Refusal]] = {
    "NOT_FOUND": NotFound,
    "FAILED_PRECONDITION": Refused,
    "INVALID_ARGUMENT": Invalid,
}
_NOTHING_HELD = (Reason.REASON_UNSPECIFIED, Reason.REASON_HOLD_NOT_FOUND)
_log = structlog.get_logger()


class Cases:
    """Answers operators; every method raises Unavailable while a neighbour does not answer."""

    def __init__(self, neighbours: Neighbours, enquiry: Enquiry, clock: Clock) -> None:
        self._neighbours = neighbours
        self._enquiry = enquiry
        self._clock = clock

    async def parked(self, *, limit: int) -> list[ParkedTrade]:
        """Parked trades, longest parked first."""
        return await self._neighbours.order.parked(limit=limit)

    async def release(self, trade_id: str, *, actor: str, reason_text: str) -> Trade:
        """Let a parked trade go on. Raises NotFound or Refused."""
        order = self._neighbours.order
        try:
            return await order.release_parked(trade_id, actor=actor, reason_text=reason_text)
        except NeighbourFault as fault:
            raise _passed_on(fault) from fault

    async def reject(self, trade_id: str, *, actor: str, reason_text: str) -> Trade:
        """End a parked trade that was never sent; the trade before its end. Raises Refused.

        First it is condemned, so that nobody can let it go on; then the gateway sends it no more,
        whoever stood still with it in hand; then nothing is held for it, and never will be; then it
        ends. Cut off anywhere it stays parked, and is safe to repeat; after its end too.
        """
        order = self._neighbours.order
        parked = await order.parked(trade_id=trade_id, limit=1)
        try:
            if parked and not parked[0].is_condemned:
                await self._must_be_unsent(trade_id)
            trade = await order.condemn_parked(trade_id, actor=actor, reason_text=reason_text)
            if not parked:  # the decision is on record
                return _rejected(trade)
            await self._withdraw(parked[0])
            await self._end(trade_id)
        except NeighbourFault as fault:
            raise _passed_on(fault) from fault
        _log.warning("parked_trade_rejected", trade_id=trade_id, actor=actor)
        return trade

    async def in_doubt(self, *, limit: int) -> list[pb.InDoubtTrade]:
        """Trades in doubt, longest in doubt first, with what the gateway knows of each."""
        trades = await self._neighbours.order.in_doubt(limit=limit)
        known = await self._known([trade.trade_id for trade in trades])
        now = self._clock.now()
        return [in_doubt_to(trade, known.get(trade.trade_id), now) for trade in trades]

    async def query(self, trade_ids: Sequence[str]) -> list[OrderStatus]:
        """Have the exchange asked now. Raises Invalid."""
        try:
            return await self._enquiry.ask(trade_ids)
        except NeighbourFault as fault:
            raise _passed_on(fault) from fault

    async def _must_be_unsent(self, trade_id: str) -> None:
        (order,) = await self._neighbours.gateway.orders([trade_id])
        if wire.order_state_of(order) is not OrderState.UNKNOWN:
            raise Refused(
                Reason.REASON_TRADE_WAS_SENT, "the order was sent to the exchange, or may have been"
            )

    async def _withdraw(self, parked: ParkedTrade) -> None:
        """The exchange will never hear of it."""
        (taken,) = await self._neighbours.gateway.cancel([wire.parked_from(parked)])
        if taken.never_sent:
            return
        if taken.is_stale:
            raise Unavailable(Reason.REASON_UNAVAILABLE, "another worker has just taken the lead")
        # Whose cancel the gateway refuses, it would refuse the order too.
        await self._must_be_unsent(parked.trade.trade_id)

    async def _end(self, trade_id: str) -> None:
        (reason,) = await self._neighbours.ledger.free([trade_id])
        if reason not in _NOTHING_HELD:
            raise Unavailable(
                Reason.REASON_UNAVAILABLE, f"the hold is not free: {wire.name_of(reason)}"
            )
        outcome = outcome_wire.end_by_operator_to(trade_id)
        (booking,) = (await self._neighbours.order.record([outcome])).bookings
        if booking.code is not Code.APPLIED:
            raise Refused(Reason.REASON_TRADE_WAS_SENT, booking.detail)

    async def _known(self, trade_ids: Sequence[str]) -> dict[str, OrderStatus]:
        """What the gateway knows of orders; nothing while it does not answer."""
        if not trade_ids:
            return {}
        try:
            orders = await self._neighbours.gateway.orders(trade_ids)
        except (Unavailable, NeighbourFault) as error:
            _log.warning("orders_in_doubt_not_known", orders=len(trade_ids), error=str(error))
            return {}
        return {order.trade_id: order for order in orders}


def _rejected(trade: Trade) -> Trade:
    """The trade, if it was rejected. Raises Refused."""
    if trade.status != TRADE_STATUS_REJECTED:
        raise Refused(Reason.REASON_TRADE_NOT_PARKED, "the trade is not parked")
    return trade


def _passed_on(fault: NeighbourFault) -> Exception:
    """What a neighbour refused, as our own refusal; a fault stays one."""
    refusal = _REFUSALS.get(fault.code)
    name = f"REASON_{fault.reason}"
    if refusal is None or name not in Reason.keys():  # noqa: SIM118 - an enum, not a dict
        return fault
    return refusal(Reason.Value(name), fault.text)
