"""A gateway out of memory, as small as the command line needs."""

import asyncio
from typing import Any

from libs.refusals import NotFound
from stockbroker.common.v1.reason_pb2 import Reason
from stockbroker.exchange_gateway.v1 import exchange_gateway_service_pb2 as gateway
from stockbroker.exchange_gateway.v1 import operators_pb2 as pb
from stockbroker.exchange_gateway.v1.exchange_gateway_service_pb2_grpc import (
    ExchangeGatewayServiceServicer,
)


class SmallGateway(ExchangeGatewayServiceServicer):
    """A session that is logged on, an order in doubt and a parked report."""

    def __init__(self) -> None:
        self.asked: list[Any] = []
        self.goes_on = asyncio.Event()
        self.goes_on.set()
        self.parked = pb.ParkedReport(
            report_seq=7,
            state=pb.ParkedReport.STATE_PARKED,
            breach="OVER_FILL",
            detail="110 shares filled of 100 ordered",
            kind="FILLED",
            trade_id="t-1",
            customer_id="alice",
            symbol="AAPL",
            quantity=40,
            price_micros=100_000_000,
            execution_id="E-9",
            age_seconds=61,
        )

    async def GetSession(self, request: gateway.GetSessionRequest, context: Any) -> Any:
        await self.goes_on.wait()
        return gateway.GetSessionResponse(is_connected=True, session_id="house", parked_reports=3)

    async def ListUnansweredOrders(self, request: Any, context: Any) -> Any:
        order = pb.UnansweredOrder(
            trade_id="t-2", customer_id="bob", symbol="KO", quantity=5, age_seconds=90
        )
        order.trade_id = f"t-{request.after_seq + 2}"
        return pb.ListUnansweredOrdersResponse(
            orders=[order], next_after_seq=0 if request.after_seq else 1
        )

    async def ResolveOrder(self, request: pb.ResolveOrderRequest, context: Any) -> Any:
        self.asked.append(request)
        return pb.ResolveOrderResponse(report_seq=12)

    async def ResetSession(self, request: pb.ResetSessionRequest, context: Any) -> Any:
        self.asked.append(request)
        return pb.ResetSessionResponse()

    async def ListOrderBreaks(self, request: pb.ListOrderBreaksRequest, context: Any) -> Any:
        found = pb.OrderBreak(id=4 + request.after_id, trade_id="t-3", kind="UNKNOWN_HERE")
        return pb.ListOrderBreaksResponse(
            breaks=[found], next_after_id=0 if request.after_id else found.id
        )

    async def DismissOrderBreak(self, request: pb.DismissOrderBreakRequest, context: Any) -> Any:
        return pb.DismissOrderBreakResponse(dismissed=request.break_id == 4)

    async def ListParkedReports(self, request: Any, context: Any) -> Any:
        report = pb.ParkedReport()
        report.CopyFrom(self.parked)
        report.report_seq += request.after_seq
        return pb.ListParkedReportsResponse(
            reports=[report], next_after_seq=0 if request.after_seq else report.report_seq
        )

    async def RetryParkedReport(self, request: pb.RetryParkedReportRequest, context: Any) -> Any:
        return pb.RetryParkedReportResponse(report=self._settle(request.report_seq, 2))

    async def DismissParkedReport(
        self, request: pb.DismissParkedReportRequest, context: Any
    ) -> Any:
        return pb.DismissParkedReportResponse(report=self._settle(request.report_seq, 3))

    async def ListOperatorActions(
        self, request: pb.ListOperatorActionsRequest, context: Any
    ) -> Any:
        action = pb.OperatorAction(
            id=request.after_id + 1, actor="olga", action="DISMISS_REPORT", report_seq=7
        )
        return pb.ListOperatorActionsResponse(
            actions=[action], next_after_id=0 if request.after_id else 1
        )

    def _settle(self, seq: int, state: int) -> pb.ParkedReport:
        if seq != self.parked.report_seq:
            raise NotFound(Reason.REASON_REPORT_NOT_FOUND, f"report {seq} was not parked")
        self.parked.state = pb.ParkedReport.State.ValueType(state)
        return self.parked
