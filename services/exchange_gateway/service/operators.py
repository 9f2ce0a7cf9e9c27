"""For operators alone: orders in doubt, parked reports, and the record of what was done."""

from typing import Any

import grpc

from libs.auth import caller
from libs.postgres import Pool
from services.exchange_gateway import operators_wire as wire
from services.exchange_gateway.domain.numbers import Numbers
from services.exchange_gateway.domain.operators import Signature
from services.exchange_gateway.session.tenure import Tenure
from services.exchange_gateway.store.comparison import ComparisonStore
from services.exchange_gateway.store.operators import OperatorStore
from services.exchange_gateway.store.parked import ParkedStore
from stockbroker.exchange_gateway.v1 import operators_pb2 as pb

Context = grpc.aio.ServicerContext[Any, Any]


class Operators:
    """Does what operators ask for; all of it is on record with their name and words."""

    _tenure: Tenure
    _pool: Pool
    _session_id: str

    async def ListUnansweredOrders(
        self, request: pb.ListUnansweredOrdersRequest, context: Context
    ) -> pb.ListUnansweredOrdersResponse:
        """From the books, with what the process at work has heard."""
        after, most = wire.page_from(request.after_seq, request.limit)
        waiting = self._tenure.held().floor.waiting
        async with self._pool.connection() as connection:
            store = OperatorStore(connection, self._session_id)
            found = await store.list_unanswered(after, most + 1)
        page = found[:most]
        return pb.ListUnansweredOrdersResponse(
            orders=[wire.unanswered_to(order, waiting.heard(order.trade_id)) for order in page],
            next_after_seq=page[-1].command_seq if len(found) > most else 0,
        )

    async def ResolveOrder(
        self, request: pb.ResolveOrderRequest, context: Context
    ) -> pb.ResolveOrderResponse:
        """Ask the venue, then write its report."""
        trade_id = wire.trade_id_from(request.trade_id)
        outcome = wire.outcome_from(request)
        signature = Signature(
            caller().subject,
            wire.reason_text_from(request.reason_text),
            wire.evidence_from(request.evidence),
        )
        despite = wire.despite_from(request.despite_exchange)
        resolving = self._tenure.held().resolving
        seq = await resolving.resolve(trade_id, outcome, signature, despite_venue=despite)
        return pb.ResolveOrderResponse(report_seq=seq)

    async def ListParkedReports(
        self, request: pb.ListParkedReportsRequest, context: Context
    ) -> pb.ListParkedReportsResponse:
        """From the books."""
        after, most = wire.page_from(request.after_seq, request.limit)
        decode = self._tenure.venue.decode
        async with self._pool.connection() as connection:
            store = ParkedStore(connection, self._session_id, decode)
            found = await store.list(after, most + 1, with_settled=request.with_settled)
        page = found[:most]
        return pb.ListParkedReportsResponse(
            reports=map(wire.parked_to, page),
            next_after_seq=page[-1].seq if len(found) > most else 0,
        )

    async def RetryParkedReport(
        self, request: pb.RetryParkedReportRequest, context: Context
    ) -> pb.RetryParkedReportResponse:
        """Judge, and deliver what holds."""
        seq = wire.report_seq_from(request.report_seq)
        signature = Signature(caller().subject, wire.reason_text_from(request.reason_text))
        report = await self._tenure.held().settling.retry(seq, signature)
        return pb.RetryParkedReportResponse(report=wire.parked_to(report))

    async def DismissParkedReport(
        self, request: pb.DismissParkedReportRequest, context: Context
    ) -> pb.DismissParkedReportResponse:
        """Lay aside."""
        seq = wire.report_seq_from(request.report_seq)
        signature = Signature(caller().subject, wire.reason_text_from(request.reason_text))
        report = await self._tenure.held().settling.dismiss(seq, signature)
        return pb.DismissParkedReportResponse(report=wire.parked_to(report))

    async def ResetSession(
        self, request: pb.ResetSessionRequest, context: Context
    ) -> pb.ResetSessionResponse:
        """Agree to the venue's numbers."""
        theirs = Numbers(request.next_command_seq, request.next_report_seq)
        signature = Signature(
            caller().subject,
            wire.reason_text_from(request.reason_text),
            wire.evidence_from(request.evidence),
        )
        await self._tenure.held().resetting.agree(theirs, signature)
        return pb.ResetSessionResponse()

    async def ListOrderBreaks(
        self, request: pb.ListOrderBreaksRequest, context: Context
    ) -> pb.ListOrderBreaksResponse:
        """From the books."""
        after, most = wire.page_from(request.after_id, request.limit)
        async with self._pool.connection() as connection:
            store = ComparisonStore(connection, self._session_id)
            found = await store.list(after, most + 1, with_settled=request.with_settled)
        page = found[:most]
        return pb.ListOrderBreaksResponse(
            breaks=map(wire.break_to, page),
            next_after_id=page[-1].id if len(found) > most else 0,
        )

    async def DismissOrderBreak(
        self, request: pb.DismissOrderBreakRequest, context: Context
    ) -> pb.DismissOrderBreakResponse:
        """Lay aside."""
        signature = Signature(caller().subject, wire.reason_text_from(request.reason_text))
        settling = self._tenure.held().settling
        was_open = await settling.dismiss_break(request.break_id, signature)
        return pb.DismissOrderBreakResponse(dismissed=was_open)

    async def ListOperatorActions(
        self, request: pb.ListOperatorActionsRequest, context: Context
    ) -> pb.ListOperatorActionsResponse:
        """From the books."""
        after, most = wire.page_from(request.after_id, request.limit)
        async with self._pool.connection() as connection:
            found = await OperatorStore(connection, self._session_id).list(after, most + 1)
        page = found[:most]
        return pb.ListOperatorActionsResponse(
            actions=map(wire.action_to, page),
            next_after_id=page[-1].id if len(found) > most else 0,
        )
