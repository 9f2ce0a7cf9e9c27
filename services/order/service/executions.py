"""The fills on record, told to whoever compares books."""

from libs.refusals import Invalid
from libs.rpc import Context
from services.order import wire
from services.order.service.office import BackOffice
from services.order.store.executions import Executions, Place
from stockbroker.common.v1.reason_pb2 import Reason
from stockbroker.order.v1 import recorded_execution_pb2 as pb

_MOST = 5_000
_UNSAID = 1_000


class ExecutionReading:
    """Reads; locks nothing and changes nothing."""

    _office: BackOffice

    async def ListExecutions(
        self, request: pb.ListExecutionsRequest, context: Context
    ) -> pb.ListExecutionsResponse:
        if not 0 <= request.limit <= _MOST:
            text = f"limit must be 0 to {_MOST}"
            raise Invalid(Reason.REASON_INVALID_REQUEST, text, field="limit")
        after = request.after
        if "\0" in after.venue + after.execution_id:  # as no place that was ever told
            text = "after must be a place that was told"
            raise Invalid(Reason.REASON_INVALID_REQUEST, text, field="after")
        place = Place(after.transaction_id, after.venue, after.execution_id)
        async with self._office.database.connection() as connection:
            page = await Executions(connection).after(place, limit=request.limit or _UNSAID)
        return wire.executions_to(page, in_columns=request.in_columns)
