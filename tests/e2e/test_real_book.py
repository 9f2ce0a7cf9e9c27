"""Trades against the real AAPL book of 2012-06-21 09:30, alone and amid the real order flow."""

import asyncio
import uuid
from pathlib import Path

import pytest

from libs import tape
from stockbroker.order.v1 import order_pb2
from tests.support import books
from tests.support.app import BUY
from tests.support.house import House

ORDERFLOW = Path(__file__).parents[3] / "shared" / "data" / "orderflow"
SEED = ORDERFLOW / "aapl_0930_0945.seed.csv"

pytestmark = [
    pytest.mark.xdist_group("house"),
    pytest.mark.skipif(not ORDERFLOW.exists(), reason="the real order flow is not there"),
]

CASH = 1_000_000 * 1_000_000


async def _buy_300(house: House) -> tuple[str, list[order_pb2.TradeEvent]]:
    customer = f"t{uuid.uuid4().hex[:12]}"
    await house.endow(customer, cash=CASH)
    async with house.app(customer) as app:
        trade = await app.place(BUY, 300, "AAPL")
        story = await app.story({trade.trade_id})
        portfolio = await app.portfolio()
    paid = story[-1].trade.filled_notional_micros
    assert (portfolio.cash.total_micros, portfolio.cash.held_micros) == (CASH - paid, 0)
    owned = portfolio.positions[0]
    assert (owned.symbol, owned.quantity, owned.cost_micros) == ("AAPL", 300, paid)
    books.check(house.database_url("ledger"))
    return customer, story


def _fills(story: list[order_pb2.TradeEvent]) -> list[tuple[int, int]]:
    """(quantity, price in micros) in order."""
    return [
        (event.execution.quantity, event.execution.price_micros)
        for event in story
        if event.kind == order_pb2.TRADE_EVENT_KIND_EXECUTED
    ]


async def test_a_buy_of_300_fills_against_the_real_resting_orders_in_price_time_order(
    house: House,
) -> None:
    async with house.exchange_operator() as exchange:
        await exchange.load_book("AAPL", tape.read_seed(SEED))
    _, story = await _buy_300(house)
    # The two best asks of the seed: 200 at 585.94 and 200 at 585.98.
    assert _fills(story) == [(200, 585_940_000), (100, 585_980_000)]
    assert story[-1].trade.status == order_pb2.TRADE_STATUS_FILLED
    assert story[-1].trade.filled_notional_micros == 200 * 585_940_000 + 100 * 585_980_000


async def test_the_books_stay_right_while_the_real_order_flow_plays_around(house: House) -> None:
    async with house.exchange_operator() as exchange:
        await exchange.load_book("AAPL", tape.read_seed(SEED))
        commands = list(tape.read_commands(ORDERFLOW / "aapl_0930_0945.commands.csv"))[:4000]
        playing = asyncio.create_task(exchange.play("AAPL", commands, speed_millis=60_000))
        stories = [story for _, story in await asyncio.gather(*(_buy_300(house) for _ in range(8)))]
        played = await playing
    assert played.commands == len(commands)
    for story in stories:
        fills = _fills(story)
        assert sum(quantity for quantity, _ in fills) == 300
        prices = [price for _, price in fills]
        assert prices == sorted(prices), "the best price comes first"
        assert all(580_000_000 < price < 595_000_000 for price in prices)
