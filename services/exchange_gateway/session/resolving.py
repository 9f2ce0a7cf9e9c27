"""An operator's word on an order in doubt, written in turn with the venue's own reports."""

from dataclasses import dataclass, replace

import msgspec
import psycopg
import structlog

from libs.postgres import Lane
from libs.refusals import NotFound, Refused
from services.exchange_gateway.domain import Delivery, State
from services.exchange_gateway.domain.operators import Deed, Outcome, Signature, compose
from services.exchange_gateway.session.court import Docket, hear
from services.exchange_gateway.session.enquiring import ask
from services.exchange_gateway.session.floor import Floor
from services.exchange_gateway.session.reporting import Reporting
from services.exchange_gateway.store.operators import Action, OperatorStore, Written
from services.exchange_gateway.store.progress import Step
from services.exchange_gateway.store.reports import ReportStore
from services.exchange_gateway.venues import VenueAway
from stockbroker.common.v1.reason_pb2 import Reason

_log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class _Done:
    """The gateway's number of the report, and the delivery to make unless it was made before."""

    seq: int
    delivery: Delivery | None


class Resolving:
    """Report, judgement and record are one transaction; done twice it comes to the same."""

    def __init__(self, floor: Floor, lane: Lane, reporting: Reporting) -> None:
        self._floor = floor
        self._lane = lane
        self._reporting = reporting

    async def resolve(
        self, trade_id: str, outcome: Outcome, signature: Signature, *, despite_venue: str
    ) -> int:
        """Write the report of an order that the venue owes; the gateway's number of it.

        The order is never sent again. Raises NotFound, Refused, Unavailable.
        """
        action = Action(Deed.RESOLVE_ORDER, signature, trade_id=trade_id, detail=outcome.words)
        if (before := await self._lane.run(lambda c: self._store(c).find(action))) is not None:
            return before
        said = await self._ask(trade_id)
        if said and not despite_venue:
            raise Refused(Reason.REASON_EXCHANGE_CAN_ANSWER, f"the exchange says that {said}")
        proof = f"{signature.evidence} [the exchange: {said or 'no answer'}]"
        if despite_venue:
            proof += f" [nevertheless: {despite_venue}]"
        action = replace(action, signature=replace(signature, evidence=proof))
        async with self._reporting.still() as seq:
            done = await self._lane.run(lambda c: self._write(c, seq, outcome, action))
            self._floor.board.withdrawn.add(trade_id)
            self._floor.waiting.answered([trade_id])
            self._floor.replaces.answered([trade_id])
            if done.seq == seq:
                self._reporting.wrote(seq, done.delivery)
        _log.warning("order_resolved", trade_id=trade_id, seq=done.seq, outcome=outcome.words)
        return done.seq

    async def _ask(self, trade_id: str) -> str:
        """The venue's word on an order just now; empty: it does not answer."""
        try:
            [reports] = (await ask(self._floor, [trade_id])).values()
        except VenueAway:
            return ""
        if reports is None:
            return "it does not know the order"
        return f"it knows the order and has {len(reports)} reports of it"

    async def _write(
        self, connection: psycopg.AsyncConnection, seq: int, outcome: Outcome, action: Action
    ) -> _Done:
        reports, store = ReportStore(connection, self._floor.seat), self._store(connection)
        await reports.lock(Step.STORED)
        await reports.lock(Step.JUDGED)
        if (before := await store.find(action)) is not None:
            return _Done(before, None)
        trade_id = action.trade_id or ""
        standing = (await reports.find_standings([trade_id])).get(trade_id)
        if standing is None:
            raise NotFound(Reason.REASON_TRADE_NOT_FOUND, "no order of that trade was sent")
        if standing.state == State.DONE:
            raise Refused(Reason.REASON_ORDER_HAS_ENDED, "what became of the order is known")
        report = compose(outcome, standing, words=action.signature.reason_text)
        report = msgspec.structs.replace(report, raw=self._floor.venue.write(report))
        judgement = await hear(connection, self._floor, Docket([report], seq, seq))
        if judgement.parked:
            raise Refused(Reason.REASON_CANNOT_BE_TRUE, judgement.parked[0].detail)
        author = action.signature.actor
        written = Written(seq, trade_id, report.kind, report.execution_id, report.raw, author)
        await store.write(self._floor.seat, written)
        await store.record(replace(action, report_seq=seq))
        await reports.advance(Step.STORED, Step.JUDGED, to=seq + 1)
        return _Done(seq, judgement.deliveries[0])

    def _store(self, connection: psycopg.AsyncConnection) -> OperatorStore:
        return OperatorStore(connection, self._floor.seat.session_id)
