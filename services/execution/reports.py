"""What the exchange says, booked: the ledger first, then the trade.

So whoever sees a trade FILLED sees the shares. Every step is safe to repeat: a caller that got no
answer sends the same reports again.
"""

from collections.abc import Callable, Iterable, Sequence

import structlog
from prometheus_client import Counter

from services.execution import wire
from services.execution.domain.report import Ended, Fill, Report, flaw_of, runs
from services.execution.domain.trade import OpenCustomer
from services.execution.neighbours import Neighbours

_applied = Counter("execution_reports_applied", "Reports booked")
_impossible = Counter("execution_reports_impossible", "Reports that cannot be true")
_log = structlog.get_logger()


class Books:
    """Books reports. `go_on` is called with customers whose next trade may be taken up."""

    def __init__(
        self, neighbours: Neighbours, go_on: Callable[[Iterable[OpenCustomer]], None]
    ) -> None:
        self._neighbours = neighbours
        self._go_on = go_on

    async def apply(self, reports: Sequence[Report]) -> list[str]:
        """Why each report is impossible, '' for those that are booked, in the order given.

        Raises Unavailable or NeighbourFault with some of them booked: all may be sent again.
        """
        flaws: list[str] = []
        for run in runs(reports):
            flaws += await self._apply_run(run)
        impossible = sum(1 for flaw in flaws if flaw)
        _applied.inc(len(flaws) - impossible)
        _impossible.inc(impossible)
        for report, flaw in zip(reports, flaws, strict=True):
            if flaw:
                _log.error(
                    "report_impossible",
                    trade_id=report.trade_id,
                    report_seq=report.report_seq,
                    flaw=flaw,
                )
        return flaws

    async def _apply_run(self, run: list[Report]) -> list[str]:
        flaws = [flaw_of(report) for report in run]
        await self._book(run, flaws)
        await self._record(run, flaws)
        return flaws

    async def _book(self, run: list[Report], flaws: list[str]) -> None:
        """Fills and ends into the ledger; `flaws` is filled in."""
        fills = [
            (index, report, report.news)
            for index, report in enumerate(run)
            if isinstance(report.news, Fill) and not flaws[index]
        ]
        if fills:
            answers = await self._neighbours.ledger.post(
                [(report, fill) for _, report, fill in fills]
            )
            for (index, _, _), flaw in zip(fills, answers, strict=True):
                flaws[index] = flaw and f"the ledger says {flaw}"
        ends = [
            index
            for index, report in enumerate(run)
            if isinstance(report.news, Ended) and not flaws[index]
        ]
        if ends:
            answers = await self._neighbours.ledger.release([run[index].trade_id for index in ends])
            for index, flaw in zip(ends, answers, strict=True):
                flaws[index] = flaw and f"the ledger says {flaw}"

    async def _record(self, run: list[Report], flaws: list[str]) -> None:
        """What the ledger has booked onto the trades; `flaws` is filled in."""
        sound = [index for index, flaw in enumerate(flaws) if not flaw]
        if not sound:
            return
        outcomes = [wire.outcome_to(run[index]) for index in sound]
        recorded = await self._neighbours.order.record(outcomes)
        for index, flaw in zip(sound, recorded.flaws, strict=True):
            flaws[index] = flaw and f"booked, but the order service says: {flaw}"
        self._go_on(recorded.open_customers)
