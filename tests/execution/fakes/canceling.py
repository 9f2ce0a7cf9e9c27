"""Cancels at the order service and at the gateway, by the contracts, in memory."""

from collections.abc import Iterable
from typing import Any

import grpc

from libs.partition import partition_of
from stockbroker.common.v1.reason_pb2 import Reason
from stockbroker.exchange_gateway.v1 import exchange_gateway_service_pb2 as gateway_pb
from stockbroker.order.v1 import order_execution_service_pb2 as order_pb
from stockbroker.order.v1 import order_pb2 as trade_pb
from tests.execution.fakes.faults import Faults
from tests.execution.fakes.parking import Row

Context = grpc.aio.ServicerContext[Any, Any]
PENDING_CANCEL = trade_pb.TRADE_STATUS_PENDING_CANCEL


class FakeCancels:
    """The part of the order service that cancels."""

    rows: dict[str, Row]

    def ask_to_cancel(self, trade_id: str) -> None:
        """As a customer does once the trade's turn has come."""
        row = self.rows[trade_id]
        row.trade.status = PENDING_CANCEL
        row.cancel_asked_at.GetCurrentTime()
        row.cancel_epoch = 0

    def claim_cancels(
        self, customer_ids: Iterable[str], grant: order_pb.PartitionGrant
    ) -> list[order_pb.ClaimedCancel]:
        """All that is to be canceled for these customers."""
        customers = set(customer_ids)
        found = [
            row
            for row in self.rows.values()
            if row.trade.status == PENDING_CANCEL and row.trade.customer_id in customers
        ]
        for row in found:
            row.cancel_epoch = grant.epoch
        return [
            order_pb.ClaimedCancel(
                trade=row.trade,
                partition=grant.partition,
                epoch=grant.epoch,
                asked_at=row.cancel_asked_at,
            )
            for row in found
        ]

    def list_canceling(self, partitions: set[int]) -> list[order_pb.OpenCustomer]:
        """Who waits for a cancel."""
        found = [
            order_pb.OpenCustomer(
                customer_id=row.trade.customer_id,
                partition=partition_of(row.trade.customer_id),
                trade_id=row.trade.trade_id,
                claimed_epoch=row.cancel_epoch,
            )
            for row in self.rows.values()
            if row.trade.status == PENDING_CANCEL
        ]
        return [each for each in found if not partitions or each.partition in partitions]


class FakeWithdrawals:
    """The part of the gateway that cancels."""

    faults: Faults
    orders: dict[str, gateway_pb.Order]
    states: dict[str, gateway_pb.OrderState.ValueType]
    epochs: dict[int, int]

    def __init__(self) -> None:
        self.canceled: list[str] = []
        self.withdrawn: set[str] = set()

    async def CancelOrders(
        self, request: gateway_pb.CancelOrdersRequest, context: Context
    ) -> gateway_pb.CancelOrdersResponse:
        await self.faults.before("CancelOrders", request)
        response = gateway_pb.CancelOrdersResponse(results=map(self._cancel, request.cancels))
        await self.faults.after("CancelOrders")
        return response

    def _cancel(self, cancel: gateway_pb.Cancel) -> gateway_pb.CancelResult:
        trade_id = cancel.trade_id
        if cancel.epoch < self.epochs[cancel.partition]:
            return gateway_pb.CancelResult(trade_id=trade_id, reason=Reason.REASON_STALE_EPOCH)
        self.epochs[cancel.partition] = cancel.epoch
        if trade_id not in self.orders:
            self.withdrawn.add(trade_id)
            self.states[trade_id] = gateway_pb.ORDER_STATE_DONE
        else:
            self.canceled.append(trade_id)
        return gateway_pb.CancelResult(
            trade_id=trade_id,
            state=self.states[trade_id],
            never_sent=trade_id in self.withdrawn,
        )
