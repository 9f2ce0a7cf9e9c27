"""OrderExecutionService: how execution workers take trades up and tell what became of them."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import timedelta

from libs.auth import SUBJECT
from libs.partition import PARTITIONS
from libs.refusals import Refusal
from libs.rpc import Context
from services.order import wire
from services.order.claiming import Claims, claim_trades
from services.order.database import Change, Connection
from services.order.domain.asking import is_trade_id
from services.order.domain.leading import (
    check_age,
    check_epochs,
    check_limit,
    check_partitions,
    check_worker,
)
from services.order.domain.replacing import Known
from services.order.domain.trade import Trade
from services.order.domain.turns import Applied, Waiting
from services.order.outcomes_wire import applied_to, told_from
from services.order.service.executions import ExecutionReading
from services.order.service.office import BackOffice
from services.order.service.parking import ParkingService
from services.order.store.queue import Partitions, Queue
from services.order.store.replaces import Replaces
from services.order.store.requests import Requests
from services.order.store.trades import Trades
from stockbroker.order.v1 import order_execution_service_pb2 as pb
from stockbroker.order.v1.order_execution_service_pb2_grpc import OrderExecutionServiceServicer


class ExecutionService(ParkingService, ExecutionReading, OrderExecutionServiceServicer):
    """See the contract for each method."""

    def __init__(self, office: BackOffice) -> None:
        self._office = office

    async def LeadPartitions(
        self, request: pb.LeadPartitionsRequest, context: Context
    ) -> pb.LeadPartitionsResponse:
        check_worker(request.worker)
        partitions = check_partitions(request.partitions)

        async def lead(connection: Connection) -> dict[int, int]:
            at = self._office.clock.now()
            return await Partitions(connection).lead(partitions, request.worker, at=at)

        epochs = await self._office.database.run(Change.CLAIM, lead)
        return pb.LeadPartitionsResponse(
            grants=[
                pb.PartitionGrant(partition=partition, epoch=epochs[partition])
                for partition in partitions
            ]
        )

    async def ClaimTrades(
        self, request: pb.ClaimTradesRequest, context: Context
    ) -> pb.ClaimTradesResponse:
        epochs = check_epochs((each.grant.partition, each.grant.epoch) for each in request.claims)
        free = _customers(claim.customer_ids for claim in request.claims)
        halted = _customers(claim.halted_customer_ids for claim in request.claims)

        async def claim(connection: Connection) -> Claims:
            return await claim_trades(
                connection, epochs, free | halted, self._office.clock, halted_ids=halted
            )

        claims = await self._office.database.run(Change.CLAIM, claim)
        self._office.announcer.changed(claims.started)
        return wire.claims_to(claims)

    async def ListOpenCustomers(
        self, request: pb.ListOpenCustomersRequest, context: Context
    ) -> pb.ListOpenCustomersResponse:
        partitions = check_partitions(request.partitions) or range(PARTITIONS)
        limit = check_limit(request.limit)
        check_age(request.older_than_ms)
        now = self._office.clock.now()
        before = now - timedelta(milliseconds=request.older_than_ms)
        async with self._office.database.connection() as connection:
            waiting = await Queue(connection).waiting(
                partitions, placed_before=before, now=now, limit=limit
            )
            requested = await Requests(connection).waiting(
                partitions, asked_before=before, now=now, limit=limit
            )
        return pb.ListOpenCustomersResponse(
            customers=map(wire.waiting_to, waiting),
            canceling=[wire.waiting_to(each) for is_replace, each in requested if not is_replace],
            replacing=[wire.waiting_to(each) for is_replace, each in requested if is_replace],
        )

    async def GetReplaces(
        self, request: pb.GetReplacesRequest, context: Context
    ) -> pb.GetReplacesResponse:
        replace_ids = [each for each in request.replace_ids if is_trade_id(each)]
        async with self._office.database.connection() as connection:
            known = await Replaces(connection).by_ids(sorted(set(replace_ids)))
            trades = await Trades(connection).by_ids(sorted({k.trade_id for k in known.values()}))
        return pb.GetReplacesResponse(
            replaces=[_terms_of(each, known, trades) for each in request.replace_ids]
        )

    async def ApplyOutcomes(
        self, request: pb.ApplyOutcomesRequest, context: Context
    ) -> pb.ApplyOutcomesResponse:
        told = [told_from(outcome) for outcome in request.outcomes]
        applied = _unrefused(await self._office.applier.submit_all(told))
        return applied_to(told, applied, _waiting(applied))


def _terms_of(
    replace_id: str, known: Mapping[str, Known], trades: Mapping[str, Trade]
) -> pb.ReplaceTerms:
    found = known.get(replace_id)
    if found is None:
        return pb.ReplaceTerms(replace_id=replace_id)
    return wire.replace_terms_to(trades[found.trade_id], found.replace)


def _customers(lists: Iterable[Iterable[str]]) -> frozenset[str]:
    """All that can be customers' ids."""
    return frozenset(each for ids in lists for each in ids if SUBJECT.fullmatch(each))


def _unrefused(results: Sequence[Applied | Refusal]) -> list[Applied]:
    """All of them; raises the first refusal: the caller then tells everything again."""
    applied = []
    for result in results:
        if isinstance(result, Refusal):
            raise result
        applied.append(result)
    return applied


def _waiting(applied: Iterable[Applied]) -> list[Waiting]:
    """Each customer's next trade as seen last: later outcomes may have been a later batch."""
    latest = {each.customer_id: each.waiting for each in applied}
    return [waiting for waiting in latest.values() if waiting is not None]
