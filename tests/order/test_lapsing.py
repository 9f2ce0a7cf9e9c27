"""A DAY trade that nobody took up on its day ends with it, whatever it waited behind."""

import asyncio

import psycopg

from libs.clock import SystemClock
from services.order.lapsing import lapse_trades
from stockbroker.common.v1 import terms_pb2 as terms
from stockbroker.common.v1.reason_pb2 import Reason
from stockbroker.order.v1 import order_pb2
from tests.order.client import filled
from tests.order.conftest import MakeHouse
from tests.support.wait import until

DAY_LATER = """
WITH placed AS (UPDATE trade SET created_at = created_at - interval '1 day')
UPDATE open_trade SET placed_at = placed_at - interval '1 day'
"""
LASTING = {
    "order_type": terms.ORDER_TYPE_LIMIT,
    "limit_price_micros": 1_000_000,
    "time_in_force": terms.TIME_IN_FORCE_GTC,
}


async def a_day_later(url: str) -> None:
    """All that was placed so far was placed a day before."""
    async with await psycopg.AsyncConnection.connect(url, autocommit=True) as connection:
        await connection.execute(DAY_LATER.encode())


async def test_what_waits_since_yesterday_expires_and_neither_what_was_taken_up_nor_what_lasts(
    make_house: MakeHouse, postgres_url: str
) -> None:
    async with make_house() as order:
        ahead = await order.place("alice")
        await order.claim_as_leader("alice")
        behind, lasting = await order.place("alice"), await order.place("alice", **LASTING)
        halted = await order.place("bob")
        await a_day_later(postgres_url)
        fresh = await order.place("carol")

    async with make_house() as order:

        async def status(trade: order_pb2.Trade) -> str:
            found = await order.get(trade.customer_id, trade.trade_id)
            return order_pb2.TradeStatus.Name(found.status).removeprefix("TRADE_STATUS_")

        async def are_over() -> bool:
            return [await status(behind), await status(halted)] == ["EXPIRED", "EXPIRED"]

        await until(are_over)
        placed, expired = await order.events("alice", behind.trade_id)
        assert placed.kind == order_pb2.TRADE_EVENT_KIND_PLACED
        assert expired.kind == order_pb2.TRADE_EVENT_KIND_EXPIRED
        assert (expired.cause, expired.trade.reason) == ("house", Reason.REASON_EXPIRED)
        assert [await status(ahead), await status(lasting), await status(fresh)] == [
            "IN_PROGRESS",
            "PLACED",
            "PLACED",
        ]
        await order.apply(filled(ahead.trade_id))
        [next_one] = await order.claim_as_leader("alice")
        assert next_one.trade.trade_id == lasting.trade_id


async def test_however_many_wait_all_expire(make_house: MakeHouse, postgres_url: str) -> None:
    async with make_house() as order:
        await asyncio.gather(*(order.place(f"c{n % 7}") for n in range(501)))
        await a_day_later(postgres_url)
    async with (
        make_house(),
        await psycopg.AsyncConnection.connect(postgres_url, autocommit=True) as connection,
    ):

        async def is_empty() -> bool:
            cursor = await connection.execute("SELECT FROM open_trade LIMIT 1")
            return cursor.rowcount == 0

        await until(is_empty)
        cursor = await connection.execute("SELECT DISTINCT status FROM trade")
        assert await cursor.fetchall() == [(order_pb2.TRADE_STATUS_EXPIRED,)]


async def test_what_is_taken_up_just_then_goes_on(make_house: MakeHouse, postgres_url: str) -> None:
    async with make_house() as order:
        trade = await order.place("alice")
        await a_day_later(postgres_url)
        await order.claim_as_leader("alice")
        async with await psycopg.AsyncConnection.connect(postgres_url) as connection:
            assert await lapse_trades(connection, [trade.trade_id], SystemClock()) == []
        found = await order.get("alice", trade.trade_id)
        assert found.status == order_pb2.TRADE_STATUS_IN_PROGRESS
