"""ExecutionService: books reports for the gateway, answers operators."""

import grpc

from libs.auth import caller
from libs.broker import Broker
from libs.refusals import Denied, Invalid
from services.execution import wire
from services.execution.domain.booking import Code
from services.execution.domain.halts import MAX_REASON_LENGTH
from services.execution.reports import Books
from services.execution.worker import Worker
from stockbroker.common.v1.reason_pb2 import Reason
from stockbroker.execution.v1 import execution_service_pb2 as pb
from stockbroker.execution.v1 import execution_service_pb2_grpc as pb_grpc

_GATEWAY = "exchange_gateway"

Context = grpc.aio.ServicerContext[object, object]


class ExecutionService(pb_grpc.ExecutionServiceServicer):
    """One worker's door."""

    def __init__(self, worker: Worker, books: Books, broker: Broker) -> None:
        self._worker = worker
        self._books = books
        self._broker = broker

    async def ApplyReports(
        self, request: pb.ApplyReportsRequest, context: Context
    ) -> pb.ApplyReportsResponse:
        if caller().subject != _GATEWAY:
            raise Denied(
                Reason.REASON_PERMISSION_DENIED, "only the exchange gateway brings reports"
            )
        reports = [wire.report_from(report) for report in request.reports]
        bookings = await self._books.apply(reports)
        applied = sum(1 for booking in bookings if booking.code is Code.APPLIED)
        self._worker.tally.reports_applied += applied
        return pb.ApplyReportsResponse(
            results=[
                wire.report_result_to(report, booking)
                for report, booking in zip(reports, bookings, strict=True)
            ]
        )

    async def GetStatus(
        self, request: pb.GetStatusRequest, context: Context
    ) -> pb.GetStatusResponse:
        worker = self._worker
        answer = pb.GetStatusResponse(
            worker=worker.name,
            leads=sorted(worker.leads.partitions),
            in_flight=worker.attention.in_flight,
            is_broker_connected=self._broker.is_connected,
            claimed=worker.tally.claimed,
            swept=worker.tally.swept,
            reports_applied=worker.tally.reports_applied,
        )
        answer.started_at.FromDatetime(worker.started_at)
        return answer

    async def Halt(self, request: pb.HaltRequest, context: Context) -> pb.HaltResponse:
        halt = await self._worker.board.halt(
            wire.scope_from(request.scope),
            reason_text=_reason_text(request.reason_text),
            actor=caller().subject,
        )
        return pb.HaltResponse(halt=wire.halt_to(halt))

    async def Resume(self, request: pb.ResumeRequest, context: Context) -> pb.ResumeResponse:
        resumed = await self._worker.board.resume(
            wire.scope_from(request.scope),
            reason_text=_reason_text(request.reason_text),
            actor=caller().subject,
        )
        return pb.ResumeResponse(resumed=resumed)

    async def ListHalts(
        self, request: pb.ListHaltsRequest, context: Context
    ) -> pb.ListHaltsResponse:
        await self._worker.board.refresh()
        halts = self._worker.board.current.in_force
        return pb.ListHaltsResponse(halts=[wire.halt_to(halt) for halt in halts])


def _reason_text(text: str) -> str:
    """Why an operator does it. Raises Invalid."""
    words = text.strip()
    if not words or len(words) > MAX_REASON_LENGTH or "\0" in words:
        raise Invalid(
            Reason.REASON_INVALID_REQUEST,
            f"reason_text must be 1 to {MAX_REASON_LENGTH} characters",
            field="reason_text",
        )
    return words
