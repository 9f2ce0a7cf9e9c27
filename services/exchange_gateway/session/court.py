"""Reports judged against what is stored, and what comes of it kept, in one transaction."""

from collections.abc import Sequence
from dataclasses import dataclass

import psycopg

from services.exchange_gateway.domain import (
    Judgement,
    Past,
    Report,
    executions_wanted,
    fills_wanted,
    judge_all,
    replaces_wanted,
)
from services.exchange_gateway.session.floor import Floor
from services.exchange_gateway.store.amendments import AmendmentStore
from services.exchange_gateway.store.replaces import ReplaceStore
from services.exchange_gateway.store.reports import ReportStore, is_ours


@dataclass(frozen=True, slots=True)
class Docket:
    """Reports to be judged, numbered from `first_seq` on, after all that are numbered below `next`.

    Those two differ for a report that is judged again.
    """

    reports: Sequence[Report]
    first_seq: int
    next_seq: int


async def hear(connection: psycopg.AsyncConnection, floor: Floor, docket: Docket) -> Judgement:
    """Judge, and keep how orders stand then. What cannot be true is the caller's to park."""
    seat = floor.seat
    reports, replaces = ReportStore(connection, seat), ReplaceStore(connection, seat)
    amendments = AmendmentStore(connection, seat)
    ids = {report.trade_id for report in docket.reports if is_ours(report.trade_id)}
    standings = await reports.find_standings(sorted(ids))
    filled = executions_wanted(standings, docket.reports)
    commands = replaces_wanted(docket.reports)
    named = [name for name in fills_wanted(docket.reports) if is_ours(name[0])]
    past = Past(
        executions=await reports.find_executions(filled, before=docket.next_seq) if filled else {},
        asked=await replaces.find_commanded(commands) if commands else {},
        fills=await amendments.find(named, before=docket.next_seq, decode=floor.venue.decode)
        if named
        else {},
    )
    judgement = judge_all(standings, docket.reports, first_seq=docket.first_seq, past=past)
    if judgement.answered:
        await replaces.answer(judgement.answered, next_seq=docket.next_seq)
        await replaces.revise(judgement.standings)
    if judgement.amended:
        await amendments.keep(judgement.amended, judgement.standings)
    await reports.save_standings(judgement.standings)
    return judgement
