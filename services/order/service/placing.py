"""The two doors by which trades come in: one a call, and batches on a stream. One set of rules."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from datetime import date

import structlog

from libs.auth import Principal, caller, expired
from libs.refusals import Refusal
from libs.rpc import Context
from libs.rpc.window import in_order
from services.order import placing_wire, refusals, wire
from services.order.domain.placing import Placement, Wanted, check, customer_of
from services.order.domain.trade import Trade
from services.order.service.desk import Desk
from services.order.store.trades import Trades
from stockbroker.order.v1 import order_service_pb2 as pb

_MOST_ITEMS = 1_000
_AT_ONCE = 32  # batches of a stream; how many trades wait is not decided here
_log = structlog.get_logger()


class PlacingService:
    """See the contract for each method."""

    _desk: Desk

    async def PlaceTrade(
        self, request: pb.PlaceTradeRequest, context: Context
    ) -> pb.PlaceTradeResponse:
        day = self._desk.clock.now().date()
        placement = self._placement(caller().subject, placing_wire.wanted_from(request), day)
        if unknown := await self._unknown([placement]):
            raise unknown[placement.trade_id]
        trade = await self._desk.placer.submit(placement)
        return pb.PlaceTradeResponse(trade=wire.trade_to(trade))

    async def PlaceTrades(
        self, requests: AsyncIterator[pb.PlaceTradesRequest], context: Context
    ) -> AsyncIterator[pb.PlaceTradesResponse]:
        principal = caller()

        async def begin(
            request: pb.PlaceTradesRequest,
        ) -> asyncio.Task[pb.PlaceTradesResponse]:
            if principal.expires_at <= self._desk.clock.now().timestamp():
                raise expired()
            if not 1 <= len(request.items) <= _MOST_ITEMS:
                raise refusals.invalid_request("items", f"must be 1 to {_MOST_ITEMS}")
            admitted = await self._admit(principal, request.items)
            return asyncio.create_task(self._place(admitted))

        async for answer in in_order(requests, begin, at_once=_AT_ONCE):
            yield answer

    async def _place(self, admitted: Sequence[Placement | Refusal]) -> pb.PlaceTradesResponse:
        """Place what was admitted; a result for each."""
        placements = [each for each in admitted if isinstance(each, Placement)]
        outcomes = iter(await self._outcomes(placements))
        return placing_wire.results_to(
            next(outcomes) if isinstance(each, Placement) else each for each in admitted
        )

    async def _outcomes(self, placements: Sequence[Placement]) -> Sequence[Trade | Exception]:
        try:
            outcomes = await self._desk.placer.outcomes(placements)
        except Refusal as refusal:
            return [refusal] * len(placements)
        for outcome in outcomes:
            if isinstance(outcome, Exception) and not isinstance(outcome, Refusal):
                _log.error("placement_failed", exc_info=outcome)
        return outcomes

    async def _admit(
        self, principal: Principal, items: Sequence[pb.PlaceTradesRequest.Item]
    ) -> list[Placement | Refusal]:
        """What may be placed, and why the rest may not; in order."""
        admitted: list[Placement | Refusal] = []
        day = self._desk.clock.now().date()
        for item in items:
            try:
                customer_id = customer_of(principal, item.customer_id)
                wanted = placing_wire.wanted_from(item.trade)
                admitted.append(self._placement(customer_id, wanted, day))
            except Refusal as refusal:
                admitted.append(refusal)
        unknown = await self._unknown([each for each in admitted if isinstance(each, Placement)])
        if not unknown:
            return admitted
        return [
            unknown.get(each.trade_id, each) if isinstance(each, Placement) else each
            for each in admitted
        ]

    def _placement(self, customer_id: str, wanted: Wanted, day: date) -> Placement:
        """Checked as far as it can be without asking anybody. Raises Invalid."""
        return Placement(
            terms=check(wanted, day),
            trade_id=self._desk.ids.new(),
            client_order_id=wanted.client_order_id or self._desk.ids.new(),
            customer_id=customer_id,
        )

    async def _unknown(self, placements: Sequence[Placement]) -> dict[str, Refusal]:
        """Why those of them in a symbol that is not traded are refused, by their new ids.

        A symbol may leave the list; a call that was taken before is still the same call. Raises
        Unavailable.
        """
        symbols = dict.fromkeys([placement.terms.symbol for placement in placements])
        if self._desk.instruments.are_listed(symbols):
            return {}
        untraded = {each for each in symbols if not await self._desk.instruments.is_tradable(each)}
        asked = [placement for placement in placements if placement.terms.symbol in untraded]
        if not asked:
            return {}
        async with self._desk.database.connection() as connection:
            keys = sorted({placement.key for placement in asked})
            known = await Trades(connection).by_client_order_ids(keys)
        return {
            placement.trade_id: refusals.unknown_symbol(placement.terms.symbol)
            for placement in asked
            if placement.key not in known
        }
