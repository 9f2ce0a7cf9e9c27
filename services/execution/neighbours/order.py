"""The order service: trades, parked ones among them, and the epochs of partitions."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from libs.clock import Clock
from services.execution import wire
from services.execution.domain.booking import APPLIED, Booking, Code
from services.execution.domain.replacing import ClaimedReplace, ReplaceTerms
from services.execution.domain.trade import Faulted, OpenCustomer, Setback, Trade, Turn
from services.execution.neighbours.calling import Neighbour, must_answer_all
from services.execution.replace_wire import claimed_replace_from, terms_from
from stockbroker.order.v1 import order_execution_service_pb2 as order_pb
from stockbroker.order.v1 import order_execution_service_pb2_grpc as order_grpc
from stockbroker.order.v1.order_pb2 import Trade as TradeMessage

_IMPOSSIBLE = order_pb.OutcomeResult.CODE_IMPOSSIBLE


@dataclass(frozen=True, slots=True)
class Claimed:
    """What a claim gave: trades taken up, trades to be canceled or replaced, partitions lost."""

    trades: list[Trade]
    cancels: list[Trade]
    replaces: list[ClaimedReplace]
    lost_partitions: list[int]


@dataclass(frozen=True, slots=True)
class Recorded:
    """What recording outcomes gave: what was done with each, and who goes on."""

    bookings: list[Booking]
    open_customers: list[OpenCustomer]


@dataclass(frozen=True, slots=True)
class OpenCustomers:
    """Customers whose oldest trade waits, or a cancel or replace does, once for each."""

    trading: list[OpenCustomer]
    canceling: list[OpenCustomer]
    replacing: list[OpenCustomer]


class Order(Neighbour):
    """Trades, and the epochs of partitions."""

    def __init__(self, address: str, token_file: Path | str, clock: Clock) -> None:
        super().__init__(address, token_file, clock)
        self._stub = order_grpc.OrderExecutionServiceStub(self.channel)

    async def lead(self, worker: str, partitions: Collection[int]) -> dict[int, int]:
        """Become leader of the partitions; the epoch of each."""
        request = order_pb.LeadPartitionsRequest(worker=worker, partitions=sorted(partitions))
        response = await self._call(self._stub.LeadPartitions, request)
        return {grant.partition: grant.epoch for grant in response.grants}

    async def claim(self, epochs: Mapping[int, int], turns: Sequence[Turn]) -> Claimed:
        """Take up the oldest open trade of each customer, and what is to be canceled."""
        response = await self._call(self._stub.ClaimTrades, wire.claims_to(epochs, turns))
        return Claimed(
            [wire.trade_from(claimed) for claimed in response.trades],
            [wire.cancel_from(claimed) for claimed in response.cancels],
            [claimed_replace_from(claimed) for claimed in response.replaces],
            list(response.lost_partitions),
        )

    async def open_customers(
        self, partitions: Collection[int], *, older_than_seconds: float, limit: int
    ) -> OpenCustomers:
        """Who waits for long; in all partitions when none is named."""
        request = order_pb.ListOpenCustomersRequest(
            partitions=sorted(partitions),
            older_than_ms=int(older_than_seconds * 1000),
            limit=limit,
        )
        response = await self._call(self._stub.ListOpenCustomers, request)
        return OpenCustomers(
            _open_customers(response.customers),
            _open_customers(response.canceling),
            _open_customers(response.replacing),
        )

    async def replaces(self, replace_ids: Sequence[str]) -> list[ReplaceTerms | None]:
        """What replaces ask for, and what they replace; None: there is no such replace."""
        request = order_pb.GetReplacesRequest(replace_ids=replace_ids)
        response = await self._call(self._stub.GetReplaces, request)
        must_answer_all(replace_ids, response.replaces)
        return [terms_from(found) if found.trade_id else None for found in response.replaces]

    async def record(self, outcomes: Sequence[order_pb.Outcome]) -> Recorded:
        """Say what became of trades, in this order."""
        return await self.apply(order_pb.ApplyOutcomesRequest(outcomes=outcomes))

    async def apply(self, request: order_pb.ApplyOutcomesRequest) -> Recorded:
        """The same."""
        response = await self._call(self._stub.ApplyOutcomes, request)
        must_answer_all(request.outcomes, response.results)
        bookings = [_recorded(result) for result in response.results]
        return Recorded(bookings, _open_customers(response.open_customers))

    async def record_faults(self, setbacks: Sequence[Setback], *, park_after: int) -> list[Faulted]:
        """Count attempts that failed; what came of each."""
        request = wire.faults_to(setbacks, park_after=park_after)
        response = await self._call(self._stub.RecordFaults, request)
        must_answer_all(setbacks, response.results)
        return [Faulted(result.faults, result.is_parked) for result in response.results]

    async def parked(self, *, trade_id: str = "", limit: int = 0) -> list[order_pb.ParkedTrade]:
        """Parked trades, longest parked first; of one trade when it is named."""
        request = order_pb.ListParkedTradesRequest(limit=limit, trade_id=trade_id)
        response = await self._call(self._stub.ListParkedTrades, request)
        return list(response.trades)

    async def release_parked(self, trade_id: str, *, actor: str, reason_text: str) -> TradeMessage:
        """Let a parked trade go on."""
        request = order_pb.ReleaseParkedTradeRequest(
            trade_id=trade_id, actor=actor, reason_text=reason_text
        )
        response = await self._call(self._stub.ReleaseParkedTrade, request)
        return response.trade  # type: ignore[no-any-return]

    async def condemn_parked(self, trade_id: str, *, actor: str, reason_text: str) -> TradeMessage:
        """Decide that a parked trade will be rejected."""
        request = order_pb.CondemnParkedTradeRequest(
            trade_id=trade_id, actor=actor, reason_text=reason_text
        )
        response = await self._call(self._stub.CondemnParkedTrade, request)
        return response.trade  # type: ignore[no-any-return]

    async def in_doubt(self, *, limit: int) -> list[TradeMessage]:
        """Trades in doubt, longest in doubt first."""
        request = order_pb.ListTradesInDoubtRequest(limit=limit)
        response = await self._call(self._stub.ListTradesInDoubt, request)
        return list(response.trades)


def _recorded(result: order_pb.OutcomeResult) -> Booking:
    if result.code != _IMPOSSIBLE:
        return APPLIED
    detail = result.detail or "it cannot be true of this trade"
    return Booking(Code.IMPOSSIBLE, f"the order service says: {detail}")


def _open_customers(customers: Collection[order_pb.OpenCustomer]) -> list[OpenCustomer]:
    return [
        OpenCustomer(
            customer.customer_id,
            customer.partition,
            customer.trade_id,
            is_taken_up=customer.claimed_epoch > 0,
        )
        for customer in customers
    ]
