"""What the exchange says, booked: the ledger first, then the trade.

So whoever sees a trade FILLED sees the shares. Every step is safe to repeat: a caller that got no
answer sends the same reports again. What a neighbour chokes on is set apart and has to come again;
what belongs to other trades goes on.
"""

from collections import Counter as Tally
from collections.abc import Awaitable, Callable, Iterable, Sequence

import structlog
from prometheus_client import Counter

from services.execution import report_wire
from services.execution.domain.booking import APPLIED, Booking, Code, Sheet, stages
from services.execution.domain.replacing import Adjustment, ReplaceTerms, freed
from services.execution.domain.report import (
    Accepted,
    Amended,
    Ended,
    Fill,
    Replaced,
    ReplaceRejected,
    Report,
    runs,
)
from services.execution.domain.trade import OpenCustomer
from services.execution.neighbours import NeighbourFault, Neighbours

_applied = Counter("execution_reports_applied", "Reports booked")
_impossible = Counter("execution_reports_impossible", "Reports that cannot be true")
_late = Counter("execution_reports_late", "Reports that could not be booked and come again")
_log = structlog.get_logger()

ANSWERS = (Replaced, ReplaceRejected)
Step = Callable[[Sequence[int]], Awaitable[list[Booking]]]


class Books:
    """Books reports. `go_on` is called with customers whose next trade may be taken up."""

    def __init__(
        self, neighbours: Neighbours, go_on: Callable[[Iterable[OpenCustomer]], None]
    ) -> None:
        self._neighbours = neighbours
        self._go_on = go_on

    async def apply(self, reports: Sequence[Report]) -> list[Booking]:
        """What was done with each report, in the order given.

        Raises Unavailable with some of them booked: all may be sent again.
        """
        sheet = Sheet(reports)
        for run in runs(reports):
            await self._apply_run(sheet, run)
        bookings = sheet.bookings()
        _tell(reports, bookings)
        return bookings

    async def _apply_run(self, sheet: Sheet, run: Sequence[int]) -> None:
        reports = sheet.reports

        async def post(indices: Sequence[int]) -> list[Booking]:
            fills = [(reports[index], _fill(reports[index])) for index in indices]
            return await self._neighbours.ledger.post(fills)

        async def release(indices: Sequence[int]) -> list[Booking]:
            trade_ids = [reports[index].trade_id for index in indices]
            return await self._neighbours.ledger.release(trade_ids)

        async def amend(indices: Sequence[int]) -> list[Booking]:
            told = [(reports[index], reports[index].news) for index in indices]
            return await self._neighbours.ledger.correct(
                [(report, news) for report, news in told if isinstance(news, Amended)]
            )

        async def adjust(indices: Sequence[int]) -> list[Booking]:
            return await self._adjust([reports[index] for index in indices])

        async def record(indices: Sequence[int]) -> list[Booking]:
            outcomes = report_wire.outcomes_to([reports[index] for index in indices])
            recorded = await self._neighbours.order.apply(outcomes)
            self._go_on(recorded.open_customers)
            return recorded.bookings

        fills = [index for index in run if isinstance(reports[index].news, Fill)]
        for stage in stages(reports, fills):
            await _take(post, sheet, stage)
        others = [index for index in run if not isinstance(reports[index].news, Accepted | Fill)]
        if others:
            amendments = [index for index in others if isinstance(reports[index].news, Amended)]
            await _take(amend, sheet, amendments)
            answers = [index for index in others if isinstance(reports[index].news, ANSWERS)]
            await _take(adjust, sheet, answers)
            ends = [index for index in others if _is_end(reports[index])]
            await _take(release, sheet, ends)
        await _take(record, sheet, run)

    async def _adjust(self, reports: Sequence[Report]) -> list[Booking]:
        """Free what the answers to replaces show is needed no more."""
        asked = await self._neighbours.order.replaces(
            [report.news.replace_id for report in reports if isinstance(report.news, ANSWERS)]
        )
        found: list[Adjustment | Booking] = [
            _freed(report, terms) for report, terms in zip(reports, asked, strict=True)
        ]
        wanted = [each for each in found if isinstance(each, Adjustment)]
        done = iter(await self._neighbours.ledger.adjust_down(wanted) if wanted else ())
        return [next(done) if isinstance(each, Adjustment) else each for each in found]


def _freed(report: Report, terms: ReplaceTerms | None) -> Adjustment | Booking:
    if terms is None or terms.trade_id != report.trade_id:
        return Booking(Code.IMPOSSIBLE, "the trade has no such replace")
    filled = report.news.filled_quantity if isinstance(report.news, Replaced) else None
    return freed(terms, filled) or APPLIED


def _is_end(report: Report) -> bool:
    """Whether nothing is held for the order any more; a last fill frees the rest itself."""
    news = report.news
    return isinstance(news, Ended) or (isinstance(news, Replaced) and news.leaves_nothing)


async def _take(step: Step, sheet: Sheet, indices: Sequence[int]) -> None:
    """Take reports through a step; what it faults on is found by halving, and comes again."""
    sound = sheet.sound(indices)
    if not sound:
        return
    try:
        bookings = await step(sound)
    except NeighbourFault as fault:
        if len(sound) == 1:
            sheet.note(sound[0], Booking(Code.LATER, str(fault)))
            return
        half = len(sound) // 2
        await _take(step, sheet, sound[:half])
        await _take(step, sheet, sound[half:])
        return
    for index, booking in zip(sound, bookings, strict=True):
        if booking is not APPLIED:
            sheet.note(index, booking)


def _fill(report: Report) -> Fill:
    assert isinstance(report.news, Fill)
    return report.news


def _tell(reports: Sequence[Report], bookings: Sequence[Booking]) -> None:
    """Count them; each that cannot be true is an alarm, those that come again are one line."""
    codes = Tally(booking.code for booking in bookings if booking is not APPLIED)
    _applied.inc(len(bookings) - codes.total())
    if not codes:
        return
    _impossible.inc(codes[Code.IMPOSSIBLE])
    _late.inc(codes[Code.LATER])
    if codes[Code.LATER]:
        why = next(booking.detail for booking in bookings if booking.code is Code.LATER)
        _log.error("reports_late", reports=codes[Code.LATER], why=why)
    for report, booking in zip(reports, bookings, strict=True):
        if booking.code is Code.IMPOSSIBLE:
            _log.error(
                "report_impossible",
                trade_id=report.trade_id,
                report_seq=report.report_seq,
                flaw=booking.detail,
            )
