"""Replaces at the order service, the ledger and the gateway, by the contracts, in memory."""

from collections.abc import Iterable
from typing import Any

import grpc

from libs.partition import partition_of
from stockbroker.common.v1.reason_pb2 import Reason
from stockbroker.exchange_gateway.v1 import exchange_gateway_service_pb2 as gateway_pb
from stockbroker.ledger.v1 import ledger_service_pb2 as ledger_pb
from stockbroker.order.v1 import order_execution_service_pb2 as order_pb
from stockbroker.order.v1 import order_pb2 as trade_pb
from tests.execution.fakes.faults import Faults
from tests.execution.fakes.parking import Row

Context = grpc.aio.ServicerContext[Any, Any]
PENDING_REPLACE = trade_pb.TRADE_STATUS_PENDING_REPLACE


class FakeReplaces:
    """The part of the order service that replaces."""

    faults: Faults
    rows: dict[str, Row]

    def __init__(self) -> None:
        self.replaces: dict[str, order_pb.ReplaceTerms] = {}
        self.refusals: dict[str, Reason.ValueType] = {}

    def ask_to_replace(self, trade_id: str, quantity: int, limit_price_micros: int) -> str:
        """As a customer does once the exchange has the order; the replace's id."""
        trade = self.rows[trade_id].trade
        replace_id = f"019aa000-0000-7000-8000-{len(self.replaces):012}"
        self.replaces[replace_id] = order_pb.ReplaceTerms(
            replace_id=replace_id,
            trade_id=trade_id,
            side=trade.side,
            symbol=trade.symbol,
            order_type=trade.order_type,
            old_quantity=trade.quantity,
            old_limit_price_micros=trade.limit_price_micros,
            old_filled_quantity=trade.filled_quantity,
            quantity=quantity,
            limit_price_micros=limit_price_micros,
        )
        trade.status = PENDING_REPLACE
        trade.pending_replace.replace_id = replace_id
        self.rows[trade_id].replace_epoch = 0
        return replace_id

    def claim_replaces(
        self, customer_ids: Iterable[str], grant: order_pb.PartitionGrant
    ) -> list[order_pb.ClaimedReplace]:
        """All that is to be replaced for these customers."""
        customers = set(customer_ids)
        found = [row for row in self._replacing() if row.trade.customer_id in customers]
        for row in found:
            row.replace_epoch = grant.epoch
        return [
            order_pb.ClaimedReplace(
                trade=row.trade,
                partition=grant.partition,
                epoch=grant.epoch,
                terms=self.replaces[row.trade.pending_replace.replace_id],
            )
            for row in found
        ]

    def list_replacing(self, partitions: set[int]) -> list[order_pb.OpenCustomer]:
        """Who waits for a replace."""
        found = [
            order_pb.OpenCustomer(
                customer_id=row.trade.customer_id,
                partition=partition_of(row.trade.customer_id),
                trade_id=row.trade.trade_id,
                claimed_epoch=row.replace_epoch,
            )
            for row in self._replacing()
        ]
        return [each for each in found if not partitions or each.partition in partitions]

    def answer_replace(self, row: Row, outcome: order_pb.Outcome) -> None:
        """What became of it."""
        row.trade.status = trade_pb.TRADE_STATUS_IN_PROGRESS
        row.trade.ClearField("pending_replace")
        if outcome.HasField("replaced"):
            terms = self.replaces[outcome.replaced.replace_id]
            row.trade.quantity = terms.quantity
            row.trade.limit_price_micros = terms.limit_price_micros
        else:
            refusal = outcome.replace_rejected
            self.refusals[refusal.replace_id] = refusal.reason

    async def GetReplaces(
        self, request: order_pb.GetReplacesRequest, context: Context
    ) -> order_pb.GetReplacesResponse:
        await self.faults.before("GetReplaces", request)
        unknown = order_pb.ReplaceTerms()
        return order_pb.GetReplacesResponse(
            replaces=[self.replaces.get(each, unknown) for each in request.replace_ids]
        )

    def _replacing(self) -> list[Row]:
        return [row for row in self.rows.values() if row.trade.status == PENDING_REPLACE]


class FakeHoldSizes:
    """The part of the ledger that makes holds larger and smaller."""

    faults: Faults
    closed: set[str]

    def __init__(self) -> None:
        self.adjusted: dict[str, ledger_pb.HoldAdjustment] = {}
        self.refuses: dict[str, Reason.ValueType] = {}  # by hold, what makes it larger

    async def AdjustHolds(
        self, request: ledger_pb.AdjustHoldsRequest, context: Context
    ) -> ledger_pb.AdjustHoldsResponse:
        await self.faults.before("AdjustHolds", request)
        results = [self._adjust(each) for each in request.adjustments]
        await self.faults.after("AdjustHolds")
        return ledger_pb.AdjustHoldsResponse(results=results)

    def changes(self) -> list[int]:
        """By how much holds were changed, in order."""
        return [each.amount for each in self.adjusted.values()]

    def _adjust(self, adjustment: ledger_pb.HoldAdjustment) -> ledger_pb.ItemResult:
        reason = Reason.REASON_UNSPECIFIED
        if adjustment.adjustment_id in self.adjusted:
            assert self.adjusted[adjustment.adjustment_id] == adjustment
        elif adjustment.hold_id in self.closed:
            reason = Reason.REASON_HOLD_CLOSED
        elif adjustment.amount > 0 and adjustment.hold_id in self.refuses:
            reason = self.refuses[adjustment.hold_id]
        else:
            self.adjusted[adjustment.adjustment_id] = adjustment
        return ledger_pb.ItemResult(id=adjustment.adjustment_id, reason=reason)


class FakeRevisions:
    """The part of the gateway that replaces."""

    faults: Faults
    states: dict[str, gateway_pb.OrderState.ValueType]
    epochs: dict[int, int]

    def __init__(self) -> None:
        super().__init__()
        self.replaced: list[str] = []

    async def ReplaceOrders(
        self, request: gateway_pb.ReplaceOrdersRequest, context: Context
    ) -> gateway_pb.ReplaceOrdersResponse:
        await self.faults.before("ReplaceOrders", request)
        response = gateway_pb.ReplaceOrdersResponse(results=map(self._replace, request.replaces))
        await self.faults.after("ReplaceOrders")
        return response

    def _replace(self, replace: gateway_pb.Replace) -> gateway_pb.ReplaceResult:
        replace_id = replace.replace_id
        if replace.epoch < self.epochs[replace.partition]:
            return gateway_pb.ReplaceResult(replace_id=replace_id, reason=Reason.REASON_STALE_EPOCH)
        state = self.states[replace.trade_id]
        never_sent = state == gateway_pb.ORDER_STATE_DONE and replace_id not in self.replaced
        if not never_sent:
            self.replaced.append(replace_id)
        return gateway_pb.ReplaceResult(replace_id=replace_id, state=state, never_sent=never_sent)
