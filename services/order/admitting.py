"""Who is let in: nobody who would wait too long for the answer, or behind too many open trades.

Both doors refuse alike, item by item, with OVERLOADED and when to come back, and nothing is
recorded: a sender who shows too many batches learns at once which of its trades were taken. To hold
up its stream instead would hide from it how old its trades grow. What a stream may have under way
is bounded beside that, see `service/placing.py`.
"""

from collections.abc import Sequence

import psycopg
from prometheus_client import Counter, Gauge

from libs.batcher import Batcher
from libs.clock import Clock
from libs.reasons import Reason
from libs.refusals import Throttled
from services.order import refusals
from services.order.domain.backlog import Backlog
from services.order.domain.placing import Placement
from services.order.domain.trade import Trade
from services.order.store.queue import Queue

_refused = Counter("order_trades_overloaded", "Trades refused as OVERLOADED", ["by"])
_of_wait, _of_backlog = _refused.labels("wait"), _refused.labels("backlog")
_open = Gauge("order_backlog", "Trades placed and not done, a customer's up to a share")


class Admitting:
    """In front of the one who places; `placer` refuses what would wait too long by itself."""

    def __init__(self, placer: Batcher[Placement, Trade], backlog: Backlog, clock: Clock) -> None:
        self._placer = placer
        self._backlog = backlog
        self._clock = clock

    async def submit(self, placement: Placement) -> Trade:
        """The trade. Raises what it is refused for."""
        (outcome,) = await self.outcomes([placement])
        if isinstance(outcome, Exception):
            raise outcome
        return outcome

    async def outcomes(self, placements: Sequence[Placement]) -> list[Trade | Exception]:
        """What became of each, in order; the first are taken rather than the last."""
        room = self._backlog.room
        late = len(placements) - room
        outcomes = await self._placed(placements[:room])
        if late <= 0:
            return outcomes
        _of_backlog.inc(late)
        return [*outcomes, *[refusals.too_many_open(self._backlog.come_back())] * late]

    async def look(self, connection: psycopg.AsyncConnection) -> None:
        """See how many trades are open."""
        found = await Queue(connection).backlog(self._backlog.share)
        self._backlog.look(found, now=self._clock.monotonic())
        _open.set(found)

    async def _placed(self, placements: Sequence[Placement]) -> list[Trade | Exception]:
        self._backlog.add(len(placements))
        try:
            outcomes = await self._placer.outcomes(placements)
        except BaseException:
            self._backlog.add(-len(placements))
            raise
        refused = [each for each in outcomes if isinstance(each, Exception)]
        self._backlog.add(-len(refused))
        _of_wait.inc(sum(map(_is_overload, refused)))
        return outcomes


def _is_overload(refusal: Exception) -> bool:
    return isinstance(refusal, Throttled) and refusal.reason == Reason.REASON_OVERLOADED
