"""Neighbours of execution that keep the contract in memory, and can be told to misbehave.

Each runs behind a real gRPC server on a free port. What they saw is kept for the tests to look at.
"""

import asyncio
from collections import defaultdict
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import grpc

from libs.auth import Role, Verifier
from libs.partition import partition_of
from libs.refusals import Unavailable
from libs.rpc import RpcServer
from stockbroker.common.v1.reason_pb2 import Reason
from stockbroker.common.v1.terms_pb2 import OrderType, Side, TimeInForce
from stockbroker.exchange_gateway.v1 import exchange_gateway_service_pb2 as gateway_pb
from stockbroker.exchange_gateway.v1 import exchange_gateway_service_pb2_grpc as gateway_grpc
from stockbroker.ledger.v1 import ledger_service_pb2 as ledger_pb
from stockbroker.ledger.v1 import ledger_service_pb2_grpc as ledger_grpc
from stockbroker.order.v1 import order_execution_service_pb2 as order_pb
from stockbroker.order.v1 import order_execution_service_pb2_grpc as order_grpc
from stockbroker.order.v1 import order_pb2 as trade_pb

Verdict = tuple[order_pb.OutcomeResult.Code.ValueType, str]
Context = grpc.aio.ServicerContext[Any, Any]
_OPEN = {trade_pb.TRADE_STATUS_PLACED, trade_pb.TRADE_STATUS_IN_PROGRESS}
_PATIENCE_SECONDS = 60.0
_START_CASH = 1_000_000_000_000


class Faults:
    """What goes wrong at a neighbour.

    `is_away` fails every call; `lose` says how many answers of a method are lost after the work
    was done; `closed` methods
    are kept waiting before the work, `muted` ones after it; `poison` says which requests end in
    a fault.
    """

    def __init__(self) -> None:
        self.is_away = False
        self.lose: dict[str, int] = {}
        self.closed: set[str] = set()
        self.muted: set[str] = set()
        self.poison: Callable[[Any], bool] = lambda request: False
        self.calls: dict[str, int] = defaultdict(int)

    async def before(self, method: str, request: Any) -> None:
        """Called before the work."""
        self.calls[method] += 1
        await _while(lambda: method in self.closed)
        if self.is_away:
            raise _unavailable()
        if self.poison(request):
            raise RuntimeError("poison")

    async def after(self, method: str) -> None:
        """Called after the work."""
        await _while(lambda: method in self.muted)
        if self.lose.get(method, 0) > 0:
            self.lose[method] -= 1
            raise _unavailable()


async def _while(holds: Callable[[], bool]) -> None:
    deadline = asyncio.get_running_loop().time() + _PATIENCE_SECONDS
    while holds() and asyncio.get_running_loop().time() < deadline:
        await asyncio.sleep(0.005)


def _unavailable() -> Unavailable:
    return Unavailable(Reason.REASON_UNAVAILABLE, "away")


@dataclass
class Row:
    """A trade at the order service."""

    trade: trade_pb.Trade
    placed_at: float
    claimed_epoch: int = 0
    attempts: int = 0
    executions: set[str] = field(default_factory=set)


