"""A trade from an app's call to settled books, on the whole running house."""

import asyncio
import uuid

import grpc
import pytest

from libs.rpc.status import reason_of
from stockbroker.common.v1.reason_pb2 import Reason
from stockbroker.common.v1.terms_pb2 import Side
from stockbroker.ledger.v1 import portfolio_service_pb2 as portfolio_pb
from stockbroker.order.v1 import order_pb2
from tests.support import books
from tests.support.app import BUY, SELL, TERMINAL
from tests.support.house import House

pytestmark = pytest.mark.xdist_group("house")

DOLLAR = 1_000_000


async def _customer(house: House, *, cash: int = 0, shares: dict[str, int] | None = None) -> str:
    """A new customer with cash in micros and shares."""
    customer = f"c{uuid.uuid4().hex[:12]}"
    await house.endow(customer, cash=cash, shares=shares)
    return customer


async def test_a_buy_moves_cash_and_shares_exactly(house: House) -> None:
    customer = await _customer(house, cash=100_000 * DOLLAR)
    async with house.app(customer) as app:
        placed = await app.place(BUY, 10, "MSFT")
        assert (placed.status, placed.customer_id) == (order_pb2.TRADE_STATUS_PLACED, customer)
        trade = await app.settle(placed)
        assert (trade.status, trade.filled_quantity) == (order_pb2.TRADE_STATUS_FILLED, 10)
        portfolio = await app.portfolio()
        assert portfolio.cash.held_micros == 0
        assert portfolio.cash.total_micros == 100_000 * DOLLAR - trade.filled_notional_micros
        assert [(p.symbol, p.quantity, p.cost_micros) for p in portfolio.positions] == [
            ("MSFT", 10, trade.filled_notional_micros)
        ]


async def test_a_sell_moves_shares_and_cash_exactly(house: House) -> None:
    customer = await _customer(house, shares={"MSFT": 15})
    async with house.app(customer) as app:
        trade = await app.settle(await app.place(SELL, 10, "MSFT"))
        assert (trade.status, trade.filled_quantity) == (order_pb2.TRADE_STATUS_FILLED, 10)
        portfolio = await app.portfolio()
        assert portfolio.cash.available_micros == trade.filled_notional_micros > 0
        position = portfolio.positions[0]
        assert (position.quantity, position.held_quantity) == (5, 0)


@pytest.mark.parametrize(
    ("side", "cash", "reason"),
    [
        (BUY, 0, Reason.REASON_INSUFFICIENT_FUNDS),
        (BUY, 5 * DOLLAR, Reason.REASON_INSUFFICIENT_FUNDS),
        (SELL, 5 * DOLLAR, Reason.REASON_INSUFFICIENT_SHARES),
    ],
)
async def test_a_trade_that_is_not_covered_ends_rejected_and_moves_nothing(
    house: House, side: Side.ValueType, cash: int, reason: Reason.ValueType
) -> None:
    customer = await _customer(house, cash=cash)
    async with house.app(customer) as app:
        trade = await app.settle(await app.place(side, 10, "MSFT"))
        assert (trade.status, trade.reason) == (order_pb2.TRADE_STATUS_REJECTED, reason)
        assert trade.reason_text
        portfolio = await app.portfolio()
        assert (portfolio.cash.available_micros, portfolio.cash.held_micros) == (cash, 0)
        assert not portfolio.positions


async def test_two_hundred_customers_at_once_each_in_order_and_one_at_a_time(house: House) -> None:
    count, each = 200, 10
    customers = [f"q{uuid.uuid4().hex[:12]}" for _ in range(count)]
    cash, shares = 50_000 * DOLLAR, 40
    await asyncio.gather(*(house.endow(c, cash=cash, shares={"KO": shares}) for c in customers))

    async def trade(name: str) -> list[order_pb2.TradeEvent]:
        async with house.app(name) as app:
            placed = [
                await app.place(BUY if number % 2 else SELL, 1 + number, "KO")
                for number in range(each)
            ]
            story = await app.story({trade.trade_id for trade in placed})
            _check_story(story, [trade.trade_id for trade in placed])
            portfolio = await app.portfolio()
            _check_books(portfolio, story, cash=cash, shares=shares)
            return story

    stories = await asyncio.gather(*map(trade, customers))
    filled = sum(
        event.trade.status == order_pb2.TRADE_STATUS_FILLED for story in stories for event in story
    )
    assert filled == count * each
    books.check(house.database_url("ledger"))


def _check_story(story: list[order_pb2.TradeEvent], placed: list[str]) -> None:
    """Sequence without gap; every trade starts in the order placed, after the one before ended."""
    assert [event.seq for event in story] == list(range(1, len(story) + 1))
    started = [e.trade.trade_id for e in story if e.kind == order_pb2.TRADE_EVENT_KIND_STARTED]
    assert started == placed
    in_progress: str | None = None
    for event in story:
        if event.kind == order_pb2.TRADE_EVENT_KIND_STARTED:
            assert in_progress is None, "a trade started while another was in progress"
            in_progress = event.trade.trade_id
        elif event.kind != order_pb2.TRADE_EVENT_KIND_PLACED:
            assert event.trade.trade_id == in_progress
        if event.trade.status in TERMINAL:
            in_progress = None
    assert in_progress is None


def _executions(story: list[order_pb2.TradeEvent]) -> list[tuple[int, int, int]]:
    """(sign, quantity, notional) of every fill; each counted once."""
    fills = {
        event.execution.execution_id: (
            1 if event.trade.side == BUY else -1,
            event.execution.quantity,
            event.execution.quantity * event.execution.price_micros,
        )
        for event in story
        if event.kind == order_pb2.TRADE_EVENT_KIND_EXECUTED
    }
    return list(fills.values())


def _check_books(
    portfolio: portfolio_pb.GetPortfolioResponse,
    story: list[order_pb2.TradeEvent],
    *,
    cash: int,
    shares: int,
) -> None:
    """The portfolio is what the fills say, to the micro."""
    fills = _executions(story)
    assert portfolio.cash.held_micros == 0
    assert portfolio.cash.total_micros == cash - sum(sign * paid for sign, _, paid in fills)
    owned = {position.symbol: position for position in portfolio.positions}["KO"]
    assert owned.held_quantity == 0
    assert owned.quantity == shares + sum(sign * quantity for sign, quantity, _ in fills)


async def test_the_same_order_sent_64_times_at_once_is_one_trade(house: House) -> None:
    customer = await _customer(house, cash=100_000 * DOLLAR)
    async with house.app(customer) as app:
        calls = [app.place(BUY, 3, "MSFT", client_order_id="mine-1") for _ in range(64)]
        answers = await asyncio.gather(*calls)
        assert len({answer.SerializeToString(deterministic=True) for answer in answers}) == 1
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await app.place(BUY, 4, "MSFT", client_order_id="mine-1")
        assert refused.value.code() is grpc.StatusCode.ALREADY_EXISTS
        assert reason_of(refused.value) == "CLIENT_ORDER_ID_REUSED"
        story = await app.story({answers[0].trade_id})
        assert {event.trade.trade_id for event in story} == {answers[0].trade_id}
        again = await app.place(BUY, 3, "MSFT", client_order_id="mine-1")
        assert again.trade_id == answers[0].trade_id
