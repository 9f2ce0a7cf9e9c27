"""The command that archives old months of trades' events.

python -m services.order.archive --before 2026-08 --into /srv/archive
"""

from typing import Any

from libs.archive import Left, command
from libs.clock import SystemClock
from libs.months import Month
from libs.postgres.partitions import ARCHIVED, PUBLIC, Partition
from services.order.database import Connection
from services.order.store.months import TRADE_EVENTS, Months

_NAMED = 3


class TradeEvents:
    """A month goes once all trades placed in it are over.

    Readers are told before it goes: from then on nobody is promised events that go, and there is no
    moment at which some are missing and nobody says so.
    """

    service = "order"
    table = TRADE_EVENTS
    order: tuple[str, ...] = ("customer_id", "seq")

    async def obstacle(self, connection: Connection, partition: Partition) -> str:
        """Trades that are not over: what happens to them belongs to their history."""
        found = await Months(connection).open_trades(before=partition.ends, limit=_NAMED + 1)
        named = ", ".join(found[:_NAMED]) + (", ..." if len(found) > _NAMED else "")
        return f"trades of it are not over: {named}" if found else ""

    async def moving(self, connection: Connection, month: Month, rows: int) -> None:
        """Nothing follows from it."""

    async def facts(
        self, connection: Connection, partition: Partition, schema: str
    ) -> dict[str, Any]:
        """How many trades and customers, and from when to when."""
        return await Months(connection).facts(schema, partition.name)

    async def prepare(self, connection: Connection, partition: Partition) -> Left:
        """Say up to where customers' events are archived."""
        await Months(connection).say_archived(PUBLIC, partition.name)
        return Left()

    async def taken_out(self, connection: Connection, partition: Partition) -> None:
        """Say it again: an event may have come in between."""
        await Months(connection).say_archived(ARCHIVED, partition.name)


if __name__ == "__main__":
    command.run(TradeEvents(), SystemClock())
