"""An operator at the gateway."""

from typing import Any

from google.protobuf.timestamp_pb2 import Timestamp

from stockbroker.exchange_gateway.v1 import operators_pb2 as ops
from tests.support.keys import Keys, bearer

Resolve = ops.ResolveOrderRequest
NOT_KNOWN = {"not_known": Resolve.NotKnown()}
CANCELED = {"ended": Resolve.Ended(kind=Resolve.Ended.KIND_CANCELED)}


def a_fill(quantity: int = 100, execution_id: str = "PHONE-1") -> dict[str, Any]:
    """A fill at 100 dollars, as an operator writes it."""
    filled = Resolve.Filled(
        execution_id=execution_id,
        quantity=quantity,
        price_micros=100_000_000,
        executed_at=Timestamp(seconds=1_700_000_000),
    )
    return {"filled": filled}


class Desk:
    """The operator olga's side of a gateway."""

    def __init__(self, stub: Any, keys: Keys) -> None:
        self._stub = stub
        self._who = {"metadata": bearer(keys.operator("olga")), "timeout": 10}

    async def resolve(self, trade_id: str, outcome: dict[str, Any], **fields: Any) -> int:
        """ResolveOrder, with evidence; the report's number."""
        words = {"evidence": "letter of 3 May", "reason_text": "the exchange wrote to us"}
        request = Resolve(trade_id=trade_id, **outcome, **(words | fields))
        return int((await self._stub.ResolveOrder(request, **self._who)).report_seq)

    async def unanswered(self, **fields: int) -> ops.ListUnansweredOrdersResponse:
        """ListUnansweredOrders."""
        request = ops.ListUnansweredOrdersRequest(**fields)
        response: ops.ListUnansweredOrdersResponse = await self._stub.ListUnansweredOrders(
            request, **self._who
        )
        return response

    async def parked(self, **fields: Any) -> list[ops.ParkedReport]:
        """ListParkedReports."""
        request = ops.ListParkedReportsRequest(**fields)
        return list((await self._stub.ListParkedReports(request, **self._who)).reports)

    async def retry(self, seq: int) -> ops.ParkedReport:
        """RetryParkedReport."""
        request = ops.RetryParkedReportRequest(report_seq=seq, reason_text="mended")
        report: ops.ParkedReport = (await self._stub.RetryParkedReport(request, **self._who)).report
        return report

    async def dismiss(self, seq: int) -> ops.ParkedReport:
        """DismissParkedReport."""
        request = ops.DismissParkedReportRequest(report_seq=seq, reason_text="their mistake")
        report: ops.ParkedReport = (
            await self._stub.DismissParkedReport(request, **self._who)
        ).report
        return report

    async def actions(self) -> list[ops.OperatorAction]:
        """ListOperatorActions."""
        request = ops.ListOperatorActionsRequest()
        return list((await self._stub.ListOperatorActions(request, **self._who)).actions)
