"""Reconciliation out of memory: breaks that are alike, days that are alike; one a page."""

from typing import Any

from libs.auth import caller
from libs.refusals import NotFound
from stockbroker.common.v1.reason_pb2 import Reason
from stockbroker.common.v1.terms_pb2 import SIDE_BUY
from stockbroker.reconciliation.v1 import break_pb2, day_pb2
from stockbroker.reconciliation.v1 import reconciliation_service_pb2 as pb
from stockbroker.reconciliation.v1.reconciliation_service_pb2_grpc import (
    ReconciliationServiceServicer,
)

BREAK_ID = "019aa000-0000-7000-8000-000000000001"


def _told(source: break_pb2.Source.ValueType, quantity: int) -> break_pb2.ToldTerms:
    return break_pb2.ToldTerms(
        source=source,
        trade_id="t-1",
        side=SIDE_BUY,
        symbol="AAPL",
        quantity=quantity,
        notional_micros=quantity * 250_430_000,
    )


class SmallReconciliation(ReconciliationServiceServicer):
    """Keeps what operators say of its break."""

    def __init__(self) -> None:
        self.pages = 1
        self.parked_reports = 3
        self.the_break = break_pb2.Break(
            break_id=BREAK_ID,
            venue="XSIM",
            execution_id="XSIM-1-2",
            break_class=break_pb2.BREAK_CLASS_ALTERED_AT_ORDER,
            state=break_pb2.BREAK_STATE_OPEN,
            trade_id="t-1",
            told=[_told(break_pb2.SOURCE_VENUE, 10), _told(break_pb2.SOURCE_ORDER, 1_000)],
            age_seconds=7_260,
        )

    async def ListBreaks(self, request: pb.ListBreaksRequest, context: Any) -> Any:
        next_page_token = self._next_page(request.page_token)
        return pb.ListBreaksResponse(breaks=[self.the_break], next_page_token=next_page_token)

    async def GetBreak(self, request: pb.GetBreakRequest, context: Any) -> Any:
        if request.break_id != BREAK_ID:
            raise NotFound(Reason.REASON_BREAK_NOT_FOUND, "no break has that id")
        return pb.GetBreakResponse(found_break=self.the_break)

    async def ExplainBreak(self, request: pb.ExplainBreakRequest, context: Any) -> Any:
        self.the_break.state = break_pb2.BREAK_STATE_EXPLAINED
        self.the_break.explanations.add(operator=caller().subject, reason_text=request.reason_text)
        return pb.ExplainBreakResponse(found_break=self.the_break)

    async def GetReconciliation(self, request: pb.GetReconciliationRequest, context: Any) -> Any:
        return pb.GetReconciliationResponse(
            sources=[
                pb.SourceStatus(source=break_pb2.SOURCE_VENUE, position=41),
                pb.SourceStatus(source=break_pb2.SOURCE_LEDGER, is_away=True, detail="UNAVAILABLE"),
            ],
            pending=2,
            open_breaks=[
                pb.OpenBreaks(break_class=break_pb2.BREAK_CLASS_ALTERED_AT_ORDER, count=1)
            ],
            parked_reports=self.parked_reports,
        )

    async def ListDays(self, request: pb.ListDaysRequest, context: Any) -> Any:
        source = day_pb2.DayOfSource(
            source=break_pb2.SOURCE_VENUE, executions=3, quantity=1_010, notional_micros=7_000_000
        )
        return pb.ListDaysResponse(
            days=[day_pb2.Day(trade_date="2026-11-20", sources=[source])],
            next_page_token=self._next_page(request.page_token),
        )

    def _next_page(self, page_token: str) -> str:
        number = int(page_token or 1)
        return str(number + 1) if number < self.pages else ""
