"""A replace on its way to the exchange. It waits for halts of its symbol, and for no other trade.

More is held before the exchange is asked, less only after it has answered: whatever it fills
meanwhile is covered. Every step carries an id made from the replace's, so it is safe to repeat.
"""

import asyncio
from collections.abc import Iterable

import structlog
from prometheus_client import Counter

from libs.refusals import Refusal
from services.execution import replace_wire, wire
from services.execution.domain.booking import Code
from services.execution.domain.replacing import ClaimedReplace, freed, raised
from services.execution.domain.trade import rejects
from services.execution.faults import HouseFault
from services.execution.lanes import Lanes
from services.execution.worker import Worker
from stockbroker.common.v1.reason_pb2 import Reason

_NOTHING_HELD = (Reason.REASON_UNSPECIFIED, Reason.REASON_HOLD_CLOSED)
_sent = Counter("execution_replaces", "Replaces the gateway has")
_refused = Counter("execution_replaces_refused", "Replaces the house refused")
_failed = Counter("execution_replaces_failed", "Replaces the house could not bring on their way")
_log = structlog.get_logger()


class Replacing:
    """Brings replaces to the gateway, each once under an epoch; the sweep has it done again."""

    def __init__(self, worker: Worker, lanes: Lanes) -> None:
        self._worker = worker
        self._lanes = lanes

    async def replace(self, replaces: Iterable[ClaimedReplace]) -> None:
        """Have the trades replaced, all at once. What cannot be done now the sweep brings again."""
        await asyncio.gather(*map(self._replace, replaces))

    async def _replace(self, replace: ClaimedReplace) -> None:
        trade, now = replace.trade, self._worker.clock.monotonic()
        if self._worker.board.current.stops(trade):
            return
        brought = self._worker.attention.replaces
        if brought.has(trade.trade_id, replace.terms.replace_id, trade.epoch, now):
            return
        try:
            if await self._hold_more(replace):
                await self._send(replace)
        except Refusal:
            pass  # too much to do, or closing
        except Exception:
            _failed.inc()
            _log.exception("replace_failed", trade_id=trade.trade_id)

    async def _hold_more(self, replace: ClaimedReplace) -> bool:
        """Whether the replace is covered; otherwise it is refused. Raises HouseFault."""
        adjustment = raised(replace.terms)
        if adjustment is None:
            return True
        reason = await self._lanes.adjustments.submit(adjustment)
        if not reason:
            return True
        if reason == Reason.REASON_HOLD_CLOSED:  # the order has ended
            await self._refuse(replace, Reason.REASON_TOO_LATE_TO_REPLACE)
        elif rejects(reason):
            await self._refuse(replace, reason)
        else:
            raise HouseFault(f"no larger hold: {wire.name_of(reason)}")
        return False

    async def _send(self, replace: ClaimedReplace) -> None:
        """Raises HouseFault when the gateway refuses what it must not."""
        trade = replace.trade
        answer = await self._lanes.replaces.submit(replace)
        if answer.is_stale:
            self._lanes.lose(trade.partition, trade.epoch)
        elif answer.is_halted:
            pass  # the sweep brings it again
        elif answer.reason:
            raise HouseFault(f"no replace: {wire.name_of(answer.reason)}")
        elif answer.never_sent:
            await self._give_back(replace)
            await self._refuse(replace, Reason.REASON_TOO_LATE_TO_REPLACE)
        else:
            _sent.inc()
            now = self._worker.clock.monotonic()
            brought = self._worker.attention.replaces
            if brought.note(trade.trade_id, replace.terms.replace_id, trade.epoch, now):
                why = "the exchange does not answer the replace"
                await self._lanes.doubt([trade.trade_id], why)

    async def _give_back(self, replace: ClaimedReplace) -> None:
        adjustment = freed(replace.terms, None)
        if adjustment is None:
            return
        reason = await self._lanes.adjustments.submit(adjustment)
        if reason not in _NOTHING_HELD:
            raise HouseFault(f"no smaller hold: {wire.name_of(reason)}")

    async def _refuse(self, replace: ClaimedReplace, reason: int) -> None:
        _refused.inc()
        outcome = replace_wire.refusal_to(replace.terms, reason)
        booking = await self._lanes.outcomes.submit(outcome)
        if booking.code is not Code.APPLIED:
            raise HouseFault(booking.detail)
