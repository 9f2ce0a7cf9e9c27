"""The neighbours this service calls."""

from collections import deque
from collections.abc import Sequence
from typing import Any

import grpc

from services.exchange_gateway import wire
from services.exchange_gateway.domain import Delivery
from services.exchange_gateway.domain.answers import Answer, Verdict
from services.exchange_gateway.session.redelivering import ExecutionAway, ExecutionChoked
from stockbroker.execution.v1 import execution_service_pb2 as pb
from stockbroker.execution.v1.execution_service_pb2_grpc import ExecutionServiceStub

_VERDICTS = {
    pb.ReportResult.CODE_APPLIED: Verdict.APPLIED,
    pb.ReportResult.CODE_IMPOSSIBLE: Verdict.IMPOSSIBLE,
    pb.ReportResult.CODE_LATER: Verdict.LATER,
}
# Execution was reached and failed; anything else says nothing about the reports.
_CHOKED = {
    grpc.StatusCode.INTERNAL,
    grpc.StatusCode.UNKNOWN,
    grpc.StatusCode.DEADLINE_EXCEEDED,
    grpc.StatusCode.INVALID_ARGUMENT,
    grpc.StatusCode.FAILED_PRECONDITION,
    grpc.StatusCode.OUT_OF_RANGE,
    grpc.StatusCode.ABORTED,
    grpc.StatusCode.DATA_LOSS,
}


class ExecutionNeighbour:
    """ExecutionService.ApplyReports of any worker: the one that answered last is asked first."""

    def __init__(
        self, channels: Sequence[grpc.aio.Channel], *, timeout_seconds: float = 5.0
    ) -> None:
        self._stubs: deque[Any] = deque(ExecutionServiceStub(channel) for channel in channels)
        self._timeout_seconds = timeout_seconds

    async def apply(self, venue: str, deliveries: Sequence[Delivery]) -> list[Answer]:
        """Have reports booked: an answer for each, in order.

        Raises ExecutionAway when no worker has answered.
        """
        request = wire.reports_to(deliveries, venue)
        failure = ExecutionAway("there is no worker")
        for _ in range(len(self._stubs)):
            try:
                answer = await self._stubs[0].ApplyReports(request, timeout=self._timeout_seconds)
            except grpc.aio.AioRpcError as error:
                failure = _failure(error)
                self._stubs.rotate(-1)
            else:
                return _answers(deliveries, answer)
        raise failure


def _failure(error: grpc.aio.AioRpcError) -> ExecutionAway:
    kind = ExecutionChoked if error.code() in _CHOKED else ExecutionAway
    return kind(f"{error.code().name}: {error.details()}")


def _answers(deliveries: Sequence[Delivery], answer: pb.ApplyReportsResponse) -> list[Answer]:
    """One per report. Raises ExecutionChoked unless each has a plain one."""
    if answer.all_applied and not answer.results:
        return [Answer(delivery.seq, Verdict.APPLIED) for delivery in deliveries]
    if [result.report_seq for result in answer.results] != [d.seq for d in deliveries]:
        raise ExecutionChoked("the answer does not match the reports")
    answers = []
    for result in answer.results:
        verdict = _VERDICTS.get(result.code)
        if verdict is None:
            raise ExecutionChoked(f"report {result.report_seq} was answered by {result.code}")
        answers.append(Answer(result.report_seq, verdict, result.detail))
    return answers