class FakeOrder(order_grpc.OrderExecutionServiceServicer):
    """Trades and epochs, by the contract."""

    def __init__(self) -> None:
        self.faults = Faults()
        self.rows: dict[str, Row] = {}
        self.by_customer: dict[str, list[Row]] = defaultdict(list)
        self.epochs: dict[int, int] = defaultdict(int)
        self.leaders: dict[int, str] = {}
        self.claims: list[tuple[str, int]] = []
        self.stale_claims = 0
        self.swept_whole: set[int] = set()
        self.sweep_ages: dict[int, int] = defaultdict(int)
        self.log: list[tuple[str, str]] = []

    def place(
        self,
        customer_id: str,
        *,
        symbol: str = "AAPL",
        side: Side.ValueType = Side.SIDE_BUY,
        quantity: int = 100,
        order_type: OrderType.ValueType = OrderType.ORDER_TYPE_MARKET,
        limit_price_micros: int = 0,
    ) -> str:
        """Record a trade; its id."""
        trade_id = f"trade-{len(self.rows) + 1}"
        trade = trade_pb.Trade(
            trade_id=trade_id,
            customer_id=customer_id,
            symbol=symbol,
            side=side,
            quantity=quantity,
            order_type=order_type,
            limit_price_micros=limit_price_micros,
            time_in_force=TimeInForce.TIME_IN_FORCE_DAY,
            status=trade_pb.TRADE_STATUS_PLACED,
        )
        row = Row(trade, asyncio.get_running_loop().time())
        self.rows[trade_id] = row
        self.by_customer[customer_id].append(row)
        self.log.append(("placed", trade_id))
        return trade_id

    def status(self, trade_id: str) -> str:
        """For example FILLED."""
        name = trade_pb.TradeStatus.Name(self.rows[trade_id].trade.status)
        return name.removeprefix("TRADE_STATUS_")

    def trade(self, trade_id: str) -> trade_pb.Trade:
        """As it stands."""
        return self.rows[trade_id].trade

    def all_filled(self) -> bool:
        """Whether every trade is FILLED."""
        return all(row.trade.status == trade_pb.TRADE_STATUS_FILLED for row in self.rows.values())

    def _head(self, customer_id: str) -> Row | None:
        return next((row for row in self.by_customer[customer_id] if _is_open(row)), None)

    async def LeadPartitions(
        self, request: order_pb.LeadPartitionsRequest, context: Context
    ) -> order_pb.LeadPartitionsResponse:
        await self.faults.before("LeadPartitions", request)
        response = order_pb.LeadPartitionsResponse()
        for partition in request.partitions:
            self.epochs[partition] += 1
            self.leaders[partition] = request.worker
            response.grants.add(partition=partition, epoch=self.epochs[partition])
        await self.faults.after("LeadPartitions")
        return response

    async def ClaimTrades(
        self, request: order_pb.ClaimTradesRequest, context: Context
    ) -> order_pb.ClaimTradesResponse:
        await self.faults.before("ClaimTrades", request)
        response = order_pb.ClaimTradesResponse()
        for claim in request.claims:
            partition, epoch = claim.grant.partition, claim.grant.epoch
            if self.epochs[partition] != epoch:
                self.stale_claims += 1
                response.lost_partitions.append(partition)
                continue
            for customer_id in claim.customer_ids:
                assert partition_of(customer_id) == partition
                self._claim(customer_id, claim.grant, response)
        await self.faults.after("ClaimTrades")
        return response

    def _claim(
        self,
        customer_id: str,
        grant: order_pb.PartitionGrant,
        response: order_pb.ClaimTradesResponse,
    ) -> None:
        row = self._head(customer_id)
        if row is None:
            return
        assert row.claimed_epoch <= grant.epoch
        if row.trade.status == trade_pb.TRADE_STATUS_PLACED:
            row.trade.status = trade_pb.TRADE_STATUS_IN_PROGRESS
            self.log.append(("started", row.trade.trade_id))
        row.claimed_epoch = grant.epoch
        row.attempts += 1
        self.claims.append((row.trade.trade_id, grant.epoch))
        response.trades.add(
            trade=row.trade,
            partition=grant.partition,
            epoch=grant.epoch,
            attempts=row.attempts,
        )

    async def ListOpenCustomers(
        self, request: order_pb.ListOpenCustomersRequest, context: Context
    ) -> order_pb.ListOpenCustomersResponse:
        await self.faults.before("ListOpenCustomers", request)
        latest = asyncio.get_running_loop().time() - request.older_than_ms / 1000
        heads = [head for customer in self.by_customer if (head := self._head(customer))]
        waiting = [
            _open_customer(head)
            for head in sorted(heads, key=lambda head: head.placed_at)
            if head.placed_at <= latest
        ]
        wanted = set(request.partitions)
        self.sweep_ages[request.older_than_ms] += 1
        if request.older_than_ms == 0:
            self.swept_whole |= wanted
        found = [customer for customer in waiting if not wanted or customer.partition in wanted]
        return order_pb.ListOpenCustomersResponse(customers=found[: request.limit or 1000])

    async def ApplyOutcomes(
        self, request: order_pb.ApplyOutcomesRequest, context: Context
    ) -> order_pb.ApplyOutcomesResponse:
        await self.faults.before("ApplyOutcomes", request)
        response = order_pb.ApplyOutcomesResponse()
        ended = {}
        for outcome in request.outcomes:
            code, detail = self._apply(outcome)
            row = self.rows.get(outcome.trade_id)
            status = row.trade.status if row else trade_pb.TRADE_STATUS_UNSPECIFIED
            response.results.add(trade_id=outcome.trade_id, code=code, detail=detail, status=status)
            if row and not _is_open(row):
                ended[row.trade.customer_id] = True
        for customer_id in ended:
            head = self._head(customer_id)
            if head is not None:
                response.open_customers.append(_open_customer(head))
        await self.faults.after("ApplyOutcomes")
        return response

    def _apply(self, outcome: order_pb.Outcome) -> Verdict:
        result = order_pb.OutcomeResult
        row = self.rows.get(outcome.trade_id)
        if row is None:
            return result.CODE_IMPOSSIBLE, "no such trade"
        kind = outcome.WhichOneof("outcome")
        is_fill = kind == "execution"
        if is_fill and outcome.execution.execution_id in row.executions:
            return result.CODE_REPEATED, ""
        if not _is_open(row):
            if is_fill:
                return result.CODE_IMPOSSIBLE, "the trade has ended"
            return result.CODE_REPEATED, ""
        if is_fill:
            return self._fill(row, outcome.execution)
        self._change(row, outcome)
        return result.CODE_APPLIED, ""

    def _fill(self, row: Row, execution: trade_pb.Execution) -> Verdict:
        if row.trade.filled_quantity + execution.quantity > row.trade.quantity:
            return order_pb.OutcomeResult.CODE_IMPOSSIBLE, "more shares than ordered"
        row.executions.add(execution.execution_id)
        row.trade.filled_quantity += execution.quantity
        if row.trade.filled_quantity == row.trade.quantity:
            self._end(row, trade_pb.TRADE_STATUS_FILLED)
        return order_pb.OutcomeResult.CODE_APPLIED, ""

    def _change(self, row: Row, outcome: order_pb.Outcome) -> None:
        match outcome.WhichOneof("outcome"):
            case "accepted":
                row.trade.exchange_order_id = outcome.accepted.exchange_order_id
            case "rejected":
                row.trade.reason = outcome.rejected.reason
                row.trade.reason_text = outcome.rejected.reason_text
                self._end(row, trade_pb.TRADE_STATUS_REJECTED)
            case "canceled":
                row.trade.reason = outcome.canceled.reason
                expired = outcome.canceled.expired
                ends = (trade_pb.TRADE_STATUS_CANCELED, trade_pb.TRADE_STATUS_EXPIRED)
                self._end(row, ends[expired])
            case "in_doubt":
                row.trade.in_doubt = True
                row.trade.reason_text = outcome.in_doubt.reason_text

    def _end(self, row: Row, status: trade_pb.TradeStatus.ValueType) -> None:
        row.trade.status = status
        row.trade.in_doubt = False
        self.log.append(("ended", row.trade.trade_id))


