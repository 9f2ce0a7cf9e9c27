"""Replaces in: numbered, stored, answered; then the sender has them."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import psycopg
import structlog
from prometheus_client import Counter

from libs.batcher import Batcher
from libs.postgres import Lane
from services.exchange_gateway.domain import Command, highest_epochs
from services.exchange_gateway.domain.cancels import Sent
from services.exchange_gateway.domain.held import as_told
from services.exchange_gateway.domain.replaces import (
    Replace,
    ReplaceSorting,
    ReplaceTaken,
    fault_of_replace,
    sort_out_replaces,
)
from services.exchange_gateway.session.asking import answer_each
from services.exchange_gateway.session.floor import Floor
from services.exchange_gateway.store.cancels import CancelStore
from services.exchange_gateway.store.commands import CommandStore
from services.exchange_gateway.store.held import HeldStore
from services.exchange_gateway.store.replaces import ReplaceStore

_sent = Counter("gateway_replaces_sent", "Replaces for the venue, repeats not counted")
_resent = Counter("gateway_replaces_resent", "Replaces sent again, the venue having lost them")
_log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class _Kept:
    """What a transaction came to. `is_held`: some are of stops that the house holds."""

    sorting: ReplaceSorting
    commands: Sequence[Command]
    head: int
    is_held: bool = False


@dataclass(frozen=True, slots=True)
class _Held:
    """Orders that are stops which the house holds; and what it held before it sent them."""

    waiting: Collection[str] = ()
    former: Mapping[str, int] = field(default_factory=dict)


class Replacing:
    """Shares the submit lane, and the lock under which commands get their numbers."""

    def __init__(self, floor: Floor, lane: Lane) -> None:
        self._floor = floor
        self._lane = lane
        self._batcher: Batcher[Replace, ReplaceTaken] = Batcher(self._keep, max_items=1000)

    async def replace(self, replaces: Sequence[Replace]) -> list[ReplaceTaken]:
        """What came of each replace, in the order given. Raises Unavailable or Throttled."""
        return await answer_each(
            replaces,
            self._batcher,
            fault_of=fault_of_replace,
            refuse=lambda replace, fault: ReplaceTaken(replace.replace_id, None, fault),
        )

    async def send_again(self, trade_ids: Sequence[str]) -> None:
        """Send the replaces of these orders under new numbers; answered ones are left alone."""
        seat = self._floor.seat

        async def renumber(connection: psycopg.AsyncConnection) -> _Kept:
            store, numbers = ReplaceStore(connection, seat), CommandStore(connection, seat)
            first = await numbers.lock()
            replaces = await store.find_open(trade_ids)
            former = await HeldStore(connection, seat).find_former_stops(trade_ids)
            commands = self._numbered(replaces, first, _Held(former=former))
            if commands:
                await store.keep_again(replaces, commands)
                await numbers.advance(first + len(commands))
            return _Kept(ReplaceSorting(), commands, first + len(commands))

        kept = await self._lane.run(renumber)
        _resent.inc(len(kept.commands))
        _log.warning("replaces_sent_again", trade_ids=[c.trade_id for c in kept.commands])
        self._hand_over(kept)

    async def close(self) -> None:
        """Finish what is queued, take nothing new."""
        await self._batcher.close()

    async def _keep(self, replaces: list[Replace]) -> Sequence[ReplaceTaken]:
        kept = await self._lane.run(lambda connection: self._store(connection, replaces))
        sorting = kept.sorting
        _sent.inc(len(kept.commands))
        _log.info("replaces_kept", sent=len(kept.commands), too_late=len(sorting.too_late))
        self._hand_over(kept)
        return sorting.results

    def _numbered(self, replaces: Iterable[Replace], first: int, held: _Held) -> list[Command]:
        return [
            Command(seq, replace.trade_id, self._encode(replace, seq, held))
            for seq, replace in enumerate(replaces, start=first)
        ]

    def _encode(self, replace: Replace, seq: int, held: _Held) -> bytes:
        """A number that orders nothing, where the house answers the replace itself."""
        venue, trade_id = self._floor.venue, replace.trade_id
        if trade_id in held.waiting:
            return venue.encode_nothing(seq)
        return venue.encode_replace(as_told(replace, held.former.get(trade_id, 0)), seq)

    def _hand_over(self, kept: _Kept) -> None:
        self._floor.replaces.add(kept.commands)
        for one in kept.sorting.unanswered:
            self._floor.replaces.watch(one.trade_id, one.command_seq)
        self._floor.commands.announce(kept.head, kept.commands)
        if kept.is_held:
            self._floor.bell.ring()

    async def _store(
        self, connection: psycopg.AsyncConnection, replaces: Sequence[Replace]
    ) -> _Kept:
        seat = self._floor.seat
        store, numbers = ReplaceStore(connection, seat), CommandStore(connection, seat)
        first = await numbers.lock()
        orders = await CancelStore(connection, seat).find([r.trade_id for r in replaces])
        sorting = sort_out_replaces(
            replaces,
            epochs=await numbers.raise_epochs(
                highest_epochs((r.partition, r.epoch) for r in replaces)
            ),
            orders=orders,
            asked=await store.find([r.replace_id for r in replaces]),
        )
        held = await self._held(HeldStore(connection, seat), sorting.to_send.values(), orders)
        commands = self._numbered(sorting.to_send.values(), first, held)
        if sorting.too_late:
            await store.keep(sorting.too_late.values(), [])
        if commands:
            await store.keep(sorting.to_send.values(), commands)
            await numbers.advance(first + len(commands))
        is_held = held.waiting or any(orders[r.trade_id].held == 1 for r in sorting.unanswered)
        return _Kept(sorting, commands, first + len(commands), bool(is_held))

    async def _held(
        self, store: HeldStore, replaces: Collection[Replace], orders: Mapping[str, Sent]
    ) -> _Held:
        """Which of these the house answers, having noted that it must."""
        waiting = {r.trade_id for r in replaces if orders[r.trade_id].held == 1}
        sent = {r.trade_id for r in replaces if orders[r.trade_id].held > 1}
        if waiting:
            await store.note_replaces(waiting)
        return _Held(waiting, await store.find_former_stops(sent) if sent else {})
