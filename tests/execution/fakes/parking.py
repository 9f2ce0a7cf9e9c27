"""Trades that fail again and again, and trades in doubt, by the contract, in memory."""

from dataclasses import dataclass, field
from typing import Any

import grpc
from google.protobuf.timestamp_pb2 import Timestamp

from libs.partition import partition_of
from libs.refusals import Refused
from stockbroker.common.v1.reason_pb2 import Reason
from stockbroker.order.v1 import order_execution_service_pb2 as order_pb
from stockbroker.order.v1 import order_pb2 as trade_pb
from tests.execution.fakes.faults import Faults

Context = grpc.aio.ServicerContext[Any, Any]


@dataclass
class Row:
    """A trade at the order service."""

    trade: trade_pb.Trade
    placed_at: float
    claimed_epoch: int = 0
    attempts: int = 0
    amended: list[trade_pb.ExecutionAmendment] = field(default_factory=list)
    executions: set[str] = field(default_factory=set)
    faults: int = 0
    fault_text: str = ""
    is_parked: bool = False
    is_condemned: bool = False
    condemned_by: order_pb.CondemnParkedTradeRequest | None = None
    cancel_epoch: int = 0  # 0: nobody has taken it up
    replace_epoch: int = 0
    cancel_asked_at: Timestamp = field(default_factory=Timestamp)


class FakeParking:
    """The part of the order service that parks."""

    faults: Faults
    rows: dict[str, Row]
    epochs: dict[int, int]

    async def RecordFaults(
        self, request: order_pb.RecordFaultsRequest, context: Context
    ) -> order_pb.RecordFaultsResponse:
        await self.faults.before("RecordFaults", request)
        response = order_pb.RecordFaultsResponse()
        for fault in request.faults:
            row = self.rows.get(fault.trade_id)
            result = response.results.add(customer_id=fault.customer_id)
            epoch = fault.grant.epoch
            if row is None or not row.claimed_epoch == self.epochs[fault.grant.partition] == epoch:
                continue
            row.faults, row.fault_text = row.faults + 1, fault.fault_text
            row.is_parked = row.faults >= request.park_after
            result.faults, result.is_parked = row.faults, row.is_parked
        return response

    async def ListParkedTrades(
        self, request: order_pb.ListParkedTradesRequest, context: Context
    ) -> order_pb.ListParkedTradesResponse:
        await self.faults.before("ListParkedTrades", request)
        return order_pb.ListParkedTradesResponse(
            trades=[
                order_pb.ParkedTrade(
                    trade=row.trade,
                    faults=row.faults,
                    fault_text=row.fault_text,
                    is_condemned=row.is_condemned,
                    partition=partition_of(row.trade.customer_id),
                    epoch=self.epochs[partition_of(row.trade.customer_id)],
                )
                for row in self.rows.values()
                if row.is_parked and request.trade_id in ("", row.trade.trade_id)
            ]
        )

    async def ReleaseParkedTrade(
        self, request: order_pb.ReleaseParkedTradeRequest, context: Context
    ) -> order_pb.ReleaseParkedTradeResponse:
        await self.faults.before("ReleaseParkedTrade", request)
        row = self._parked(request.trade_id)
        if row.is_condemned:
            raise _not_parked()
        row.is_parked, row.faults = False, 0
        return order_pb.ReleaseParkedTradeResponse(trade=row.trade)

    async def CondemnParkedTrade(
        self, request: order_pb.CondemnParkedTradeRequest, context: Context
    ) -> order_pb.CondemnParkedTradeResponse:
        await self.faults.before("CondemnParkedTrade", request)
        row = self.rows.get(request.trade_id)
        if row is None or row.condemned_by != request:
            row = self._parked(request.trade_id)
        row.is_condemned, row.condemned_by = True, request
        return order_pb.CondemnParkedTradeResponse(trade=row.trade)

    async def ListTradesInDoubt(
        self, request: order_pb.ListTradesInDoubtRequest, context: Context
    ) -> order_pb.ListTradesInDoubtResponse:
        await self.faults.before("ListTradesInDoubt", request)
        doubted = [row.trade for row in self.rows.values() if row.trade.in_doubt]
        doubted.sort(key=lambda trade: trade.in_doubt_since.ToNanoseconds())
        return order_pb.ListTradesInDoubtResponse(trades=doubted[: request.limit])

    def _parked(self, trade_id: str) -> Row:
        row = self.rows.get(trade_id)
        if row is None or not row.is_parked:
            raise _not_parked()
        return row


def _not_parked() -> Refused:
    return Refused(Reason.REASON_TRADE_NOT_PARKED, "the trade is not parked")
