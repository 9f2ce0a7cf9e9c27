"""NATS goes, comes back empty, or stands still; trading goes on from the database."""

import asyncio

import pytest

from tests.execution.desk import Desk, eventually
from tests.support.nats_server import NatsServer


async def test_a_lone_worker_trades_without_nats_from_the_start(own_desk: Desk) -> None:
    worker = await own_desk.start_leader(hears_nudges=False)
    own_desk.open_exchange(worker)

    for customer in ("alice", "bob"):
        for _ in range(3):
            own_desk.order.place(customer)

    await eventually(own_desk.order.all_filled, seconds=5)
    assert not (await worker.status()).is_broker_connected


async def test_two_workers_without_nats_share_the_partitions(own_desk: Desk) -> None:
    one, two = await asyncio.gather(own_desk.start_worker("one"), own_desk.start_worker("two"))
    own_desk.open_exchange(one)

    await eventually(lambda: own_desk.share(one, two))
    trade_ids = [own_desk.order.place(f"customer-{number}") for number in range(50)]

    await eventually(own_desk.order.all_filled)
    assert sorted(own_desk.gateway.sent) == sorted(trade_ids)
    assert (await one.status()).claimed
    assert (await two.status()).claimed


async def test_trading_goes_on_while_nats_is_killed_and_comes_back_empty(
    own_desk: Desk, own_nats: NatsServer
) -> None:
    own_nats.start()
    worker = await own_desk.start_leader()
    own_desk.open_exchange(worker)
    await own_desk.place("alice")
    await eventually(own_desk.order.all_filled)

    own_nats.kill()
    for number in range(20):
        await own_desk.place(f"customer-{number}")
    await eventually(own_desk.order.all_filled, seconds=5)

    own_nats.wipe()
    own_nats.start()
    await eventually(lambda: _is_connected(own_desk))
    own_desk.order.sweep_ages.clear()
    await eventually(lambda: 1_000 in own_desk.order.sweep_ages)
    swept = (await worker.status()).swept
    for number in range(20):
        await own_desk.place(f"customer-{number}")
    await eventually(own_desk.order.all_filled)
    assert (await worker.status()).swept == swept
    assert len(set(own_desk.gateway.sent)) == len(own_desk.gateway.sent) == 41


async def _is_connected(desk: Desk) -> bool:
    return desk.nudges.broker.is_connected


@pytest.mark.parametrize("gone", ["stream", "consumers"])
async def test_nudges_are_heard_again_after_what_they_need_was_deleted(
    own_desk: Desk, own_nats: NatsServer, gone: str
) -> None:
    own_nats.start()
    worker = await own_desk.start_leader()
    own_desk.open_exchange(worker)
    names = [""] if gone == "stream" else [f".partition-{number}" for number in range(128)]
    kind, stream = gone.removesuffix("s").upper(), own_desk.stream.name

    for name in names:
        subject = f"$JS.API.{kind}.DELETE.{stream}{name}"
        answer = await own_desk.nudges.broker.request(subject, timeout_seconds=5)
        assert b'"success":true' in answer.data

    async def needs_no_sweep() -> bool:
        swept = (await worker.status()).swept
        for number in range(20):
            await own_desk.place(f"customer-{number}")
        await eventually(own_desk.order.all_filled)
        return (await worker.status()).swept == swept

    await eventually(needs_no_sweep)
    assert len(set(own_desk.gateway.sent)) == len(own_desk.gateway.sent)


async def test_two_workers_keep_sharing_while_nats_is_killed_and_back(
    own_desk: Desk, own_nats: NatsServer
) -> None:
    own_nats.start()
    one, two = await asyncio.gather(own_desk.start_worker("one"), own_desk.start_worker("two"))
    await eventually(lambda: own_desk.share(one, two))
    own_desk.open_exchange(one)
    epochs = sum(own_desk.order.epochs.values())

    own_nats.kill()
    for number in range(50):
        own_desk.order.place(f"customer-{number}")
    await eventually(own_desk.order.all_filled, seconds=8)
    own_nats.start()
    await eventually(lambda: _is_connected(own_desk))
    for number in range(50):
        await own_desk.place(f"customer-{number}")

    await eventually(own_desk.order.all_filled)
    assert await own_desk.leads_all(one, two)
    assert sum(own_desk.order.epochs.values()) == epochs


async def test_trading_goes_on_while_nats_stands_still(
    own_desk: Desk, own_nats: NatsServer
) -> None:
    own_nats.start()
    worker = await own_desk.start_leader()
    own_desk.open_exchange(worker)
    own_nats.freeze()

    trade_ids = [own_desk.order.place(f"customer-{number}") for number in range(20)]

    await eventually(own_desk.order.all_filled, seconds=8)
    own_nats.thaw()
    assert sorted(own_desk.gateway.sent) == sorted(trade_ids)
