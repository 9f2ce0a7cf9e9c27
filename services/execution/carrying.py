"""A trade that was taken up: whether it is to be carried on, and what ends the attempt."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

from prometheus_client import Counter

from libs.refusals import Refusal, Unavailable
from services.execution import outcome_wire, wire
from services.execution.domain.attention import Resting
from services.execution.domain.setback import passes
from services.execution.domain.trade import Held, Trade, Turn
from services.execution.faults import HouseFault, must
from services.execution.lanes import Claim, Lanes
from services.execution.setbacks import Setbacks
from services.execution.worker import Worker
from stockbroker.common.v1.reason_pb2 import Reason

_claimed = Counter("execution_claimed", "Trades taken up")
_swept = Counter("execution_swept", "Trades taken up that the sweep had found, not a nudge")
_rejected = Counter("execution_house_rejected", "Trades the ledger refused to hold for")
_expired = Counter("execution_house_expired", "DAY trades whose day was over before they were sent")
_submitted = Counter("execution_submitted", "Orders the gateway has")


class Carrying:
    """What becomes of single trades on their way."""

    def __init__(self, worker: Worker, lanes: Lanes) -> None:
        self._worker = worker
        self._attention = worker.attention
        self._lanes = lanes
        self._setbacks = Setbacks(worker, lanes)
        self._counted = worker.tally.claimed, worker.tally.swept

    def taken_up(self, turn: Turn, claim: Claim, *, is_swept: bool) -> Trade | None:
        """The trade that is to be carried on: none that is under way, halted, to be canceled."""
        trade = claim.trade
        if trade is None:
            if not turn.is_halted:
                self._attention.forget(turn.customer_id)
            return None
        if self._is_out_of_hands(trade):
            return None
        if trade.is_to_be_canceled:
            self._rest(trade)
            return None
        self._worker.tally.claimed += 1
        self._worker.tally.swept += is_swept
        if self._worker.board.current.stops(trade):
            self.hold_back(trade)
            return None
        return trade

    def count(self) -> None:
        """Have the metrics say what the tally says, for all that were taken up meanwhile."""
        tally = self._worker.tally
        claimed, swept = self._counted
        self._counted = tally.claimed, tally.swept
        _claimed.inc(tally.claimed - claimed)
        _swept.inc(tally.swept - swept)

    def sent(self, trades: Sequence[Trade]) -> None:
        """The gateway has the orders."""
        _submitted.inc(len(trades))
        for trade in trades:
            self._rest(trade)

    def hold_back(self, trade: Trade, *, may_be_sent: bool = False) -> None:
        """It was halted on its way, and waits with what is held for it.

        `may_be_sent`: the gateway may have the order, and is asked.
        """
        self._rest(trade, is_halted=True, may_be_sent=may_be_sent)

    async def fail(self, customer_id: str, trade: Trade | None, error: Exception) -> None:
        """Whatever is wrong with the trade is counted against it. `trade`: None if not known."""
        await self._setbacks.suffer(customer_id, trade, error)

    async def reject(self, trade: Trade, held: Held) -> None:
        """The books do not allow it: that is the trade's end. Raises Refusal."""
        _rejected.inc()
        async with self._counting_faults(trade):
            must(await self._lanes.outcomes.submit(outcome_wire.rejection_to(trade, held)))

    async def expire(self, trade: Trade) -> None:
        """Its day was over before it was sent: that is the trade's end. Raises Refusal."""
        _expired.inc()
        async with self._counting_faults(trade):
            must(await self._lanes.releases.submit(trade.trade_id))
            must(await self._lanes.outcomes.submit(outcome_wire.expiry_to(trade.trade_id)))

    @asynccontextmanager
    async def _counting_faults(self, trade: Trade) -> AsyncIterator[None]:
        """Whatever goes wrong but a refusal is counted against the trade."""
        try:
            yield
        except Refusal:
            raise
        except Exception as error:
            await self.fail(trade.customer_id, trade, error)

    def _is_out_of_hands(self, trade: Trade) -> bool:
        """Whether this very trade, under this epoch, was submitted or held back already."""
        resting = self._attention.resting_of(trade.customer_id)
        if resting is None or resting.trade_id != trade.trade_id or resting.epoch != trade.epoch:
            return False
        return not resting.is_halted or self._worker.board.current.stops(trade)

    def _rest(self, trade: Trade, **how: bool) -> None:
        now = self._worker.clock.monotonic()
        resting = Resting(trade.trade_id, trade.epoch, trade.symbol, now, now, **how)
        self._attention.rest(trade.customer_id, resting)


def refused(what: str, reason: int) -> Exception:
    """A neighbour gave a reason it should not need, or one that passes by itself."""
    words = f"{what}: {wire.name_of(reason)}"
    return Unavailable(Reason.REASON_UNAVAILABLE, words) if passes(reason) else HouseFault(words)
