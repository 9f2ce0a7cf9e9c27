"""Attempts that ended in a fault of the house: counted at the order service, followed by a pause.

A neighbour that is away is no fault; a trade waits for it as long as it takes.
"""

import structlog
from prometheus_client import Counter

from libs.partition import partition_of
from libs.refusals import Refusal
from services.execution.domain.setback import pause_seconds
from services.execution.domain.trade import Faulted, Setback, Trade
from services.execution.lanes import Lanes
from services.execution.neighbours import NeighbourFault
from services.execution.worker import Worker

_faults = Counter("execution_faults", "Attempts that ended in a fault of the house")
_parked = Counter("execution_trades_parked", "Trades parked for an operator")
_log = structlog.get_logger()


class Setbacks:
    """Counts faults; a trade with too many is parked by the order service."""

    def __init__(self, worker: Worker, lanes: Lanes) -> None:
        self._worker = worker
        self._lanes = lanes

    async def suffer(self, customer_id: str, trade: Trade | None, error: Exception) -> None:
        """Count it, and leave the customer alone for a while. `trade`: None if it is not known."""
        _faults.inc()
        trade_id = trade.trade_id if trade else ""
        _log.error("flight_failed", customer_id=customer_id, trade_id=trade_id, exc_info=error)
        partition = partition_of(customer_id)
        epoch = trade.epoch if trade else self._worker.leads.epoch_of(partition)
        faulted = Faulted()
        if epoch is not None:
            words = f"{type(error).__name__}: {error}"
            attempt = trade.attempts if trade else 0
            setback = Setback(customer_id, partition, epoch, trade_id, words, attempt)
            faulted = await self._count(setback)
        if faulted.is_parked:
            _parked.inc()
            _log.error(
                "trade_parked", customer_id=customer_id, trade_id=trade_id, faults=faulted.faults
            )
        else:
            until = self._worker.clock.monotonic() + pause_seconds(faulted.faults)
            self._worker.attention.pause(customer_id, trade_id, until)

    async def _count(self, setback: Setback) -> Faulted:
        try:
            return await self._lanes.faults.submit(setback)
        except (NeighbourFault, Refusal) as error:
            _log.warning("fault_not_counted", customer_id=setback.customer_id, error=str(error))
            return Faulted()
