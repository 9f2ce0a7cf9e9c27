"""Workers share the partitions and never do a trade twice."""

import asyncio

import pytest

from libs.partition import partition_of
from tests.execution.desk import Desk, WorkerDouble, eventually
from tests.execution.test_replacing import LIMIT, a_resting_trade


async def _both_lead(desk: Desk) -> tuple[WorkerDouble, WorkerDouble]:
    """Two workers that share all partitions."""
    one, two = await asyncio.gather(desk.start_worker("one"), desk.start_worker("two"))
    await eventually(lambda: desk.share(one, two))
    return one, two


async def test_a_newcomer_gets_its_share_and_gives_it_back_when_it_leaves(desk: Desk) -> None:
    one = await desk.start_leader("one")
    two = await desk.start_worker("two")

    await eventually(lambda: desk.share(one, two))
    await two.end()

    await eventually(lambda: desk.leads_all(one), seconds=3)


async def test_trades_go_on_in_order_while_partitions_move(desk: Desk) -> None:
    one = await desk.start_leader("one")
    desk.open_exchange(one)
    customers = [f"customer-{number}" for number in range(40)]
    two = await desk.start_worker("two")

    while not await two.leads():
        await asyncio.gather(*(desk.place(customer) for customer in customers))
        await asyncio.sleep(0.2)
    await asyncio.gather(*(desk.place(customer) for customer in customers))
    await two.end()
    await asyncio.gather(*(desk.place(customer) for customer in customers))

    await eventually(desk.order.all_filled)
    assert len(desk.gateway.sent) == len(set(desk.gateway.sent)) == len(desk.order.rows)
    for customer in customers:
        mine = [row.trade.trade_id for row in desk.order.by_customer[customer]]
        story = [entry for entry in desk.order.log if entry[1] in mine and entry[0] != "placed"]
        assert story == [(what, who) for who in mine for what in ("started", "ended")]


async def test_the_next_trade_of_a_customer_led_elsewhere_is_nudged(desk: Desk) -> None:
    one, two = await _both_lead(desk)
    leads = set((await two.status()).leads)
    theirs = next(name for n in range(1000) if partition_of(name := f"customer-{n}") in leads)
    desk.open_exchange(one)

    for _ in range(5):
        await desk.place(theirs)

    await eventually(desk.order.all_filled)
    assert (await two.status()).claimed == 5
    assert (await two.status()).swept < 4
    assert (await one.status()).claimed == 0


async def test_a_claim_under_an_old_epoch_takes_nothing_and_ends_the_lead(desk: Desk) -> None:
    worker = await desk.start_leader()
    partition = partition_of("alice")
    desk.order.epochs[partition] += 1  # somebody else was made leader

    trade_id = await desk.place("alice")

    await eventually(lambda: desk.gateway.sent == [trade_id])
    assert desk.order.stale_claims >= 1
    assert {epoch for _, epoch in desk.order.claims} == {3}
    await eventually(lambda: desk.leads_all(worker))


async def test_an_order_under_an_old_epoch_is_not_sent_until_the_lead_is_won_again(
    desk: Desk,
) -> None:
    await desk.start_leader()
    desk.gateway.epochs[partition_of("alice")] = 2

    trade_id = await desk.place("alice")

    await eventually(lambda: desk.gateway.sent == [trade_id])
    assert desk.gateway.stale >= 1
    assert desk.gateway.orders[trade_id].epoch == 2


@pytest.mark.parametrize("asked", ["cancel", "replace"])
async def test_a_request_under_an_old_epoch_is_brought_once_the_lead_is_won_again(
    desk: Desk, asked: str
) -> None:
    _, trade_id = await a_resting_trade(desk)
    desk.gateway.epochs[partition_of("alice")] = 2

    if asked == "cancel":
        desk.order.ask_to_cancel(trade_id)
    else:
        desk.order.ask_to_replace(trade_id, 120, LIMIT)
    await desk.nudges.publish(["alice"])

    await eventually(lambda: desk.gateway.canceled or desk.gateway.replaced)
    assert desk.order.epochs[partition_of("alice")] == 2


async def test_a_worker_without_the_order_service_leaves_its_partitions_to_others(
    desk: Desk,
) -> None:
    lone = await desk.start_leader("lone")
    cut_off = await desk.start_worker("cut-off", order_address="127.0.0.1:1")

    assert await cut_off.leads() == 0
    await eventually(lambda: desk.leads_all(lone))
