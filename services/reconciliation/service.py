"""ReconciliationService: what operators see of it, and their words on it."""

from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager
from typing import Any

from libs.auth import caller
from libs.page_token import PageTokens
from libs.postgres import Pool
from libs.rpc import Context
from services.reconciliation import asking, telling
from services.reconciliation.neighbours import Away, GatewayReader
from services.reconciliation.rounds import Rounds
from services.reconciliation.store.breaks import Breaks, StoredBreak, Wanted
from services.reconciliation.store.days import Days
from stockbroker.reconciliation.v1 import break_pb2
from stockbroker.reconciliation.v1 import reconciliation_service_pb2 as pb
from stockbroker.reconciliation.v1.reconciliation_service_pb2_grpc import (
    ReconciliationServiceServicer,
)

_DAYS = "days"


class ReconciliationServicer(ReconciliationServiceServicer):
    """Reads the records, and adds operators' words to them."""

    def __init__(self, pool: Pool, rounds: Rounds, gateway: GatewayReader) -> None:
        self._pool = pool
        self._rounds = rounds
        self._gateway = gateway
        self._tokens: PageTokens | None = None

    async def ListBreaks(
        self, request: pb.ListBreaksRequest, context: Context
    ) -> pb.ListBreaksResponse:
        states, classes = asking.states(request.states), asking.classes(request.classes)
        size = asking.page_size(request.page_size)
        scope = f"breaks/{states}/{classes}"
        async with self._connection() as connection:
            breaks = Breaks(connection)
            tokens = await self._page_tokens(breaks)
            before = tokens.open(scope, request.page_token) if request.page_token else None
            found = await breaks.list(
                Wanted(states=states, classes=classes, before=before, limit=size + 1)
            )
        page = found[:size]
        token = tokens.seal(scope, page[-1].break_id) if len(found) > size else ""
        return pb.ListBreaksResponse(breaks=self._told(page), next_page_token=token)

    async def GetBreak(self, request: pb.GetBreakRequest, context: Context) -> pb.GetBreakResponse:
        break_id = asking.a_break_id(request.break_id)
        async with self._connection() as connection:
            return pb.GetBreakResponse(found_break=await self._found(connection, break_id))

    async def ExplainBreak(
        self, request: pb.ExplainBreakRequest, context: Context
    ) -> pb.ExplainBreakResponse:
        break_id, words = asking.a_break_id(request.break_id), asking.words(request.reason_text)
        async with self._connection() as connection:
            await Breaks(connection).explain(
                break_id, operator=caller().subject, reason_text=words, now=self._rounds.now()
            )
            return pb.ExplainBreakResponse(found_break=await self._found(connection, break_id))

    async def GetReconciliation(
        self, request: pb.GetReconciliationRequest, context: Context
    ) -> pb.GetReconciliationResponse:
        in_doubt, parked = await self._asked_of_gateway()
        async with self._connection() as connection:
            breaks = Breaks(connection)
            pending, counts = await breaks.count_suspects(), await breaks.count_open()
        rounds = self._rounds
        response = pb.GetReconciliationResponse(
            sources=telling.sources_to(rounds.sources, now=rounds.now()),
            pending=pending + rounds.held,
            open_breaks=[
                pb.OpenBreaks(break_class=break_pb2.BreakClass.ValueType(number), count=count)
                for number, count in sorted(counts.items())
            ],
            in_doubt_orders=in_doubt,
            parked_reports=parked,
            last_sealed_date=rounds.last_sealed.isoformat() if rounds.last_sealed else "",
        )
        if rounds.last_round_at is not None:
            response.last_round_at.FromDatetime(rounds.last_round_at)
        return response

    async def ListDays(self, request: pb.ListDaysRequest, context: Context) -> pb.ListDaysResponse:
        size = asking.page_size(request.page_size)
        async with self._connection() as connection:
            tokens = await self._page_tokens(Breaks(connection))
            before = None
            if request.page_token:
                before = asking.a_date(tokens.open(_DAYS, request.page_token))
            found = await Days(connection).list(before=before, limit=size + 1)
        page = found[:size]
        token = ""
        if len(found) > size:
            token = tokens.seal(_DAYS, page[-1].report.trade_date.isoformat())
        return pb.ListDaysResponse(
            days=[telling.day_to(day, with_breaks=False) for day in page], next_page_token=token
        )

    async def GetDay(self, request: pb.GetDayRequest, context: Context) -> pb.GetDayResponse:
        trade_date = asking.a_date(request.trade_date)
        async with self._connection() as connection:
            found = await Days(connection).find(trade_date)
        if found is None:
            raise asking.day_not_sealed()
        return pb.GetDayResponse(day=telling.day_to(found, with_breaks=True))

    def _connection(self) -> AbstractAsyncContextManager[Any]:
        return self._pool.connection()

    async def _page_tokens(self, breaks: Breaks) -> PageTokens:
        if self._tokens is None:
            self._tokens = PageTokens(await breaks.page_token_key())
        return self._tokens

    async def _found(self, connection: Any, break_id: str) -> break_pb2.Break:
        found = await Breaks(connection).find(break_id)
        if found is None:
            raise asking.break_not_found()
        return self._told([found])[0]

    def _told(self, found: Sequence[StoredBreak]) -> list[break_pb2.Break]:
        now = self._rounds.now()
        return [
            telling.break_to(each, now=now, looked_at=self._rounds.whole_since()) for each in found
        ]

    async def _asked_of_gateway(self) -> tuple[int, int]:
        try:
            return await self._gateway.in_doubt_and_parked()
        except Away:
            return -1, -1
