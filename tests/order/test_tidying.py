"""What a guard against duplicates remembers is forgotten once no guard can look back so far."""

from datetime import UTC, datetime, timedelta
from uuid import UUID

import psycopg

from stockbroker.order.v1 import control_pb2 as pb
from tests.order.conftest import MakeHouse
from tests.order.controlled import reason_of_trade
from tests.support.wait import until

ADD = "INSERT INTO recent_order (customer_id, likeness, trade_id) VALUES (%s, %s, %s)"


def placed(days_ago: float) -> str:
    """The id of a trade that was placed then."""
    then = datetime.now(UTC) - timedelta(days=days_ago)
    return str(UUID(int=int(then.timestamp() * 1000) << 80))


async def test_old_orders_are_forgotten_however_many_and_one_of_today_still_counts(
    make_house: MakeHouse, postgres_url: str
) -> None:
    async with make_house() as order:
        await order.set_control(pb.CONTROL_DUPLICATE_ORDER, seconds=86_400)
        first = await order.place("zoe")
    kept = [("alice", -1, placed(days_ago=1.5)), ("bob", 7, placed(days_ago=0))]
    old = [(f"customer-{number % 100}", number, placed(2.5)) for number in range(2_500)]
    async with await psycopg.AsyncConnection.connect(postgres_url, autocommit=True) as connection:
        await connection.cursor().executemany(ADD, [*old, *kept])

        async with make_house() as order:

            async def left() -> list[str]:
                cursor = await connection.execute(
                    "SELECT trade_id::text FROM recent_order ORDER BY customer_id"
                )
                return [trade_id for (trade_id,) in await cursor.fetchall()]

            async def is_tidy() -> bool:
                return await left() == [kept[0][2], kept[1][2], first.trade_id]

            await until(is_tidy)
            assert reason_of_trade(await order.place("zoe")) == "DUPLICATE_ORDER"
