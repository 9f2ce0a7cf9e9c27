"""A cancel on its way to the exchange. It passes every halt, and waits for nothing but its trade.

The gateway decides what it means: it alone knows whether the order was sent. The hold is placed
first, so that there is one to be released whenever the order ends, also one that was never sent.
"""

import asyncio
from collections.abc import Iterable

import structlog
from prometheus_client import Counter

from libs.refusals import Refusal
from services.execution import outcome_wire, wire
from services.execution.domain.trade import Trade, rejects
from services.execution.faults import HouseFault, must
from services.execution.lanes import Lanes
from services.execution.worker import Worker

_sent = Counter("execution_cancels", "Cancels the gateway has")
_failed = Counter("execution_cancels_failed", "Cancels the house could not bring on their way")
_log = structlog.get_logger()


class Canceling:
    """Brings cancels to the gateway, each once under an epoch; the sweep has it done again.

    What was never sent ends here: what is held is freed, then the trade is told.
    """

    def __init__(self, worker: Worker, lanes: Lanes) -> None:
        self._worker = worker
        self._lanes = lanes

    async def cancel(self, trades: Iterable[Trade]) -> None:
        """Have the trades canceled, all at once. What cannot be done now the sweep brings again."""
        await asyncio.gather(*map(self._cancel, trades))

    async def _cancel(self, trade: Trade) -> None:
        now = self._worker.clock.monotonic()
        brought = self._worker.attention.cancels
        if brought.has(trade.trade_id, trade.cancel_id, trade.epoch, now):
            return
        try:
            await self._hold_and_send(trade)
        except Refusal:
            pass  # too much to do, or closing
        except Exception:
            _failed.inc()
            _log.exception("cancel_failed", trade_id=trade.trade_id)

    async def _hold_and_send(self, trade: Trade) -> None:
        """Raises HouseFault when a neighbour refuses what it must not."""
        if not trade.is_at_exchange:  # else there is a hold, perhaps by now of another size
            held = await self._lanes.holds.submit(trade)
            if rejects(held.reason):
                must(await self._lanes.outcomes.submit(outcome_wire.rejection_to(trade, held)))
                return
            if held.reason:
                raise HouseFault(f"no hold: {wire.name_of(held.reason)}")
        answer = await self._lanes.cancels.submit(trade)
        if answer.is_stale:
            self._lanes.lose(trade.partition, trade.epoch)
        elif answer.reason:
            raise HouseFault(f"no cancel: {wire.name_of(answer.reason)}")
        elif answer.never_sent:
            must(await self._lanes.releases.submit(trade.trade_id))
            must(await self._lanes.outcomes.submit(outcome_wire.cancellation_to(trade)))
        else:
            _sent.inc()
            now = self._worker.clock.monotonic()
            brought = self._worker.attention.cancels
            if brought.note(trade.trade_id, trade.cancel_id, trade.epoch, now):
                await self._lanes.doubt([trade.trade_id], "the exchange does not answer the cancel")
