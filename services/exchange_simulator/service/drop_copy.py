"""A member's executions once more, from what the exchange keeps."""

from grpc.aio import ServicerContext

from services.exchange_simulator import wire
from services.exchange_simulator.venue import Venue
from stockbroker.exchange.v1 import drop_copy_pb2 as pb

_MOST = 5_000
_UNSAID = 1_000


class DropCopy:
    """Reads the records alone: it needs no session and disturbs none."""

    _venue: Venue
    _name: str

    async def ListExecutions(
        self,
        request: pb.ListExecutionsRequest,
        context: ServicerContext[pb.ListExecutionsRequest, pb.ListExecutionsResponse],
    ) -> pb.ListExecutionsResponse:
        session_id = wire.session_id_from(request.session_id)
        after = wire.after_seq_from(request.after_seq)
        limit = wire.limit_from(request.limit, unsaid=_UNSAID, most=_MOST)
        told, last = await self._venue.executions_of(session_id, after, after + limit)
        return pb.ListExecutionsResponse(
            executions=[report for report in told if not report.exec_ref_id],
            corrections=[report for report in told if report.exec_ref_id],
            next_after_seq=min(after + limit, last),
            reaches_end=last <= after + limit,
            venue=self._name,
        )
