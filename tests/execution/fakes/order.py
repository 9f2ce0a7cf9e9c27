"""Trades and epochs, by the contract, in memory."""

import asyncio
from collections import defaultdict
from typing import Any

import grpc

from libs.partition import partition_of
from stockbroker.common.v1.terms_pb2 import OrderType, Side, TimeInForce
from stockbroker.order.v1 import order_execution_service_pb2 as order_pb
from stockbroker.order.v1 import order_execution_service_pb2_grpc as order_grpc
from stockbroker.order.v1 import order_pb2 as trade_pb
from tests.execution.fakes.canceling import PENDING_CANCEL, FakeCancels
from tests.execution.fakes.faults import Faults
from tests.execution.fakes.parking import FakeParking, Row
from tests.execution.fakes.replacing import PENDING_REPLACE, FakeReplaces

Verdict = tuple[order_pb.OutcomeResult.Code.ValueType, str]
Context = grpc.aio.ServicerContext[Any, Any]
_OPEN = {
    trade_pb.TRADE_STATUS_PLACED,
    trade_pb.TRADE_STATUS_IN_PROGRESS,
    PENDING_CANCEL,
    PENDING_REPLACE,
}


class FakeOrder(FakeParking, FakeCancels, FakeReplaces, order_grpc.OrderExecutionServiceServicer):
    """Trades and epochs, by the contract."""

    def __init__(self) -> None:
        super().__init__()
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
            customers = (*claim.customer_ids, *claim.halted_customer_ids)
            response.cancels.extend(self.claim_cancels(customers, claim.grant))
            response.replaces.extend(self.claim_replaces(claim.customer_ids, claim.grant))
        await self.faults.after("ClaimTrades")
        return response

    def _claim(
        self,
        customer_id: str,
        grant: order_pb.PartitionGrant,
        response: order_pb.ClaimTradesResponse,
    ) -> None:
        row = self._head(customer_id)
        if row is None or row.is_parked:
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
            if head.placed_at <= latest and not head.is_parked
        ]
        wanted = set(request.partitions)
        self.sweep_ages[request.older_than_ms] += 1
        if request.older_than_ms == 0:
            self.swept_whole |= wanted
        found = [customer for customer in waiting if not wanted or customer.partition in wanted]
        limit = request.limit or 1000
        canceling, replacing = self.list_canceling(wanted), self.list_replacing(wanted)
        asked = {each.trade_id for each in (*canceling, *replacing)}
        told = set([trade_id for trade_id in self.rows if trade_id in asked][:limit])
        return order_pb.ListOpenCustomersResponse(
            customers=found[:limit],
            canceling=[each for each in canceling if each.trade_id in told],
            replacing=[each for each in replacing if each.trade_id in told],
        )

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
        if kind == "amended":
            row.amended.append(outcome.amended)
            return result.CODE_APPLIED, ""
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
                row.trade.in_doubt = False
            case "rejected":
                row.trade.reason = outcome.rejected.reason
                row.trade.reason_text = outcome.rejected.reason_text
                self._end(row, trade_pb.TRADE_STATUS_REJECTED)
            case "canceled":
                row.trade.reason = outcome.canceled.reason
                expired = outcome.canceled.expired
                ends = (trade_pb.TRADE_STATUS_CANCELED, trade_pb.TRADE_STATUS_EXPIRED)
                self._end(row, ends[expired])
            case "replaced" | "replace_rejected":
                self.answer_replace(row, outcome)
            case "cancel_rejected":
                row.trade.status = trade_pb.TRADE_STATUS_IN_PROGRESS
            case "in_doubt":
                row.trade.in_doubt = True
                row.trade.in_doubt_since.GetCurrentTime()
                row.trade.reason_text = outcome.in_doubt.reason_text

    def _end(self, row: Row, status: trade_pb.TradeStatus.ValueType) -> None:
        row.trade.status = status
        row.trade.in_doubt = row.is_parked = False
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
