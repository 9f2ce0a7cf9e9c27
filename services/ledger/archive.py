"""Takes old months of entries out of the database, into files that anyone can read and check.

python -m services.ledger.archive --before 2026-08 --into /srv/archive

Of each account the last entry stays, so that all that comes later goes on from it.
"""

from typing import Any

from psycopg import AsyncConnection

from libs.archive import Damaged, Left, command
from libs.clock import SystemClock
from libs.months import Month
from libs.postgres.partitions import Partition
from services.ledger.proving import Flaw, prove
from services.ledger.store import leaving
from services.ledger.store.months import ENTRIES


class Entries:
    """What the ledger says of its entries to the archive."""

    service = "ledger"
    table = ENTRIES
    order: tuple[str, ...] = ("transfer_seq", "account_id", "version")

    async def obstacle(self, connection: AsyncConnection, partition: Partition) -> str:
        """A month goes once the journal went on after it and a checkpoint ends with it."""
        span = await leaving.read_span(connection, partition.ends)
        if span.latest_at is None or span.latest_at < partition.ends.start:
            return "nothing was recorded after it yet"
        if span.sealed_seq < span.last_seq:
            return "no checkpoint covers it yet"
        if span.last_seq and not span.checkpoint_seq:
            return "a checkpoint reaches over its end"
        if await leaving.is_misplaced(connection, span, partition.ends):
            return "entries lie in another month than they were recorded in"
        return ""

    async def moving(self, connection: AsyncConnection, month: Month, rows: int) -> None:
        """Have it on record, so that the auditor does not take them for removed."""
        await leaving.say_moving(connection, month, rows)

    async def facts(
        self, connection: AsyncConnection, partition: Partition, schema: str
    ) -> dict[str, Any]:
        """Which transfers the entries are of, and what was sealed with the last of them.

        That is not asked of the partition itself, wherever it lies.
        """
        del schema
        span = await leaving.read_span(connection, partition.ends)
        return {
            "after_transfer_seq": span.after,
            "last_transfer_seq": span.last_seq,
            "last_batch_seq": span.batch_seq,
            "last_batch_hash": span.batch_hash.hex(),
            "checkpoint_seq": span.checkpoint_seq,
        }

    async def prepare(self, connection: AsyncConnection, partition: Partition) -> Left:
        """Prove the month and keep each account's last entry; it is declared archived as it goes.

        Raises Damaged: the month stays.
        """
        stays = await self.obstacle(connection, partition)
        if stays:
            raise Damaged(f"{partition.month} stays: {stays}")
        span = await leaving.read_span(connection, partition.ends)
        try:
            await prove(connection, span.after, span.last_seq)
        except Flaw as flaw:
            raise Damaged(f"the books are not what was sealed: {flaw}") from flaw
        faults = await leaving.keep_last(connection, partition.ends)
        if faults:
            raise Damaged(f"what is left of {partition.month} is not whole: {', '.join(faults)}")
        until = await leaving.effective_until(connection, span)

        async def said() -> None:
            await leaving.declare(connection, span, partition.ends, until)

        return Left(leaving.NEXT_BEFORE, said)

    async def taken_out(self, connection: AsyncConnection, partition: Partition) -> None:
        """Nothing is left to be done."""


if __name__ == "__main__":
    command.run(Entries(), SystemClock())
