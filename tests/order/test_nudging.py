"""Whatever leaves execution something to do nudges it, after the commit: no sweep is waited for."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from itertools import count

import nats
import pytest

from stockbroker.order.v1 import order_execution_service_pb2 as execution_pb
from stockbroker.order.v1 import order_service_pb2 as pb
from tests.order.client import Order, accepted, cancel_rejected, canceled
from tests.order.conftest import MakeHouse
from tests.order.replaced import a_limit, replace, resting, taken_up
from tests.order.test_parking import park, release
from tests.support.wait import until

Nudged = Callable[[], Awaitable[list[str]]]
House = tuple[Order, Nudged]


@pytest.fixture
async def house(make_house: MakeHouse, nats_url: str) -> AsyncIterator[House]:
    """A house, and who was nudged since this was asked last."""
    async with (
        make_house(nudge_stream="NUDGED", nudge_prefix="nudged") as order,
        _listening(order, nats_url) as nudged,
    ):
        yield order, nudged


@asynccontextmanager
async def _listening(order: Order, nats_url: str) -> AsyncIterator[Nudged]:
    client = await nats.connect(nats_url)
    subscription = await client.subscribe("nudged.*.*")
    await client.flush()
    probes = map("probe-{}".format, count())

    async def probed() -> bool:  # the connection to NATS is made in the background
        await order.place(next(probes))
        return subscription.pending_msgs > 0

    await until(probed)

    async def nudged() -> list[str]:
        last, told = next(probes), [""]
        await order.place(last)  # nudges go out in the order of commits
        while told[-1] != last:
            told.append((await subscription.next_msg(timeout=30)).subject.rpartition(".")[2])
        return [each for each in told if each and not each.startswith("probe")]

    yield nudged
    await client.close()


async def _cancel(order: Order, trade_id: str) -> None:
    await order.trades.CancelTrade(
        pb.CancelTradeRequest(trade_id=trade_id), **order.as_customer("alice")
    )


async def test_a_cancel_of_what_is_at_the_exchange(house: House) -> None:
    order, nudged = house
    trade = await resting(order)
    await nudged()

    await _cancel(order, trade.trade_id)

    assert await nudged() == ["alice"]


async def test_a_cancel_that_lets_the_next_trade_have_its_turn(house: House) -> None:
    order, nudged = house
    first = await order.place("alice")
    await order.place("alice")
    await nudged()

    await _cancel(order, first.trade_id)

    assert await nudged() == ["alice"]


async def test_a_replace_of_what_is_at_the_exchange(house: House) -> None:
    order, nudged = house
    trade = await resting(order)
    await nudged()

    await replace(order, trade.trade_id, quantity=120)

    assert await nudged() == ["alice"]


async def test_the_acceptance_that_a_replace_has_waited_for(house: House) -> None:
    order, nudged = house
    trade = await a_limit(order)
    await taken_up(order, "alice")
    await replace(order, trade.trade_id, quantity=120)
    await nudged()

    await order.apply(accepted(trade.trade_id))

    assert await nudged() == ["alice"]


async def test_the_end_of_a_cancel_that_a_replace_has_waited_for(house: House) -> None:
    order, nudged = house
    trade = await resting(order)
    await replace(order, trade.trade_id, quantity=120)
    await _cancel(order, trade.trade_id)
    await nudged()

    await order.apply(cancel_rejected(trade.trade_id))

    assert await nudged() == ["alice"]


async def test_the_release_of_a_parked_trade(house: House) -> None:
    order, nudged = house
    trade_id, _ = await park(order)
    await nudged()

    await release(order, trade_id)

    assert await nudged() == ["alice"]


async def test_who_tells_of_an_end_is_told_of_the_next_trade_and_nobody_is_nudged(
    house: House,
) -> None:
    order, nudged = house
    first = await order.place("alice")
    behind = await order.place("alice")
    await order.claim_as_leader("alice")
    await nudged()

    answer = await order.apply(canceled(first.trade_id))

    assert answer.open_customers == [
        execution_pb.OpenCustomer(
            customer_id="alice",
            partition=answer.open_customers[0].partition,
            trade_id=behind.trade_id,
        )
    ]
    assert await nudged() == []
