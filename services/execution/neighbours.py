"""The services execution calls: order, ledger and the exchange gateway.

Every call is one attempt with a deadline. What passes by itself is raised as Unavailable, anything
else as NeighbourFault; `Insistence` repeats what is Unavailable. All calls are safe to repeat.
"""

from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import grpc
import structlog
from tenacity import AsyncRetrying, RetryCallState, retry_if_exception_type, wait_random_exponential

from libs.clock import Clock
from libs.refusals import Unavailable
from libs.rpc import connect
from services.execution import wire
from services.execution.domain.booking import Booking, Code, code_of
from services.execution.domain.report import Fill, Report
from services.execution.domain.trade import Held, OpenCustomer, OrderState, Submitted, Trade
from stockbroker.common.v1.reason_pb2 import Reason
from stockbroker.exchange_gateway.v1 import exchange_gateway_service_pb2 as gateway_pb
from stockbroker.exchange_gateway.v1 import exchange_gateway_service_pb2_grpc as gateway_grpc
from stockbroker.ledger.v1 import ledger_service_pb2 as ledger_pb
from stockbroker.ledger.v1 import ledger_service_pb2_grpc as ledger_grpc
from stockbroker.order.v1 import order_execution_service_pb2 as order_pb
from stockbroker.order.v1 import order_execution_service_pb2_grpc as order_grpc

_PASSING = {
    grpc.StatusCode.UNAVAILABLE,
    grpc.StatusCode.DEADLINE_EXCEEDED,
    grpc.StatusCode.RESOURCE_EXHAUSTED,
    grpc.StatusCode.ABORTED,
    grpc.StatusCode.CANCELLED,
    grpc.StatusCode.UNAUTHENTICATED,  # until the token file is renewed
}
_SILENT = {grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED}

Answer = TypeVar("Answer")
_log = structlog.get_logger()


class NeighbourFault(RuntimeError):
    """A neighbour answered with an error that does not pass by itself."""


@dataclass(frozen=True, slots=True)
class Claimed:
    """What a claim gave: trades taken up, and partitions that have another leader."""

    trades: list[Trade]
    lost_partitions: list[int]


@dataclass(frozen=True, slots=True)
class Recorded:
    """What recording outcomes gave: what was done with each, and who goes on."""

    bookings: list[Booking]
    open_customers: list[OpenCustomer]


class Neighbour:
    """A channel to one service."""

    def __init__(
        self, address: str, token_file: Path | str, clock: Clock, *, timeout_seconds: float = 5.0
    ) -> None:
        self.channel = connect(address, token_file)
        self._clock = clock
        self._timeout_seconds = timeout_seconds
        self._answered_at = clock.monotonic()

    @property
    def silent_seconds(self) -> float:
        """How long ago it last answered anything; since the start if it never did."""
        return self._clock.monotonic() - self._answered_at

    async def close(self) -> None:
        """End the calls in progress."""
        await self.channel.close()

    async def _call(self, method: Any, request: Any) -> Any:
        """One attempt. Raises Unavailable or NeighbourFault."""
        try:
            response = await method(request, timeout=self._timeout_seconds)
        except grpc.aio.AioRpcError as error:
            if error.code() not in _SILENT:
                self._answered_at = self._clock.monotonic()
            if error.code() in _PASSING:
                raise _unavailable(error.details()) from error
            raise NeighbourFault(f"{error.code().name}: {error.details()}") from error
        except grpc.aio.UsageError as error:  # the channel is closed
            raise _unavailable(str(error)) from error
        self._answered_at = self._clock.monotonic()
        return response


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

    async def claim(
        self, epochs: Mapping[int, int], customers: Mapping[int, Sequence[str]]
    ) -> Claimed:
        """Take up the oldest open trade of each customer."""
        response = await self._call(self._stub.ClaimTrades, wire.claims_to(epochs, customers))
        trades = [wire.trade_from(claimed) for claimed in response.trades]
        return Claimed(trades, list(response.lost_partitions))

    async def open_customers(
        self, partitions: Collection[int], *, older_than_seconds: float, limit: int
    ) -> list[OpenCustomer]:
        """Customers whose oldest trade is open for long; of all partitions when none is named."""
        request = order_pb.ListOpenCustomersRequest(
            partitions=sorted(partitions),
            older_than_ms=int(older_than_seconds * 1000),
            limit=limit,
        )
        response = await self._call(self._stub.ListOpenCustomers, request)
        return _open_customers(response.customers)

    async def record(self, outcomes: Sequence[order_pb.Outcome]) -> Recorded:
        """Say what became of trades, in this order."""
        request = order_pb.ApplyOutcomesRequest(outcomes=outcomes)
        response = await self._call(self._stub.ApplyOutcomes, request)
        _must_answer_all(outcomes, response.results)
        bookings = [_recorded(result) for result in response.results]
        return Recorded(bookings, _open_customers(response.open_customers))


