"""Asks the venue about orders it has left without an answer."""

import asyncio
from collections.abc import Sequence

import structlog

from services.exchange_gateway.domain import Report
from services.exchange_gateway.session.floor import Floor
from services.exchange_gateway.session.reporting import Reporting
from services.exchange_gateway.session.submission import Submission
from services.exchange_gateway.session.unanswered import Waiting
from services.exchange_gateway.venues import VenueAway

_MOST = 200
_AT_ONCE = 16
_log = structlog.get_logger()


class Enquiring:
    """Looks after unanswered orders; while there are none it does nothing at all.

    An order that was sent and has no answer after `query_after_seconds` is asked for by its id.
    What the venue has reported of it comes by the session alone, in sequence: if some of it is
    missing here and the venue is silent, the session logs on again. Only on the venue's word that
    it does not know the order is it sent again.
    """

    def __init__(self, floor: Floor, reporting: Reporting, submission: Submission) -> None:
        self._floor = floor
        self._reporting = reporting
        self._submission = submission

    async def run(self) -> None:
        """Work for ever."""
        patience = self._floor.rhythm.query_after_seconds
        while True:
            oldest = await self._floor.waiting.some()
            since = max(oldest, self._floor.board.connected_since)
            moment = self._floor.clock.monotonic() - patience
            if since > moment or not self._floor.board.is_connected:
                await self._floor.clock.sleep(max(since - moment, patience / 10))
                continue
            await self._enquire(moment)

    async def ask(self, trade_ids: Sequence[str]) -> dict[str, Sequence[Report] | None]:
        """What the venue says of each order; None: it does not know it. Raises VenueAway."""
        slots = asyncio.Semaphore(_AT_ONCE)

        async def ask_one(trade_id: str) -> Sequence[Report] | None:
            async with slots:
                return await self._floor.venue.ask(trade_id)

        answers = await asyncio.gather(*(ask_one(trade_id) for trade_id in trade_ids))
        return dict(zip(trade_ids, answers, strict=True))

    async def _enquire(self, moment: float) -> None:
        overdue = self._floor.waiting.before(moment, _MOST)
        try:
            answers = await self.ask([order.trade_id for order in overdue])
        except VenueAway as error:
            _log.warning("enquiry_unanswered", orders=len(overdue), error=str(error))
            self._log_on_again("the exchange does not answer")
            silence = f"the exchange cannot be asked: {error}"
            self._floor.waiting.asked(overdue, {o.trade_id: silence for o in overdue})
            return
        _log.info("enquired", orders=len(overdue))
        await self._follow_up(overdue, answers)
        words = {order.trade_id: _words(answers[order.trade_id]) for order in overdue}
        self._floor.waiting.asked(overdue, words)

    async def _follow_up(
        self, overdue: Sequence[Waiting], answers: dict[str, Sequence[Report] | None]
    ) -> None:
        kept_seq = self._floor.board.kept_seq
        next_venue_seq = self._reporting.sequence.next_venue_seq
        lost = []
        for order in overdue:
            reports = answers[order.trade_id]
            if reports is None and order.command_seq <= kept_seq:
                lost.append(order.trade_id)
            elif reports is None:
                self._log_on_again("commands are not kept")
            elif any(report.venue_seq >= next_venue_seq for report in reports):
                self._log_on_again("reports have not come")
        if lost:
            await self._submission.send_again(lost)

    def _log_on_again(self, why: str) -> None:
        """What is missing may still be under way, unless the venue has fallen silent."""
        silent_for = self._floor.clock.monotonic() - self._floor.board.heard_at
        if silent_for >= self._floor.rhythm.query_after_seconds:
            self._floor.board.log_on_again(why)


def _words(reports: Sequence[Report] | None) -> str:
    if reports is None:
        return "the exchange does not know it: it is sent again"
    return f"the exchange knows it and has {len(reports)} reports of it"
