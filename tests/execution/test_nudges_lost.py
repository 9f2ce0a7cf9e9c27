"""Nudges get lost, or NATS is cut off: nobody notices but the counters."""

import random

import pytest

from tests.execution.desk import Desk, WorkerDouble, eventually
from tests.ledger.wire_cutter import WireCutter
from tests.support.nats_server import NatsServer

CUSTOMERS = [f"customer-{number}" for number in range(20)]


@pytest.mark.parametrize("lost", [0.01, 1.0])
async def test_trades_run_in_order_though_nudges_are_dropped_all_the_time(
    desk: Desk, lost: float
) -> None:
    worker = await desk.start_leader()
    desk.open_exchange(worker)
    dice = random.Random(7)
    dropped = 0

    for _ in range(6):
        for customer in CUSTOMERS:
            desk.order.place(customer)
            if dice.random() < lost:
                dropped += 1
            else:
                await desk.nudges.publish([customer])

    await eventually(desk.order.all_filled)
    assert dropped
    assert len(desk.gateway.sent) == len(set(desk.gateway.sent)) == len(desk.order.rows)
    for customer in CUSTOMERS:
        mine = [row.trade.trade_id for row in desk.order.by_customer[customer]]
        assert [trade_id for trade_id in desk.gateway.sent if trade_id in set(mine)] == mine
    assert (await worker.status()).swept >= (len(CUSTOMERS) if lost == 1 else 0)


async def test_trading_goes_on_while_nats_is_cut_off_and_nudges_are_heard_again(
    own_desk: Desk, own_nats: NatsServer
) -> None:
    own_nats.start()
    async with WireCutter(own_nats.url) as wire:
        worker = await own_desk.start_leader(nats_url=wire.url)
        own_desk.open_exchange(worker)
        await own_desk.place("alice")
        await eventually(own_desk.order.all_filled)

        wire.close()
        for customer in CUSTOMERS:
            await own_desk.place(customer)
        await eventually(own_desk.order.all_filled)
        assert not (await worker.status()).is_broker_connected

        wire.is_closed = False
        await eventually(lambda: _is_connected(worker))
        own_desk.order.sweep_ages.clear()
        await eventually(lambda: 1_000 in own_desk.order.sweep_ages)
        swept = (await worker.status()).swept
        for customer in CUSTOMERS:
            await own_desk.place(customer)
        await eventually(own_desk.order.all_filled)
        assert (await worker.status()).swept == swept
        assert len(own_desk.gateway.sent) == len(set(own_desk.gateway.sent)) == 41
        await worker.end()


async def test_a_worker_that_alone_is_cut_off_from_nats_leaves_its_part_to_the_other(
    own_desk: Desk, own_nats: NatsServer
) -> None:
    own_nats.start()
    async with WireCutter(own_nats.url) as wire:
        one = await own_desk.start_leader("one")
        two = await own_desk.start_worker("two", nats_url=wire.url)
        own_desk.open_exchange(one)
        await eventually(lambda: own_desk.share(one, two))

        wire.close()
        await eventually(lambda: own_desk.leads_all(one))
        for customer in CUSTOMERS:
            await own_desk.place(customer)
        await eventually(own_desk.order.all_filled)
        await eventually(lambda: _leads_nothing(two))

        wire.is_closed = False
        await eventually(lambda: own_desk.share(one, two))
        for customer in CUSTOMERS:
            await own_desk.place(customer)
        await eventually(own_desk.order.all_filled)
        assert len(own_desk.gateway.sent) == len(set(own_desk.gateway.sent)) == 40
        await two.end()


async def _leads_nothing(worker: WorkerDouble) -> bool:
    return await worker.leads() == 0


async def _is_connected(worker: WorkerDouble) -> bool:
    return (await worker.status()).is_broker_connected