class Ledger(Neighbour):
    """Cash and shares."""

    def __init__(self, address: str, token_file: Path | str, clock: Clock) -> None:
        super().__init__(address, token_file, clock)
        self._stub = ledger_grpc.LedgerServiceStub(self.channel)

    async def hold(self, trades: Sequence[Trade]) -> list[Held]:
        """Set aside what each trade needs."""
        response = await self._call(self._stub.PlaceHolds, wire.holds_to(trades))
        _must_answer_all(trades, response.results)
        return [Held(result.amount, result.reason) for result in response.results]

    async def post(self, fills: Sequence[tuple[Report, Fill]]) -> list[Booking]:
        """Book fills; what was done with each."""
        executions = [wire.posting_to(report, fill) for report, fill in fills]
        request = ledger_pb.PostExecutionsRequest(executions=executions)
        response = await self._call(self._stub.PostExecutions, request)
        _must_answer_all(fills, response.results)
        return [_booked(result.reason) for result in response.results]

    async def release(self, trade_ids: Sequence[str]) -> list[Booking]:
        """Free what is left of the trades' holds; what was done with each."""
        releases = [ledger_pb.Release(hold_id=trade_id) for trade_id in trade_ids]
        request = ledger_pb.ReleaseHoldsRequest(releases=releases)
        response = await self._call(self._stub.ReleaseHolds, request)
        _must_answer_all(trade_ids, response.results)
        return [_booked(result.reason) for result in response.results]


class Gateway(Neighbour):
    """The way to the exchange."""

    def __init__(self, address: str, token_file: Path | str, clock: Clock) -> None:
        super().__init__(address, token_file, clock)
        self._stub = gateway_grpc.ExchangeGatewayServiceStub(self.channel)

    async def submit(self, orders: Sequence[tuple[Trade, Held]]) -> list[Submitted]:
        """Hand orders over for the exchange; known ones are not sent twice."""
        request = gateway_pb.SubmitOrdersRequest(
            orders=[wire.order_to(trade, held) for trade, held in orders]
        )
        response = await self._call(self._stub.SubmitOrders, request)
        _must_answer_all(orders, response.results)
        return [
            Submitted(result.reason, is_stale=result.reason == Reason.REASON_STALE_EPOCH)
            for result in response.results
        ]

    async def states(self, trade_ids: Sequence[str]) -> list[OrderState]:
        """Where orders stand, at most 1000."""
        request = gateway_pb.GetOrdersRequest(trade_ids=trade_ids)
        response = await self._call(self._stub.GetOrders, request)
        _must_answer_all(trade_ids, response.orders)
        states = {
            gateway_pb.ORDER_STATE_UNKNOWN: OrderState.UNKNOWN,
            gateway_pb.ORDER_STATE_PENDING: OrderState.UNANSWERED,
        }
        return [states.get(order.state, OrderState.KNOWN) for order in response.orders]


@dataclass(frozen=True, slots=True)
class Neighbours:
    """All three."""

    order: Order
    ledger: Ledger
    gateway: Gateway

    async def close(self) -> None:
        """End the calls in progress."""
        for neighbour in (self.order, self.ledger, self.gateway):
            await neighbour.close()


class Insistence:
    """Repeats a call until it is answered, with growing pauses; a timeout is never an answer."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._is_over = False

    def end(self) -> None:
        """Repeat nothing from now on: the next failure is raised."""
        self._is_over = True

    async def __call__(self, call: Callable[[], Awaitable[Answer]]) -> Answer:
        """The answer of `call`. Raises NeighbourFault, and Unavailable only after `end`."""
        async for attempt in AsyncRetrying(
            retry=retry_if_exception_type(Unavailable),
            wait=wait_random_exponential(multiplier=0.05, max=1.0),
            stop=lambda _: self._is_over,
            sleep=self._clock.sleep,
            before_sleep=_tell,
            reraise=True,
        ):
            with attempt:
                return await call()
        raise AssertionError("unreachable")


def _tell(state: RetryCallState) -> None:
    """The first failed attempt and then every tenth."""
    if state.attempt_number % 10 == 1 and state.outcome is not None:
        error = str(state.outcome.exception())
        _log.warning("neighbour_away", attempt=state.attempt_number, error=error)


def _unavailable(details: str | None) -> Unavailable:
    return Unavailable(Reason.REASON_UNAVAILABLE, f"a neighbour does not answer: {details}")


def _must_answer_all(asked: Collection[object], answered: Collection[object]) -> None:
    if len(asked) != len(answered):
        raise NeighbourFault(f"{len(asked)} items were asked, {len(answered)} answered")


def _recorded(result: order_pb.OutcomeResult) -> Booking:
    if result.code != order_pb.OutcomeResult.CODE_IMPOSSIBLE:
        return Booking(Code.APPLIED)
    detail = result.detail or "it cannot be true of this trade"
    return Booking(Code.IMPOSSIBLE, f"the order service says: {detail}")


def _booked(reason: Reason.ValueType) -> Booking:
    code = code_of(reason)
    return Booking(code, "" if code is Code.APPLIED else f"the ledger says {wire.name_of(reason)}")


def _open_customers(customers: Collection[order_pb.OpenCustomer]) -> list[OpenCustomer]:
    return [
        OpenCustomer(customer.customer_id, customer.partition, customer.trade_id)
        for customer in customers
    ]
