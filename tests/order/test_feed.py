"""The race every bell has: news that comes between the reading and the waiting."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import aclosing, asynccontextmanager

import psycopg

from libs.clock import SystemClock
from services.order.database import Change, Database
from services.order.domain.controls.setting import Book
from services.order.domain.event import Heartbeat, TradeEvent
from services.order.domain.placing import Placement
from services.order.domain.terms import Side, Terms
from services.order.feed import Feed
from services.order.guard import Guard
from services.order.placing import place_trades
from services.order.watchers import Watchers


class LateNews(Database):
    """Something happens just after the first page was read; before it the head was."""

    happen: Callable[[], Awaitable[None]]
    reads = 0

    @asynccontextmanager
    async def connection(self) -> AsyncIterator[psycopg.AsyncConnection]:
        async with super().connection() as connection:
            yield connection
        self.reads += 1
        if self.reads == 2:
            await self.happen()


async def test_news_that_comes_just_after_a_read_is_told_without_a_heartbeat(
    postgres_url: str,
) -> None:
    database, watchers = LateNews(postgres_url, read_connections=2), Watchers()
    await database.open()

    async def place() -> None:
        placement = Placement(
            trade_id="019aa000-0000-7000-8000-000000000001",
            client_order_id="c-1",
            customer_id="alice",
            terms=Terms(symbol="AAPL", side=Side.BUY, quantity=1),
        )
        guard = Guard(SystemClock(), book=Book())
        await database.run(Change.PLACE, lambda c: place_trades(c, [placement], guard))
        watchers.ring(["alice"])

    database.happen = place
    feed = Feed(database, watchers, heartbeat_seconds=3600)
    async with aclosing(feed.follow("alice", 0)) as stream:
        assert await anext(stream) == Heartbeat(0)
        event = await asyncio.wait_for(anext(stream), 10)
        assert isinstance(event, TradeEvent)
        assert event.seq == 1
    await database.close()
