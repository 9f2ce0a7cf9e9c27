"""The neighbours this service calls."""

from collections.abc import Sequence
from typing import Any

import grpc

from services.exchange_gateway import wire
from services.exchange_gateway.domain import Breach, Delivery, Parked
from services.exchange_gateway.session.delivering import ExecutionAway
from stockbroker.execution.v1 import execution_service_pb2 as pb
from stockbroker.execution.v1.execution_service_pb2_grpc import ExecutionServiceStub


class ExecutionNeighbour:
    """ExecutionService.ApplyReports."""

    def __init__(self, channel: grpc.aio.Channel, *, timeout_seconds: float = 10.0) -> None:
        self._stub: Any = ExecutionServiceStub(channel)
        self._timeout_seconds = timeout_seconds

    async def apply(self, venue: str, deliveries: Sequence[Delivery]) -> list[Parked]:
        """Have reports booked; the answer is those that cannot be. Raises ExecutionAway."""
        request = pb.ApplyReportsRequest(
            reports=[wire.report_to(delivery, venue) for delivery in deliveries]
        )
        try:
            answer = await self._stub.ApplyReports(request, timeout=self._timeout_seconds)
        except grpc.aio.AioRpcError as error:
            raise ExecutionAway(f"{error.code().name}: {error.details()}") from error
        return _refused(deliveries, answer)


def _refused(deliveries: Sequence[Delivery], answer: pb.ApplyReportsResponse) -> list[Parked]:
    """What was found impossible. Raises ExecutionAway unless each report has a plain answer."""
    if [result.report_seq for result in answer.results] != [d.seq for d in deliveries]:
        raise ExecutionAway("the answer does not match the reports")
    refused = []
    for result in answer.results:
        if result.code == pb.ReportResult.CODE_IMPOSSIBLE:
            refused.append(Parked(result.report_seq, Breach.REFUSED_BY_EXECUTION, result.detail))
        elif result.code != pb.ReportResult.CODE_APPLIED:
            raise ExecutionAway(f"report {result.report_seq} was answered by {result.code}")
    return refused