def _is_open(row: Row) -> bool:
    return row.trade.status in _OPEN


def _open_customer(row: Row) -> order_pb.OpenCustomer:
    return order_pb.OpenCustomer(
        customer_id=row.trade.customer_id,
        partition=partition_of(row.trade.customer_id),
        trade_id=row.trade.trade_id,
        claimed_epoch=row.claimed_epoch,
    )


class FakeLedger(ledger_grpc.LedgerServiceServicer):
    """Cash, and holds that give their first answer again."""

    def __init__(self) -> None:
        self.faults = Faults()
        self.cash: dict[str, int] = defaultdict(lambda: _START_CASH)
        self.holds: dict[str, ledger_pb.ItemResult] = {}
        self.asked: dict[str, ledger_pb.Hold] = {}
        self.closed: set[str] = set()
        self.posted: dict[str, ledger_pb.ExecutionPosting] = {}
        self.released: set[str] = set()
        self.log: list[tuple[str, str]] = []

    async def PlaceHolds(
        self, request: ledger_pb.PlaceHoldsRequest, context: Context
    ) -> ledger_pb.PlaceHoldsResponse:
        await self.faults.before("PlaceHolds", request)
        for hold in request.holds:
            if hold.hold_id not in self.holds:
                self.holds[hold.hold_id] = self._place(hold)
                self.asked[hold.hold_id] = hold
            assert self.asked[hold.hold_id] == hold
        results = [self.holds[hold.hold_id] for hold in request.holds]
        await self.faults.after("PlaceHolds")
        return ledger_pb.PlaceHoldsResponse(results=results)

    def _place(self, hold: ledger_pb.Hold) -> ledger_pb.ItemResult:
        available = self.cash[hold.customer_id] if hold.asset == "USD" else 0
        if hold.asset != "USD":
            reason = Reason.REASON_INSUFFICIENT_SHARES
        elif available < max(hold.amount, 1):
            reason = Reason.REASON_INSUFFICIENT_FUNDS
        else:
            reason = Reason.REASON_UNSPECIFIED
        amount = 0 if reason else hold.amount or available
        return ledger_pb.ItemResult(id=hold.hold_id, reason=reason, amount=amount)

    async def PostExecutions(
        self, request: ledger_pb.PostExecutionsRequest, context: Context
    ) -> ledger_pb.PostExecutionsResponse:
        await self.faults.before("PostExecutions", request)
        results = []
        for posting in request.executions:
            reason = Reason.REASON_UNSPECIFIED
            is_new = posting.execution_id not in self.posted
            if is_new:
                reason = self._why_not(posting.trade_id)
            if is_new and not reason:
                self.posted[posting.execution_id] = posting
                self.log.append(("posted", posting.trade_id))
                if posting.releases_rest:
                    self.closed.add(posting.trade_id)
            results.append(ledger_pb.ItemResult(id=posting.execution_id, reason=reason))
        await self.faults.after("PostExecutions")
        return ledger_pb.PostExecutionsResponse(results=results)

    async def ReleaseHolds(
        self, request: ledger_pb.ReleaseHoldsRequest, context: Context
    ) -> ledger_pb.ReleaseHoldsResponse:
        await self.faults.before("ReleaseHolds", request)
        results = []
        for release in request.releases:
            reason = Reason.REASON_UNSPECIFIED
            is_new = release.hold_id not in self.released
            if is_new:
                reason = self._why_not(release.hold_id)
            if is_new and not reason:
                self.released.add(release.hold_id)
                self.closed.add(release.hold_id)
                self.log.append(("released", release.hold_id))
            results.append(ledger_pb.ItemResult(id=release.hold_id, reason=reason))
        await self.faults.after("ReleaseHolds")
        return ledger_pb.ReleaseHoldsResponse(results=results)

    def _why_not(self, hold_id: str) -> Reason.ValueType:
        if hold_id not in self.holds or self.holds[hold_id].reason:
            return Reason.REASON_HOLD_NOT_FOUND
        if hold_id in self.closed:
            return Reason.REASON_HOLD_CLOSED
        return Reason.REASON_UNSPECIFIED


