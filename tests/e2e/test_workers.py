"""A house of three execution workers and two order processes: trades run in order whoever dies."""

import asyncio
import uuid
from pathlib import Path

import pytest

from stockbroker.order.v1 import order_pb2
from tests.support import books
from tests.support.app import BUY
from tests.support.house import running_house
from tests.support.wait import until

CASH = 100_000 * 1_000_000
TRADES = 5


@pytest.mark.timeout(300)
async def test_a_house_of_many_processes_trades_on_when_one_is_killed(tmp_path: Path) -> None:
    customers = [f"w{uuid.uuid4().hex[:12]}" for _ in range(6)]
    with running_house(tmp_path, EXECUTION_WORKERS="3", ORDER_PROCESSES="2") as house:
        for customer in customers:
            await house.endow(customer, cash=CASH)

        async def trade(customer: str) -> None:
            async with house.app(customer) as app:
                placed = [(await app.place(BUY, 1, "KO")).trade_id for _ in range(TRADES)]
                story = await app.story(set(placed), seconds=90)
                filled = [
                    event.trade.trade_id
                    for event in story
                    if event.trade.status == order_pb2.TRADE_STATUS_FILLED
                ]
                assert filled == placed
                assert (await app.portfolio()).positions[0].quantity == TRADES

        trading = [asyncio.create_task(trade(customer)) for customer in customers]
        house.kill("execution_2")
        await asyncio.gather(*trading)
        books.check(house.database_url("ledger"))
        async with house.app(customers[0]) as app:

            async def both_have_placed() -> bool:
                """One that Envoy has only just found to be well gets its share of later trades."""
                await app.place(BUY, 1, "KO")
                logs = [tmp_path / "logs" / f"{process}.log" for process in ("order", "order_2")]
                return all('"trades_placed"' in log.read_text() for log in logs)

            await until(both_have_placed)
