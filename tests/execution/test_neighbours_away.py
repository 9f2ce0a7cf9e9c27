"""Neighbours go and come back; a trade waits, and a timeout is never a rejection."""

import asyncio

import pytest

from stockbroker.exchange_gateway.v1 import exchange_gateway_service_pb2 as gateway_pb
from tests.execution.desk import Desk, eventually


@pytest.mark.parametrize("name", ["order", "ledger", "gateway"])
async def test_trades_wait_for_a_neighbour_that_is_away(desk: Desk, name: str) -> None:
    worker = await desk.start_leader()
    desk.open_exchange(worker)
    faults = getattr(desk, name).faults
    faults.is_away = True

    trade_ids = [await desk.place(f"customer-{number}") for number in range(5)]
    asked = sum(faults.calls.values())
    await eventually(lambda: sum(faults.calls.values()) > asked + 3)
    assert not {desk.order.status(trade_id) for trade_id in trade_ids} - {"PLACED", "IN_PROGRESS"}
    faults.is_away = False

    await eventually(desk.order.all_filled)
    assert sorted(desk.gateway.sent) == sorted(trade_ids)


@pytest.mark.parametrize(
    ("name", "lost"),
    [
        ("order", {"ClaimTrades": 2, "ApplyOutcomes": 2}),
        ("ledger", {"PlaceHolds": 2, "PostExecutions": 2}),
        ("gateway", {"SubmitOrders": 2}),
    ],
)
async def test_lost_answers_do_no_work_twice(desk: Desk, name: str, lost: dict[str, int]) -> None:
    worker = await desk.start_leader()
    desk.open_exchange(worker)
    faults = getattr(desk, name).faults
    faults.lose = lost

    trade_ids = [await desk.place("alice") for _ in range(4)]

    await eventually(desk.order.all_filled)
    assert desk.gateway.sent == trade_ids
    assert len(desk.ledger.posted) == 4
    assert not any(faults.lose.values())


async def test_a_worker_starts_before_its_neighbours(desk: Desk) -> None:
    for fake in (desk.order, desk.ledger, desk.gateway):
        fake.faults.is_away = True
    trade_id = desk.order.place("alice")
    worker = await desk.start_worker()
    await eventually(lambda: desk.order.faults.calls["LeadPartitions"] > 1)

    for fake in (desk.order, desk.ledger, desk.gateway):
        fake.faults.is_away = False
    desk.open_exchange(worker)

    await eventually(lambda: desk.order.status(trade_id) == "FILLED")


async def test_one_poisoned_trade_does_not_harm_its_neighbours(desk: Desk) -> None:
    worker = await desk.start_leader()
    desk.open_exchange(worker)
    poisoned = "mallory"
    desk.ledger.faults.poison = lambda request: any(
        hold.customer_id == poisoned for hold in getattr(request, "holds", ())
    )
    desk.ledger.faults.closed.add("PlaceHolds")
    await desk.place("first")
    await eventually(lambda: desk.ledger.faults.calls["PlaceHolds"] == 1)
    bad = await desk.place(poisoned)
    good = [await desk.place(f"customer-{number}") for number in range(5)]
    await eventually(lambda: len(desk.order.claims) == 7)

    desk.ledger.faults.closed.clear()

    await eventually(lambda: all(desk.order.status(trade_id) == "FILLED" for trade_id in good))
    assert desk.order.status(bad) == "IN_PROGRESS"
    desk.ledger.faults.poison = lambda request: False
    await eventually(lambda: desk.order.status(bad) == "FILLED")


async def test_an_order_the_gateway_does_not_answer_is_in_doubt_and_never_rejected(
    desk: Desk,
) -> None:
    worker = await desk.start_leader(in_doubt_after_seconds=0.3)
    desk.gateway.faults.is_away = True

    trade_id = await desk.place("alice")

    await eventually(lambda: desk.order.trade(trade_id).in_doubt)
    assert desk.order.status(trade_id) == "IN_PROGRESS"
    assert desk.order.trade(trade_id).reason_text
    assert trade_id not in desk.ledger.released
    desk.gateway.faults.is_away = False
    desk.open_exchange(worker)
    await eventually(desk.order.all_filled)
    assert desk.gateway.sent == [trade_id]


async def test_an_order_the_exchange_does_not_answer_is_in_doubt(desk: Desk) -> None:
    await desk.start_leader(in_doubt_after_seconds=0.3)

    trade_id = await desk.place("alice")

    await eventually(lambda: desk.order.trade(trade_id).in_doubt)
    assert desk.gateway.sent == [trade_id]
    assert desk.ledger.faults.calls["PlaceHolds"] == 1


async def test_an_order_the_exchange_has_is_not_in_doubt(desk: Desk) -> None:
    await desk.start_leader(in_doubt_after_seconds=0.3)

    trade_id = await desk.place("alice")
    await eventually(lambda: desk.gateway.sent == [trade_id])
    desk.gateway.states[trade_id] = gateway_pb.ORDER_STATE_ACCEPTED
    await eventually(lambda: desk.gateway.faults.calls["GetOrders"] >= 2)

    assert not desk.order.trade(trade_id).in_doubt


async def test_an_order_the_gateway_has_lost_is_submitted_again(desk: Desk) -> None:
    await desk.start_leader(in_doubt_after_seconds=0.3)
    trade_id = await desk.place("alice")
    await eventually(lambda: desk.gateway.sent == [trade_id])

    desk.gateway.orders.clear()
    desk.gateway.states.clear()

    await eventually(lambda: desk.gateway.sent == [trade_id, trade_id])


async def test_a_trade_at_the_exchange_is_not_worked_on_again_and_again(desk: Desk) -> None:
    await desk.start_leader()
    trade_id = await desk.place("alice")
    await eventually(lambda: desk.gateway.sent == [trade_id])
    sweeps = desk.order.sweep_ages[1_000]

    await eventually(lambda: desk.order.sweep_ages[1_000] >= sweeps + 4)

    assert desk.gateway.faults.calls["SubmitOrders"] == 1
    assert len(desk.order.claims) == 1


async def test_many_customers_at_the_exchange_do_not_hide_a_new_one_from_the_sweep(
    desk: Desk,
) -> None:
    await desk.start_leader()
    old = [desk.order.place(f"customer-{number}") for number in range(1_500)]
    await eventually(lambda: len(desk.gateway.sent) == len(old))

    new = desk.order.place("latecomer")

    await eventually(lambda: new in desk.gateway.sent)
    assert len(set(desk.gateway.sent)) == len(desk.gateway.sent)


async def test_stopping_gives_up_on_a_neighbour_that_stays_away(desk: Desk) -> None:
    worker = await desk.start_leader()
    desk.ledger.faults.is_away = True
    await desk.place("alice")
    await eventually(lambda: desk.ledger.faults.calls["PlaceHolds"] >= 2)

    async with asyncio.timeout(60):
        await worker.end()