class FakeGateway(gateway_grpc.ExchangeGatewayServiceServicer):
    """Orders, each sent to the exchange once, fenced by epoch."""

    def __init__(self) -> None:
        self.faults = Faults()
        self.orders: dict[str, gateway_pb.Order] = {}
        self.sent: list[str] = []
        self.states: dict[str, gateway_pb.OrderState.ValueType] = {}
        self.epochs: dict[int, int] = defaultdict(int)
        self.stale = 0
        self.news: asyncio.Queue[str] = asyncio.Queue()

    async def SubmitOrders(
        self, request: gateway_pb.SubmitOrdersRequest, context: Context
    ) -> gateway_pb.SubmitOrdersResponse:
        await self.faults.before("SubmitOrders", request)
        response = gateway_pb.SubmitOrdersResponse()
        for order in request.orders:
            reason = Reason.REASON_UNSPECIFIED
            if order.epoch < self.epochs[order.partition]:
                reason = Reason.REASON_STALE_EPOCH
                self.stale += 1
            else:
                self.epochs[order.partition] = order.epoch
                self._take(order)
            response.results.add(
                trade_id=order.trade_id,
                reason=reason,
                state=self.states.get(order.trade_id, gateway_pb.ORDER_STATE_UNKNOWN),
            )
        await self.faults.after("SubmitOrders")
        return response

    def _take(self, order: gateway_pb.Order) -> None:
        if order.trade_id in self.orders:
            return
        self.orders[order.trade_id] = order
        self.states[order.trade_id] = gateway_pb.ORDER_STATE_PENDING
        self.sent.append(order.trade_id)
        self.news.put_nowait(order.trade_id)

    async def GetOrders(
        self, request: gateway_pb.GetOrdersRequest, context: Context
    ) -> gateway_pb.GetOrdersResponse:
        await self.faults.before("GetOrders", request)
        unknown = gateway_pb.ORDER_STATE_UNKNOWN
        return gateway_pb.GetOrdersResponse(
            orders=[
                gateway_pb.OrderStatus(trade_id=trade_id, state=self.states.get(trade_id, unknown))
                for trade_id in request.trade_ids
            ]
        )


@dataclass
class Street:
    """The neighbours and where they answer."""

    order: FakeOrder
    ledger: FakeLedger
    gateway: FakeGateway
    addresses: dict[str, str]


@asynccontextmanager
async def street(jwks_file: str) -> AsyncIterator[Street]:
    """All three neighbours, serving."""
    order, ledger, gateway = FakeOrder(), FakeLedger(), FakeGateway()
    verifier = Verifier(jwks_file)
    servers = []
    addresses = {}
    doors: tuple[tuple[str, Any, Any, Any], ...] = (
        ("order", order_pb, order_grpc.add_OrderExecutionServiceServicer_to_server, order),
        ("ledger", ledger_pb, ledger_grpc.add_LedgerServiceServicer_to_server, ledger),
        (
            "gateway",
            gateway_pb,
            gateway_grpc.add_ExchangeGatewayServiceServicer_to_server,
            gateway,
        ),
    )
    for name, contract, add, servicer in doors:
        (service,) = contract.DESCRIPTOR.services_by_name.values()
        allow = {
            f"/{service.full_name}/{method.name}": frozenset({Role.SERVICE})
            for method in service.methods
        }
        rpc = RpcServer(
            listen="127.0.0.1:0", allow=allow, verifier=verifier, quiet=frozenset(allow)
        )
        add(servicer, rpc.server)
        await rpc.start()
        servers.append(rpc)
        addresses[name] = rpc.address
    try:
        yield Street(order, ledger, gateway, addresses)
    finally:
        for rpc in servers:
            await rpc.stop(0)
