"""gRPC in for operators: halts, parked trades, trades in doubt."""

import grpc

from libs.auth import caller
from libs.refusals import Invalid
from services.execution import operators_wire as wire
from services.execution.cases import Cases
from services.execution.domain.halts import MAX_REASON_LENGTH
from services.execution.worker import Worker
from stockbroker.common.v1.reason_pb2 import Reason
from stockbroker.execution.v1 import execution_service_pb2 as pb

_DEFAULT_PAGE = 100
_MAX_PAGE = 1000

Context = grpc.aio.ServicerContext[object, object]


class OperatorsDoor:
    """See the contract for each method."""

    _worker: Worker
    _cases: Cases

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

    async def ListHaltEvents(
        self, request: pb.ListHaltEventsRequest, context: Context
    ) -> pb.ListHaltEventsResponse:
        if request.before_id < 0:
            raise Invalid(
                Reason.REASON_INVALID_REQUEST, "before_id must not be negative", field="before_id"
            )
        events = await self._worker.board.events(
            before_id=request.before_id, limit=_page(request.page_size)
        )
        return pb.ListHaltEventsResponse(events=map(wire.halt_event_to, events))

    async def ListParkedTrades(
        self, request: pb.ListParkedTradesRequest, context: Context
    ) -> pb.ListParkedTradesResponse:
        trades = await self._cases.parked(limit=_page(request.page_size))
        return pb.ListParkedTradesResponse(trades=trades)

    async def ReleaseParkedTrade(
        self, request: pb.ReleaseParkedTradeRequest, context: Context
    ) -> pb.ReleaseParkedTradeResponse:
        trade = await self._cases.release(
            request.trade_id,
            actor=caller().subject,
            reason_text=_reason_text(request.reason_text),
        )
        return pb.ReleaseParkedTradeResponse(trade=trade)

    async def RejectParkedTrade(
        self, request: pb.RejectParkedTradeRequest, context: Context
    ) -> pb.RejectParkedTradeResponse:
        trade = await self._cases.reject(
            request.trade_id,
            actor=caller().subject,
            reason_text=_reason_text(request.reason_text),
        )
        return pb.RejectParkedTradeResponse(trade=trade)

    async def ListInDoubt(
        self, request: pb.ListInDoubtRequest, context: Context
    ) -> pb.ListInDoubtResponse:
        trades = await self._cases.in_doubt(limit=_page(request.page_size))
        return pb.ListInDoubtResponse(trades=trades)

    async def QueryInDoubt(
        self, request: pb.QueryInDoubtRequest, context: Context
    ) -> pb.QueryInDoubtResponse:
        if not 1 <= len(request.trade_ids) <= _MAX_PAGE:
            raise Invalid(
                Reason.REASON_INVALID_REQUEST,
                f"trade_ids must be 1 to {_MAX_PAGE} ids",
                field="trade_ids",
            )
        orders = await self._cases.query(request.trade_ids)
        return pb.QueryInDoubtResponse(orders=orders)


def _page(size: int) -> int:
    """How many are meant. Raises Invalid."""
    if not 0 <= size <= _MAX_PAGE:
        raise Invalid(
            Reason.REASON_INVALID_PAGE_SIZE,
            f"page_size must be 0 to {_MAX_PAGE}",
            field="page_size",
        )
    return size or _DEFAULT_PAGE


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
