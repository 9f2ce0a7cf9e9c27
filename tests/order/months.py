"""Trades of months to come, on the service's own database, and what it is to archive them."""

from collections.abc import Awaitable, Iterable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import grpc
import psycopg
import pytest

from libs.archive import Archiving, Manifest
from libs.clock import SystemClock
from libs.ids import SystemIds
from libs.months import BY_UUID7, Month, months_between
from libs.postgres.partitions import ensure, name_of, partitions
from libs.rpc.status import metadata_of
from services.order.archive import TradeEvents
from services.order.domain.controls.setting import Book
from services.order.domain.placing import Placement
from services.order.domain.terms import OrderType, Side, Terms, TimeInForce
from services.order.guard import Guard
from services.order.placing import place_trades
from services.order.store.months import TRADE_EVENTS
from tests.order.client import Order, accepted, filled
from tests.support import archiving

THIS = Month.of(datetime.now(UTC))  # the first: the database was made in it
SECOND, THIRD, FOURTH = THIS.plus(1), THIS.plus(2), THIS.plus(3)


MARKET = Terms(symbol="AAPL", side=Side.BUY, quantity=100)
LASTING = Terms(
    symbol="AAPL",
    side=Side.BUY,
    quantity=100,
    order_type=OrderType.LIMIT,
    limit_price_micros=1_000_000,
    time_in_force=TimeInForce.GTC,
)
ARCHIVED = ("OUT_OF_RANGE", "HISTORY_ARCHIVED")


class At(SystemClock):
    """A clock that stands in the middle of a month."""

    def __init__(self, month: Month) -> None:
        self._now = month.start + timedelta(days=14)

    def now(self) -> datetime:
        return self._now


async def make_months(connection: psycopg.AsyncConnection) -> None:
    """Partitions of months to come."""
    await ensure(connection, TRADE_EVENTS, months_between(THIS, FOURTH.plus(1)))


async def make_older(connection: psycopg.AsyncConnection, month: Month) -> None:
    """As if the database had been made in that month; nothing is recorded yet."""
    first = (await partitions(connection, TRADE_EVENTS))[0].name
    name = name_of(TRADE_EVENTS, month)
    async with connection.transaction():
        for statement in (
            f"ALTER TABLE trade_event DETACH PARTITION {first}",
            f"ALTER TABLE {first} RENAME TO {name}",
            f"ALTER TABLE trade_event ATTACH PARTITION {name}"
            f" FOR VALUES FROM (MINVALUE) TO ('{BY_UUID7.first(month.plus(1))}')",
        ):
            await connection.execute(statement.encode())
    await ensure(connection, TRADE_EVENTS, months_between(month, THIS.plus(1)))


async def place_in(
    connection: psycopg.AsyncConnection,
    month: Month,
    customers: Iterable[str],
    terms: Terms = MARKET,
) -> list[str]:
    """A trade for each, placed in that month under `client-<trade_id>`; the ids."""
    ids = SystemIds(At(month))
    placements = [
        Placement(
            trade_id=trade_id,
            client_order_id=f"client-{trade_id}",
            customer_id=customer,
            terms=terms,
        )
        for customer, trade_id in ((customer, ids.new()) for customer in customers)
    ]
    async with connection.transaction():
        await place_trades(connection, placements, Guard(At(month), book=Book()))
    return [each.trade_id for each in placements]


async def archive(
    connection: psycopg.AsyncConnection, folder: Path, before: Month
) -> list[Manifest]:
    """Archive what may go, as if it were long after."""
    return await archiving.archive(
        Archiving(connection, TradeEvents(), folder, now=before.plus(2)), before
    )


async def value(connection: psycopg.AsyncConnection, question: str) -> object:
    """The only one there is."""
    ((found,),) = await (await connection.execute(question.encode())).fetchall()
    return found


async def trade_in(
    order: Order, connection: psycopg.AsyncConnection, month: Month, customer: str = "alice"
) -> str:
    """A trade placed in that month and filled: 4 events."""
    (trade_id,) = await place_in(connection, month, [customer])
    await order.claim_as_leader(customer)
    await order.apply(accepted(trade_id), filled(trade_id))
    return trade_id


async def archived_through(call: Awaitable[object]) -> str:
    """What a refusal says."""
    with pytest.raises(grpc.aio.AioRpcError) as refusal:
        await call
    return metadata_of(refusal.value)["archived_through_seq"]
