"""Streams of events that are archived, or become so while they are read."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import aclosing, asynccontextmanager
from pathlib import Path

import psycopg
import pytest

from libs.months import Month
from libs.refusals import Archived
from services.order.database import Database
from services.order.domain.event import Heartbeat
from services.order.feed import Feed
from services.order.watchers import Watchers
from tests.order.client import Order, events_of, refused, seqs
from tests.order.months import (
    ARCHIVED,
    SECOND,
    THIRD,
    THIS,
    archive,
    archived_through,
    place_in,
    trade_in,
)


async def test_a_stream_from_an_archived_event_is_refused_and_told_where_to_go_on(
    order: Order, connection: psycopg.AsyncConnection, tmp_path: Path
) -> None:
    await trade_in(order, connection, THIS)
    await trade_in(order, connection, THIRD)
    await archive(connection, tmp_path, SECOND)
    for after_seq in (0, 3):
        assert await refused(order.watch("alice", after_seq)) == ARCHIVED
    resume = int(await archived_through(order.watch("alice").read()))
    stream = order.watch("alice", resume)
    assert seqs(await events_of(stream, 4)) == [5, 6, 7, 8]
    later = await order.place("alice")
    (event,) = await events_of(stream, 1)
    assert (event.seq, event.trade) == (9, later)
    stream.cancel()
    stream = order.watch("bob")  # has no history
    assert (await stream.read()).heartbeat.head_seq == 0
    stream.cancel()


class Interrupted(Database):
    """Something happens just before a read."""

    happen: Callable[[], Awaitable[None]] | None = None

    @asynccontextmanager
    async def connection(self) -> AsyncIterator[psycopg.AsyncConnection]:
        happen, self.happen = self.happen, None
        if happen is not None:
            await happen()
        async with super().connection() as connection:
            yield connection


@pytest.mark.parametrize("month_after", [None, THIRD], ids=["nothing after", "more after"])
async def test_a_stream_that_is_overtaken_by_the_archive_ends_and_says_so(
    connection: psycopg.AsyncConnection,
    postgres_url: str,
    tmp_path: Path,
    month_after: Month | None,
) -> None:
    """It read a first page; what would be on the second one is gone."""
    gone = await place_in(connection, THIS, ["alice"] * 150)
    if month_after is not None:
        await place_in(connection, month_after, ["alice"])
    await connection.execute("DELETE FROM open_trade WHERE trade_id = ANY (%s::uuid[])", [gone])
    database = Interrupted(postgres_url, read_connections=2)
    await database.open()

    async def go() -> None:
        await archive(connection, tmp_path, SECOND)

    feed = Feed(database, Watchers(), heartbeat_seconds=3600)
    async with aclosing(feed.follow("alice", 0)) as stream:
        told = [await anext(stream) for _ in range(100)]
        database.happen = go
        with pytest.raises(Archived) as refusal:
            while True:
                told.append(await anext(stream))
    await database.close()
    assert len(told) == 100
    assert refusal.value.metadata == {"archived_through_seq": "150"}


async def test_a_stream_that_slept_while_events_came_and_went_is_told(
    connection: psycopg.AsyncConnection, postgres_url: str, tmp_path: Path
) -> None:
    """It had been told all there was; of what came since nothing is here any more."""
    database = Database(postgres_url, read_connections=2)
    await database.open()
    feed = Feed(database, Watchers(), heartbeat_seconds=0)
    async with aclosing(feed.follow("alice", 0)) as stream:
        assert await anext(stream) == Heartbeat(0)
        await place_in(connection, THIS, ["alice"])
        await connection.execute("DELETE FROM open_trade")
        assert len(await archive(connection, tmp_path, SECOND)) == 1
        with pytest.raises(Archived) as refusal:
            await anext(stream)
    await database.close()
    assert refusal.value.metadata == {"archived_through_seq": "1"}


async def test_where_to_go_on_is_right_though_the_archive_was_killed_before_it_said_all(
    order: Order, connection: psycopg.AsyncConnection, tmp_path: Path
) -> None:
    """The last event came between what it said and the moment its month went."""
    await trade_in(order, connection, THIS)
    await archive(connection, tmp_path, SECOND)
    await connection.execute("UPDATE archived_history SET through_seq = 3")
    assert await archived_through(order.watch("alice", 3).read()) == "4"
    await trade_in(order, connection, THIRD)
    assert await archived_through(order.watch("alice", 3).read()) == "4"
    stream = order.watch("alice", 4)
    assert seqs(await events_of(stream, 4)) == [5, 6, 7, 8]
    stream.cancel()
