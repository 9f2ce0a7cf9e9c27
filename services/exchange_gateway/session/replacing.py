"""Replaces in: numbered, stored, answered; then the sender has them."""

from collections.abc import Sequence
from dataclasses import dataclass

import psycopg
import structlog
from prometheus_client import Counter

from libs.batcher import Batcher
from libs.postgres import Lane
from services.exchange_gateway.domain import Command, highest_epochs
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
from services.exchange_gateway.store.replaces import ReplaceStore

_sent = Counter("gateway_replaces_sent", "Replaces for the venue, repeats not counted")
_log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class _Kept:
    """What a transaction came to."""

    sorting: ReplaceSorting
    commands: Sequence[Command]
    head: int


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

    async def close(self) -> None:
        """Finish what is queued, take nothing new."""
        await self._batcher.close()

    async def _keep(self, replaces: list[Replace]) -> Sequence[ReplaceTaken]:
        kept = await self._lane.run(lambda connection: self._store(connection, replaces))
        sorting = kept.sorting
        _sent.inc(len(kept.commands))
        _log.info("replaces_kept", sent=len(kept.commands), too_late=len(sorting.too_late))
        self._floor.commands.announce(kept.head, kept.commands)
        return sorting.results

    async def _store(
        self, connection: psycopg.AsyncConnection, replaces: Sequence[Replace]
    ) -> _Kept:
        seat = self._floor.seat
        store, numbers = ReplaceStore(connection, seat), CommandStore(connection, seat)
        first = await numbers.lock()
        sorting = sort_out_replaces(
            replaces,
            epochs=await numbers.raise_epochs(
                highest_epochs((r.partition, r.epoch) for r in replaces)
            ),
            orders=await CancelStore(connection, seat).find([r.trade_id for r in replaces]),
            asked=await store.find([r.replace_id for r in replaces]),
        )
        commands = [
            Command(seq, replace.trade_id, self._floor.venue.encode_replace(replace, seq))
            for seq, replace in enumerate(sorting.to_send.values(), start=first)
        ]
        if sorting.too_late:
            await store.keep(sorting.too_late.values(), [])
        if commands:
            await store.keep(sorting.to_send.values(), commands)
            await numbers.advance(first + len(commands))
        return _Kept(sorting, commands, first + len(commands))
