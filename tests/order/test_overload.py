"""More than the house can take: some is refused with a time to come back, and none is lost."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from itertools import count

import grpc
import psycopg
import pytest

from libs.partition import partition_of
from libs.rpc.status import reason_of, retry_after
from stockbroker.order.v1 import order_pb2
from stockbroker.order.v1.order_pb2 import TradeStatus
from tests.order.client import Order, filled
from tests.order.conftest import MakeHouse
from tests.order.test_placing import gaps, rows
from tests.order.test_placing_many import an_item, place, reasons
from tests.support.wait import until

CUSTOMERS = [f"c{number}" for number in range(7)]
ALWAYS = 10  # may be queued, so that few calls are too many
CALLS = 4 * ALWAYS
Answer = order_pb2.Trade | grpc.aio.AioRpcError


@pytest.fixture(autouse=True)
def few_are_too_many(monkeypatch: pytest.MonkeyPatch) -> None:
    """The services of these tests run in this process."""
    monkeypatch.setattr("libs.admission.ALWAYS", ALWAYS)


@asynccontextmanager
async def standing_still(postgres_url: str) -> AsyncIterator[None]:
    """Nothing can be placed meanwhile."""
    async with await psycopg.AsyncConnection.connect(postgres_url) as blocker:
        await blocker.execute(b"SELECT FROM customer_head FOR UPDATE")
        yield


async def call(order: Order, number: int, customer: str = "") -> Answer:
    """One call, and what came of it; of the customers in turn unless one is named."""
    customer = customer or CUSTOMERS[number % len(CUSTOMERS)]
    try:
        return await order.place(customer, client_order_id=f"id-{number}")
    except grpc.aio.AioRpcError as error:
        return error


def come_back_seconds(answer: Answer) -> float:
    """When a refused call may come again, as RetryInfo says."""
    assert isinstance(answer, grpc.aio.AioRpcError)
    assert answer.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
    assert reason_of(answer) == "OVERLOADED"
    return retry_after(answer)


async def fill_all(order: Order) -> None:
    """Every trade there is, one after the other of each customer."""
    epochs = await order.lead(sorted({partition_of(customer) for customer in CUSTOMERS}))
    while claimed := (await order.claim(epochs, *CUSTOMERS)).trades:
        await order.apply(*(filled(each.trade.trade_id) for each in claimed))


async def test_beyond_capacity_some_calls_are_refused_and_all_that_were_answered_are_filled(
    make_house: MakeHouse, postgres_url: str
) -> None:
    async with make_house(longest_wait_ms=1) as order:
        await asyncio.gather(*(order.place(customer) for customer in CUSTOMERS))
        async with standing_still(postgres_url):
            calls = [asyncio.ensure_future(call(order, number)) for number in range(CALLS)]
            await until(lambda: sum(each.done() for each in calls) >= ALWAYS)
        answers = await asyncio.gather(*calls)
        left = [n for n, answer in enumerate(answers) if not isinstance(answer, order_pb2.Trade)]
        assert ALWAYS <= CALLS - len(left) < CALLS
        assert all(0 < come_back_seconds(answers[number]) <= 5 for number in left)

        while left:
            again = await asyncio.gather(*(call(order, number) for number in left))
            left = [n for n, each in zip(left, again, strict=True) if isinstance(each, Exception)]
        await fill_all(order)

    placed = CALLS + len(CUSTOMERS)
    statuses = await rows(postgres_url, "SELECT status, count(*)::int FROM trade GROUP BY status")
    assert statuses == [(int(TradeStatus.TRADE_STATUS_FILLED), placed)]
    assert await gaps(postgres_url) == []


async def test_of_a_batch_too_many_the_first_are_taken_and_the_others_told_when_to_come_back(
    make_house: MakeHouse, postgres_url: str
) -> None:
    async with make_house(longest_wait_ms=1) as order:
        token = order.keys.back_end()
        batches = [[an_item()], [an_item(client_order_id=f"id-{n}") for n in range(CALLS)]]
        await order.place()
        async with standing_still(postgres_url):
            placing = asyncio.create_task(place(order, token, *batches))

            async def is_waiting() -> bool:
                waiting = "SELECT FROM pg_stat_activity WHERE wait_event_type = 'Lock' LIMIT 1"
                return bool(await rows(postgres_url, waiting))

            await until(is_waiting)
        first, second = await placing
        assert reasons(first) == [""]
        taken = reasons(second).count("")
        assert reasons(second) == [""] * taken + ["REASON_OVERLOADED"] * (CALLS - taken)
        afters = [each.refused.retry_after.ToMilliseconds() for each in second[taken:]]
        assert all(after > 0 for after in afters)
        (again,) = await place(order, token, batches[1])
        assert reasons(again) == [""] * CALLS
        assert [each.placed.trade_id for each in again[:taken]] == [
            each.placed.trade_id for each in second[:taken]
        ]


async def test_behind_too_many_open_trades_nobody_is_let_in_until_some_are_done(
    make_house: MakeHouse,
) -> None:
    async with make_house(max_backlog=5) as order:
        numbers = count()

        async def is_refused() -> bool:
            answer = await call(order, next(numbers))
            return not isinstance(answer, order_pb2.Trade) and come_back_seconds(answer) >= 1

        await until(is_refused, seconds=30)
        (results,) = await place(order, order.keys.back_end(), [an_item(CUSTOMERS[6])])
        assert reasons(results) == ["REASON_OVERLOADED"]
        await fill_all(order)

        async def is_let_in() -> bool:
            return isinstance(await call(order, next(numbers)), order_pb2.Trade)

        await until(is_let_in, seconds=30)


async def test_a_long_queue_of_one_customer_holds_up_nobody_else(make_house: MakeHouse) -> None:
    async with make_house(max_backlog=40) as order:
        for customer, number in [*(("alice", number) for number in range(50)), ("bob", 0)]:

            async def is_let_in(customer: str = customer, number: int = number) -> bool:
                answer = await call(order, number, customer)
                return isinstance(answer, order_pb2.Trade) or not come_back_seconds(answer)

            await until(is_let_in, seconds=30)
