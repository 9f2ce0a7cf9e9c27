"""Asks the venue about orders and replaces it has left without an answer."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

import structlog

from services.exchange_gateway.domain import Report
from services.exchange_gateway.domain.enquiry import Reach, Step
from services.exchange_gateway.session.floor import Floor
from services.exchange_gateway.session.reporting import Reporting
from services.exchange_gateway.session.unanswered import Unanswered, Waiting
from services.exchange_gateway.venues import VenueAway

_MOST = 200
_AT_ONCE = 16
_WORDS = {Step.FETCH_REPORTS: "reports have not come", Step.BRING_COMMANDS: "commands are not kept"}
_log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Subject:
    """What is asked about: what waits, what follows from the venue's word, and how it is sent."""

    name: str
    waiting: Unanswered
    next_step: Callable[[int, Sequence[Report] | None, Reach], Step]
    send_again: Callable[[Sequence[str]], Awaitable[None]]


class Enquiring:
    """Looks after what is unanswered; while nothing is it does nothing at all.

    What was sent and has no answer after `query_after_seconds` is asked for by its order's id.
    What the venue has reported of it comes by the session alone, in sequence: if some of it is
    missing here and the venue is silent, the session logs on again. Only on the venue's word that
    it does not have it is it sent again.
    """

    def __init__(self, floor: Floor, reporting: Reporting, subject: Subject) -> None:
        self._floor = floor
        self._reporting = reporting
        self._subject = subject

    async def run(self) -> None:
        """Work for ever."""
        patience = self._floor.rhythm.query_after_seconds
        while True:
            oldest = await self._subject.waiting.some()
            since = max(oldest, self._floor.board.connected_since)
            moment = self._floor.clock.monotonic() - patience
            if since > moment or not self._floor.board.is_connected:
                await self._floor.clock.sleep(max(since - moment, patience / 10))
                continue
            await self._enquire(moment)

    async def _enquire(self, moment: float) -> None:
        waiting = self._subject.waiting
        overdue = waiting.before(moment, _MOST)
        kept_seq = self._floor.board.kept_seq  # what comes to be kept now it may not tell yet
        try:
            answers = await ask(self._floor, [one.trade_id for one in overdue])
        except VenueAway as error:
            _log.warning("enquiry_unanswered", orders=len(overdue), error=str(error))
            self._log_on_again("the exchange does not answer")
            silence = f"the exchange cannot be asked: {error}"
            waiting.asked(overdue, {one.trade_id: silence for one in overdue})
            return
        _log.info("enquired", about=self._subject.name, orders=len(overdue))
        await self._follow_up(overdue, answers, kept_seq)
        waiting.asked(overdue, {one.trade_id: _words(answers[one.trade_id]) for one in overdue})

    async def _follow_up(
        self,
        overdue: Sequence[Waiting],
        answers: dict[str, Sequence[Report] | None],
        kept_seq: int,
    ) -> None:
        """Do what follows. `kept_seq`: the venue had every command up to this one when asked."""
        kept_seq = min(kept_seq, self._floor.board.kept_seq)
        reach = Reach(kept_seq, self._reporting.sequence.next_venue_seq)
        lost = []
        for one in overdue:
            step = self._subject.next_step(one.command_seq, answers[one.trade_id], reach)
            if step is Step.SEND_AGAIN:
                lost.append(one.trade_id)
            elif step is Step.FORGET:
                self._subject.waiting.answered([one.trade_id])
            elif step is not Step.WAIT:
                self._log_on_again(_WORDS[step])
        if lost:
            await self._subject.send_again(lost)

    def _log_on_again(self, why: str) -> None:
        """What is missing may still be under way, unless the venue has fallen silent."""
        silent_for = self._floor.clock.monotonic() - self._floor.board.heard_at
        if silent_for >= self._floor.rhythm.query_after_seconds:
            self._floor.board.log_on_again(why)


async def ask(floor: Floor, trade_ids: Sequence[str]) -> dict[str, Sequence[Report] | None]:
    """What the venue says of each order; None: it does not know it. Raises VenueAway."""
    slots = asyncio.Semaphore(_AT_ONCE)

    async def ask_one(trade_id: str) -> Sequence[Report] | None:
        async with slots:
            return await floor.venue.ask(trade_id)

    answers = await asyncio.gather(*(ask_one(trade_id) for trade_id in trade_ids))
    return dict(zip(trade_ids, answers, strict=True))


def _words(reports: Sequence[Report] | None) -> str:
    if reports is None:
        return "the exchange does not know it: it is sent again"
    return f"the exchange knows it and has {len(reports)} reports of it"
