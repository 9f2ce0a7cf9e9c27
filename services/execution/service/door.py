"""ExecutionService: books reports for the gateway, says how the worker stands."""

import grpc

from libs.auth import caller
from libs.broker import Broker
from libs.refusals import Denied
from services.execution import report_wire
from services.execution.cases import Cases
from services.execution.domain.booking import APPLIED
from services.execution.reports import Books
from services.execution.service.operators import OperatorsDoor
from services.execution.worker import Worker
from stockbroker.common.v1.reason_pb2 import Reason
from stockbroker.execution.v1 import execution_service_pb2 as pb
from stockbroker.execution.v1 import execution_service_pb2_grpc as pb_grpc

_GATEWAY = "exchange_gateway"

Context = grpc.aio.ServicerContext[object, object]


class ExecutionService(OperatorsDoor, pb_grpc.ExecutionServiceServicer):
    """One worker's door."""

    def __init__(self, worker: Worker, books: Books, broker: Broker, cases: Cases) -> None:
        self._worker = worker
        self._books = books
        self._broker = broker
        self._cases = cases

    async def ApplyReports(
        self, request: pb.ApplyReportsRequest, context: Context
    ) -> pb.ApplyReportsResponse:
        if caller().subject != _GATEWAY:
            raise Denied(
                Reason.REASON_PERMISSION_DENIED, "only the exchange gateway brings reports"
            )
        reports = [report_wire.report_from(report) for report in request.reports]
        bookings = await self._books.apply(reports)
        self._worker.tally.reports_applied += bookings.count(APPLIED)
        return report_wire.applied_to(request, bookings)

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
