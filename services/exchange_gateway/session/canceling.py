"""Cancels in: an order that was never sent ends here; for any other the venue gets a command."""

from collections.abc import Sequence
from dataclasses import dataclass

import psycopg
import structlog
from prometheus_client import Counter

from libs.batcher import Batcher
from libs.postgres import Lane
from services.exchange_gateway.domain import Command, highest_epochs
from services.exchange_gateway.domain.cancels import (
    Cancel,
    CancelTaken,
    Sorting,
    fault_of_cancel,
    sort_out_cancels,
)
from services.exchange_gateway.session.asking import answer_each
from services.exchange_gateway.session.floor import Floor
from services.exchange_gateway.store.cancels import CancelStore
from services.exchange_gateway.store.commands import CommandStore
from services.exchange_gateway.store.held import HeldStore

_sent = Counter("gateway_cancels_sent", "Cancels for the venue")
_withdrawn = Counter("gateway_orders_withdrawn", "Orders canceled before they were ever sent")
_log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class _Kept:
    """What a transaction came to."""

    sorting: Sorting
    commands: Sequence[Command]
    head: int


class Canceling:
    """Shares the submit lane, and the lock under which commands get their numbers.

    So an order is either sent before its cancel or never: there is no third way.
    """

    def __init__(self, floor: Floor, lane: Lane) -> None:
        self._floor = floor
        self._lane = lane
        self._batcher: Batcher[Cancel, CancelTaken] = Batcher(self._keep, max_items=1000)

    async def cancel(self, cancels: Sequence[Cancel]) -> list[CancelTaken]:
        """What came of each cancel, in the order given. Raises Unavailable or Throttled."""
        return await answer_each(
            cancels,
            self._batcher,
            fault_of=fault_of_cancel,
            refuse=lambda cancel, fault: CancelTaken(cancel.trade_id, None, fault),
        )

    async def close(self) -> None:
        """Finish what is queued, take nothing new."""
        await self._batcher.close()

    async def _keep(self, cancels: list[Cancel]) -> Sequence[CancelTaken]:
        kept = await self._lane.run(lambda connection: self._store(connection, cancels))
        sorting = kept.sorting
        _sent.inc(len(kept.commands))
        _withdrawn.inc(len(sorting.withdrawn))
        _log.info("cancels_kept", sent=len(kept.commands), withdrawn=len(sorting.withdrawn))
        self._floor.commands.announce(kept.head, kept.commands)
        if sorting.held:
            self._floor.bell.ring()
        return sorting.results

    async def _store(self, connection: psycopg.AsyncConnection, cancels: Sequence[Cancel]) -> _Kept:
        store, numbers = (
            CancelStore(connection, self._floor.seat),
            CommandStore(connection, self._floor.seat),
        )
        first = await numbers.lock()
        epochs = await numbers.raise_epochs(highest_epochs((c.partition, c.epoch) for c in cancels))
        known = await store.find([cancel.trade_id for cancel in cancels])
        sorting = sort_out_cancels(cancels, epochs=epochs, known=known)
        commands = [
            Command(seq, trade_id, self._floor.venue.encode_cancel(trade_id, seq))
            for seq, trade_id in enumerate(sorting.to_send, start=first)
        ]
        if sorting.withdrawn:
            await store.withdraw(sorting.withdrawn.values())
        if sorting.held:
            await HeldStore(connection, self._floor.seat).note_cancels(sorting.held)
        if commands:
            await store.keep(commands)
            await numbers.advance(first + len(commands))
        return _Kept(sorting, commands, first + len(commands))
