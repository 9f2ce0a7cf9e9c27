"""For the execution service: trades that fail again and again, and trades in doubt."""

from collections.abc import Mapping, Sequence

from libs.rpc import Context
from services.order import wire
from services.order.database import Change, Connection
from services.order.domain.asking import is_trade_id
from services.order.domain.leading import check_epochs, check_limit
from services.order.domain.parking import (
    Action,
    Faulted,
    Instruction,
    check_faults,
    check_instruction,
)
from services.order.domain.trade import Trade
from services.order.parking import obey, record_faults
from services.order.service.office import BackOffice
from services.order.store.parking import Parking
from services.order.store.trades import Trades
from stockbroker.order.v1 import order_execution_service_pb2 as pb


class ParkingService:
    """See the contract for each method."""

    _office: BackOffice

    async def RecordFaults(
        self, request: pb.RecordFaultsRequest, context: Context
    ) -> pb.RecordFaultsResponse:
        check_epochs((each.grant.partition, each.grant.epoch) for each in request.faults)
        faults = check_faults(map(wire.fault_from, request.faults), request.park_after)

        async def record(connection: Connection) -> list[Faulted]:
            return await record_faults(connection, faults, request.park_after, self._office.clock)

        done = await self._office.database.run(Change.CLAIM, record) if faults else []
        return pb.RecordFaultsResponse(results=_results(request.faults, done))

    async def ListParkedTrades(
        self, request: pb.ListParkedTradesRequest, context: Context
    ) -> pb.ListParkedTradesResponse:
        limit = check_limit(request.limit)
        if request.trade_id and not is_trade_id(request.trade_id):
            return pb.ListParkedTradesResponse()
        async with self._office.database.connection() as connection:
            parked = await Parking(connection).parked(trade_id=request.trade_id, limit=limit)
            trades = await Trades(connection).by_ids([each.trade_id for each in parked])
        return pb.ListParkedTradesResponse(
            trades=[
                wire.parked_to(each, trades[each.trade_id])
                for each in parked
                if each.trade_id in trades
            ]
        )

    async def ReleaseParkedTrade(
        self, request: pb.ReleaseParkedTradeRequest, context: Context
    ) -> pb.ReleaseParkedTradeResponse:
        instruction = Instruction(request.trade_id, request.actor, request.reason_text)
        trade = await self._obey(instruction, Action.RELEASE)
        self._office.announcer.wanted_and_changed([trade.customer_id])
        return pb.ReleaseParkedTradeResponse(trade=wire.trade_to(trade))

    async def CondemnParkedTrade(
        self, request: pb.CondemnParkedTradeRequest, context: Context
    ) -> pb.CondemnParkedTradeResponse:
        instruction = Instruction(request.trade_id, request.actor, request.reason_text)
        trade = await self._obey(instruction, Action.CONDEMN)
        return pb.CondemnParkedTradeResponse(trade=wire.trade_to(trade))

    async def ListTradesInDoubt(
        self, request: pb.ListTradesInDoubtRequest, context: Context
    ) -> pb.ListTradesInDoubtResponse:
        limit = check_limit(request.limit)
        async with self._office.database.connection() as connection:
            trade_ids = await Parking(connection).in_doubt(limit=limit)
            trades = await Trades(connection).by_ids(trade_ids)
        doubted = [trades[trade_id] for trade_id in trade_ids]
        return pb.ListTradesInDoubtResponse(
            trades=[wire.trade_to(trade) for trade in doubted if trade.standing.in_doubt]
        )

    async def _obey(self, instruction: Instruction, action: Action) -> Trade:
        check_instruction(instruction)

        async def work(connection: Connection) -> Trade:
            return await obey(connection, instruction, action, self._office.clock)

        return await self._office.database.run(Change.APPLY, work)


def _results(
    asked: Sequence[pb.RecordFaultsRequest.Fault], done: Sequence[Faulted]
) -> list[pb.FaultResult]:
    by_customer: Mapping[str, Faulted] = {each.customer_id: each for each in done}
    return [
        pb.FaultResult(
            customer_id=fault.customer_id,
            faults=found.faults if found else 0,
            is_parked=found.is_parked if found else False,
        )
        for fault in asked
        for found in (by_customer.get(fault.customer_id),)
    ]
