"""What operators do about parked reports, in turn with the reports that come in."""

from dataclasses import dataclass

import psycopg
import structlog

from libs.postgres import Lane
from libs.refusals import NotFound, Refused
from services.exchange_gateway.domain import Breach, Parked
from services.exchange_gateway.domain.answers import Postponed
from services.exchange_gateway.domain.operators import Deed, Settlement, Signature
from services.exchange_gateway.session.court import Docket, hear
from services.exchange_gateway.session.floor import Floor
from services.exchange_gateway.session.reporting import Reporting
from services.exchange_gateway.session.waiting_room import WaitingRoom
from services.exchange_gateway.store.comparison import ComparisonStore
from services.exchange_gateway.store.later import LaterStore
from services.exchange_gateway.store.operators import Action, OperatorStore
from services.exchange_gateway.store.parked import ParkedReport, ParkedStore
from services.exchange_gateway.store.progress import Step
from services.exchange_gateway.store.reports import ReportStore
from stockbroker.common.v1.reason_pb2 import Reason

_log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class _Settled:
    """How the report stands, and how many are parked after that."""

    report: ParkedReport
    parked: int


class Settling:
    """Each deed is one transaction with its record; done twice it comes to the same."""

    def __init__(self, floor: Floor, lane: Lane, reporting: Reporting, room: WaitingRoom) -> None:
        self._floor = floor
        self._lane = lane
        self._reporting = reporting
        self._room = room

    async def retry(self, seq: int, signature: Signature) -> ParkedReport:
        """Judge a parked report again; how it stands then. Raises NotFound, Unavailable.

        One that holds is delivered as one that waits: execution books a report once.
        """
        async with self._reporting.still():
            settled = await self._lane.run(lambda c: self._retry(c, seq, signature))
            report = settled.report
            self._floor.alarms.set_parked(settled.parked)
            if report.state == Settlement.RETRIED:
                trade_id = report.report.trade_id
                self._room.add([Postponed(seq, trade_id, was_tried=False)])
                self._floor.waiting.answered([trade_id])
        _log.warning("parked_report_retried", seq=seq, state=report.state.name)
        return report

    async def dismiss(self, seq: int, signature: Signature) -> ParkedReport:
        """Lay a parked report aside. Raises NotFound, Refused, Unavailable."""
        async with self._reporting.still():
            settled = await self._lane.run(lambda c: self._dismiss(c, seq, signature))
            self._floor.alarms.set_parked(settled.parked)
        _log.warning("parked_report_dismissed", seq=seq)
        return settled.report

    async def dismiss_break(self, break_id: int, signature: Signature) -> bool:
        """Lay a difference with the venue aside, if it is open. Raises Unavailable."""
        seat = self._floor.seat

        async def dismiss(connection: psycopg.AsyncConnection) -> tuple[bool, int]:
            await ReportStore(connection, seat).lock(Step.JUDGED)
            store = ComparisonStore(connection, seat.session_id)
            trade_id = await store.dismiss(break_id)
            if trade_id is not None:
                detail = f"break {break_id} of {trade_id}"
                action = Action(Deed.DISMISS_BREAK, signature, detail=detail)
                await OperatorStore(connection, seat.session_id).record(action)
            return trade_id is not None, await store.count()

        was_open, breaks = await self._lane.run(dismiss)
        self._floor.alarms.set_breaks(breaks)
        return was_open

    async def _retry(
        self, connection: psycopg.AsyncConnection, seq: int, signature: Signature
    ) -> _Settled:
        store, found = await self._find(connection, seq)
        if found.state != Settlement.RETRIED:
            fault = await self._judge(connection, found)
            if fault is None:
                await store.settle(
                    seq, Settlement.RETRIED, breach=found.breach, detail=found.detail
                )
                late = Postponed(seq, found.report.trade_id, was_tried=False)
                await LaterStore(connection, self._floor.seat).keep([late])
                detail = "it holds"
            else:
                await store.settle(seq, Settlement.PARKED, breach=fault.breach, detail=fault.detail)
                detail = f"still {fault.breach}: {fault.detail}"
            action = Action(Deed.RETRY_REPORT, signature, report_seq=seq, detail=detail)
            await OperatorStore(connection, self._floor.seat.session_id).record(action)
        return await self._settled(store, seq)

    async def _dismiss(
        self, connection: psycopg.AsyncConnection, seq: int, signature: Signature
    ) -> _Settled:
        store, found = await self._find(connection, seq)
        if found.state == Settlement.RETRIED:
            raise Refused(Reason.REASON_REPORT_NOT_PARKED, "the report was applied")
        if found.state == Settlement.PARKED:
            await store.settle(seq, Settlement.DISMISSED, breach=found.breach, detail=found.detail)
            action = Action(Deed.DISMISS_REPORT, signature, report_seq=seq, detail=found.breach)
            await OperatorStore(connection, self._floor.seat.session_id).record(action)
        return await self._settled(store, seq)

    async def _judge(
        self, connection: psycopg.AsyncConnection, found: ParkedReport
    ) -> Parked | None:
        """Judge it against how its order stands now, and keep that; or why it cannot be true.

        What execution refused was judged before and counts already: execution judges it again.
        """
        if found.breach == Breach.REFUSED_BY_EXECUTION:
            return None
        docket = Docket([found.report], found.seq, self._reporting.sequence.next_seq)
        judgement = await hear(connection, self._floor, docket)
        return judgement.parked[0] if judgement.parked else None

    async def _find(
        self, connection: psycopg.AsyncConnection, seq: int
    ) -> tuple[ParkedStore, ParkedReport]:
        """The report, with nobody else at it until the end. Raises NotFound, Deposed."""
        await ReportStore(connection, self._floor.seat).lock(Step.JUDGED)
        decode = self._floor.venue.decode
        store = ParkedStore(connection, self._floor.seat.session_id, decode)
        found = await store.find(seq)
        if found is None:
            raise NotFound(Reason.REASON_REPORT_NOT_FOUND, f"report {seq} was not parked")
        return store, found

    async def _settled(self, store: ParkedStore, seq: int) -> _Settled:
        report = await store.find(seq)
        if report is None:
            raise AssertionError("a parked report never goes")
        return _Settled(report, await store.count())
