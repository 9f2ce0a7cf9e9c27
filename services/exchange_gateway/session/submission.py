"""Orders in: numbered, stored, answered; then the sender has them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import psycopg
import structlog
from prometheus_client import Counter

from libs.batcher import Batcher
from libs.fills import day_of
from libs.postgres import Lane
from services.exchange_gateway.domain import (
    Command,
    Known,
    Order,
    State,
    Submitted,
    fault_of,
    highest_epochs,
    sort_out,
)
from services.exchange_gateway.domain.held import is_stop
from services.exchange_gateway.session.asking import answer_each
from services.exchange_gateway.session.floor import Floor
from services.exchange_gateway.store.commands import CommandStore
from services.exchange_gateway.store.held import HeldStore

_submitted = Counter("gateway_orders_submitted", "Orders taken, repeats not counted")
_resent = Counter("gateway_orders_resent", "Orders sent again, the venue having lost them")
_log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class _Kept:
    """What a transaction came to: results for the callers, commands for the sender.

    `held`: how many stops the house holds. `known`: what was stored before.
    """

    results: Sequence[Submitted]
    commands: Sequence[Command]
    head: int
    held: int = 0
    known: Mapping[str, Known] = field(default_factory=dict)


class Submission:
    """The submit lane: the only place where commands get their numbers.

    Numbers are given under the lock of the lane's progress row, so that commit order is number
    order and the session has no gaps.
    """

    def __init__(self, floor: Floor, lane: Lane) -> None:
        self._floor = floor
        self._lane = lane
        self._batcher: Batcher[Order, Submitted] = Batcher(self._keep, max_items=1000)

    async def submit(self, orders: Sequence[Order]) -> list[Submitted]:
        """What came of each order, in the order given. Raises Unavailable or Throttled."""
        return await answer_each(
            orders,
            self._batcher,
            fault_of=fault_of,
            refuse=lambda order, fault: Submitted(order.trade_id, None, fault),
        )

    async def send_again(self, trade_ids: Sequence[str]) -> None:
        """Give orders the venue does not know a new number; answered ones are left alone."""

        async def renumber(connection: psycopg.AsyncConnection) -> _Kept:
            store = CommandStore(connection, self._floor.seat)
            first = await store.lock()
            commands = self._numbered(await store.find_pending(trade_ids), first)
            await store.keep_again(commands)
            await store.advance(first + len(commands))
            return _Kept([], commands, first + len(commands))

        kept = await self._lane.run(renumber)
        _resent.inc(len(kept.commands))
        _log.warning("orders_sent_again", trade_ids=[c.trade_id for c in kept.commands])
        self._hand_over(kept)

    async def skip_to(self, head: int) -> None:
        """Number the next command at least `head`: the venue has seen the numbers before it."""

        async def raise_head(connection: psycopg.AsyncConnection) -> None:
            await CommandStore(connection, self._floor.seat).advance(head)

        await self._lane.run(raise_head)
        self._floor.commands.announce(head)

    async def close(self) -> None:
        """Finish what is queued, take nothing new."""
        await self._batcher.close()

    async def _keep(self, orders: list[Order]) -> Sequence[Submitted]:
        async def keep(connection: psycopg.AsyncConnection) -> _Kept:
            store = CommandStore(connection, self._floor.seat)
            first = await store.lock()
            epochs = await store.raise_epochs(
                highest_epochs((o.terms.partition, o.epoch) for o in orders)
            )
            known = await store.find([order.trade_id for order in orders])
            today = day_of(self._floor.clock.now())
            results, fresh = sort_out(orders, epochs=epochs, known=known, today=today)
            held = [o for o in fresh if is_stop(o.terms)] if self._floor.holds_stops else []
            if held:
                await HeldStore(connection, self._floor.seat).keep(held)
                fresh = [order for order in fresh if not is_stop(order.terms)]
            commands = self._numbered(fresh, first)
            if fresh:
                await store.keep(fresh, commands)
                await store.advance(first + len(fresh))
            return _Kept(results, commands, first + len(fresh), len(held), known)

        kept = await self._lane.run(keep)
        if kept.held:
            self._floor.bell.ring(is_new=True)
        _submitted.inc(len(kept.commands))
        _log.info("orders_kept", orders=len(orders), fresh=len(kept.commands), head=kept.head)
        self._hand_over(kept)
        if kept.known:
            await self._look_after(kept.known)
        return kept.results

    async def _look_after(self, known: Mapping[str, Known]) -> None:
        """Have what is unanswered looked after: a commit without an answer told nobody of it."""
        waiting = self._floor.waiting
        pending = {key: one for key, one in known.items() if one.state is State.PENDING}
        if any(one.held == 1 for one in pending.values()):
            self._floor.bell.ring(is_new=True)
        missed = [key for key, one in pending.items() if one.held != 1 and key not in waiting]
        if not missed:
            return
        for trade_id in missed:
            waiting.watch(trade_id, pending[trade_id].command_seq)
        now = await self._lane.run(lambda c: CommandStore(c, self._floor.seat).find(missed))
        waiting.answered(key for key in missed if now[key].state is not State.PENDING)

    def _numbered(self, orders: Sequence[Order], first: int) -> list[Command]:
        return [
            Command(seq, order.trade_id, self._floor.venue.encode(order, seq))
            for seq, order in enumerate(orders, start=first)
        ]

    def _hand_over(self, kept: _Kept) -> None:
        self._floor.waiting.add(kept.commands)
        self._floor.commands.announce(kept.head, kept.commands)
