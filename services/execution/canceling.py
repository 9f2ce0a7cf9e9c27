"""A cancel on its way to the exchange. It passes every halt, and waits for nothing but its trade.

The gateway decides what it means: it alone knows whether the order was sent. The hold is placed
first, so that there is one to be released whenever the order ends, also one that was never sent.
"""

import structlog
from prometheus_client import Counter

from libs.refusals import Refusal
from services.execution import wire
from services.execution.domain.trade import Trade, rejects
from services.execution.lanes import Lanes
from services.execution.worker import Worker

_sent = Counter("execution_cancels", "Cancels the gateway has")
_failed = Counter("execution_cancels_failed", "Cancels the house could not bring on their way")
_log = structlog.get_logger()


class Canceling:
    """Brings cancels to the gateway, each once under an epoch; the sweep has it done again."""

    def __init__(self, worker: Worker, lanes: Lanes) -> None:
        self._worker = worker
        self._lanes = lanes

    async def cancel(self, trade: Trade) -> None:
        """Have the trade canceled. Raises Refusal when closing or when too much is queued."""
        attention = self._worker.attention
        if attention.is_canceling(trade.trade_id, trade.epoch):
            return
        try:
            reason = await self._hold_and_send(trade)
        except Refusal:
            raise
        except Exception:
            _failed.inc()
            _log.exception("cancel_failed", trade_id=trade.trade_id)
            return
        if reason:
            _failed.inc()
            _log.error("cancel_refused", trade_id=trade.trade_id, reason=wire.name_of(reason))
        else:
            attention.canceling(trade.trade_id, trade.epoch, self._worker.clock.monotonic())

    async def _hold_and_send(self, trade: Trade) -> int:
        """The reason a neighbour refuses for, which it must not; 0: the cancel is on its way."""
        held = await self._lanes.holds.submit(trade)
        if rejects(held.reason):  # it was never sent: that is its end
            await self._lanes.outcomes.submit(wire.rejection_to(trade, held))
            return 0
        if held.reason:
            return held.reason
        answer = await self._lanes.cancels.submit(trade)
        if answer.is_stale:
            self._lanes.lose(trade.partition, trade.epoch)
        elif not answer.reason:
            _sent.inc()
        return 0 if answer.is_stale else answer.reason
