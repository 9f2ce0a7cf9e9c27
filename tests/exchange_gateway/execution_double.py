"""An execution service that remembers what it was told, and fails on demand."""

import asyncio
from collections import Counter
from typing import Any

import grpc

from stockbroker.execution.v1 import execution_service_pb2 as pb
from stockbroker.execution.v1.execution_service_pb2_grpc import (
    ExecutionServiceServicer,
    add_ExecutionServiceServicer_to_server,
)


class ExecutionDouble(ExecutionServiceServicer):
    """Books every report it gets, unless told otherwise."""

    def __init__(self) -> None:
        self.calls: list[list[pb.Report]] = []
        self.filled: set[str] = set()
        self.impossible: dict[str, str] = {}
        self.chokes_on: set[str] = set()
        self.cannot_book: set[str] = set()
        self.attempts: Counter[str] = Counter()
        self.is_away = False
        self.answers = asyncio.Event()
        self.answers.set()
        self.at_once = 0
        self.most_at_once = 0
        self._server: grpc.aio.Server | None = None
        self.port = 0

    async def start(self) -> None:
        """Listen."""
        self._server = grpc.aio.server()
        add_ExecutionServiceServicer_to_server(self, self._server)
        self.port = self._server.add_insecure_port("127.0.0.1:0")
        await self._server.start()

    async def stop(self) -> None:
        """Go away."""
        if self._server is not None:
            await self._server.stop(0)

    @property
    def reports(self) -> list[pb.Report]:
        """Every report that was booked, repeats included, in order."""
        return [report for call in self.calls for report in call]

    def told(self, trade_id: str) -> list[pb.Report]:
        """What was booked of one trade."""
        return [report for report in self.reports if report.trade_id == trade_id]

    def told_once(self, trade_id: str) -> list[pb.Report]:
        """The same without what came again, as it does of a gateway that ended too soon."""
        return list({report.report_seq: report for report in self.told(trade_id)}.values())

    def has_filled(self, trades: int) -> bool:
        """Whether the last fill of so many trades was booked."""
        return len(self.filled) >= trades

    def is_filled(self, trade_id: str) -> bool:
        """Whether the last fill of a trade was booked."""
        return trade_id in self.filled

    async def ApplyReports(
        self, request: pb.ApplyReportsRequest, context: Any
    ) -> pb.ApplyReportsResponse:
        """Books reports."""
        if self.is_away:
            await context.abort(grpc.StatusCode.UNAVAILABLE, "away")
        if any(report.trade_id in self.chokes_on for report in request.reports):
            await context.abort(grpc.StatusCode.INTERNAL, "internal error")
        self.attempts.update(report.trade_id for report in request.reports)
        booked = [r for r in request.reports if r.trade_id not in self.cannot_book]
        self.calls.append(booked)
        self.filled |= {report.trade_id for report in booked if report.filled.is_last}
        self.at_once += 1
        self.most_at_once = max(self.most_at_once, self.at_once)
        try:
            await self.answers.wait()
        finally:
            self.at_once -= 1
        results = [self._result(report) for report in request.reports]
        if request.is_brief and all(r.code == pb.ReportResult.CODE_APPLIED for r in results):
            return pb.ApplyReportsResponse(all_applied=True)
        return pb.ApplyReportsResponse(results=results)

    def _result(self, report: pb.Report) -> pb.ReportResult:
        if report.trade_id in self.cannot_book:
            later = pb.ReportResult.CODE_LATER
            return pb.ReportResult(report_seq=report.report_seq, code=later, detail="not now")
        detail = self.impossible.get(report.trade_id)
        code = pb.ReportResult.CODE_APPLIED if detail is None else pb.ReportResult.CODE_IMPOSSIBLE
        return pb.ReportResult(report_seq=report.report_seq, code=code, detail=detail or "")
