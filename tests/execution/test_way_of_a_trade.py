"""A trade from the nudge to the books, one at a time per customer, in the order placed."""

import asyncio
import time

from libs.partition import partition_of
from stockbroker.common.v1.reason_pb2 import Reason
from stockbroker.common.v1.terms_pb2 import OrderType
from tests.execution.desk import SELL, Desk, WorkerDouble, eventually


async def test_a_lone_worker_leads_everything_within_a_second(desk: Desk) -> None:
    worker = await desk.start_worker()
    began_at = time.monotonic()

    await eventually(lambda: desk.leads_all(worker))

    assert time.monotonic() - began_at < 1.0


async def test_a_nudged_trade_is_claimed_held_and_submitted(desk: Desk) -> None:
    worker = await desk.start_leader()

    trade_id = await desk.place("alice", quantity=7)

    await eventually(lambda: desk.gateway.sent == [trade_id])
    order = desk.gateway.orders[trade_id]
    assert (order.customer_id, order.partition) == ("alice", partition_of("alice"))
    assert (order.epoch, order.quantity, order.symbol) == (1, 7, "AAPL")
    assert order.max_notional_micros == desk.ledger.holds[trade_id].amount
    assert (await worker.status()).claimed == 1
    assert (await worker.status()).swept == 0


async def test_a_limit_buy_holds_its_price_and_has_no_other_bound(desk: Desk) -> None:
    await desk.start_leader()

    trade_id = await desk.place(
        "alice",
        quantity=3,
        order_type=OrderType.ORDER_TYPE_LIMIT,
        limit_price_micros=150_000_000,
    )

    await eventually(lambda: desk.gateway.sent == [trade_id])
    assert desk.ledger.asked[trade_id].amount == 450_000_000
    assert desk.gateway.orders[trade_id].max_notional_micros == 0


async def test_a_filled_trade_is_booked_before_it_is_filled(desk: Desk) -> None:
    worker = await desk.start_leader()
    desk.open_exchange(worker)

    trade_id = await desk.place("alice")

    await eventually(desk.order.all_filled)
    assert desk.ledger.log == [("posted", trade_id)]
    assert trade_id in desk.ledger.closed
    await eventually(lambda: _applied(worker, 2))


async def _applied(worker: WorkerDouble, reports: int) -> bool:
    return (await worker.status()).reports_applied == reports


async def test_a_refused_hold_rejects_the_trade_and_the_next_one_goes_on(desk: Desk) -> None:
    worker = await desk.start_leader()
    desk.open_exchange(worker)

    refused = desk.order.place("alice", side=SELL)
    good = desk.order.place("alice")
    await desk.nudges.publish(["alice"])  # as the order service does: for the first in line alone

    await eventually(lambda: desk.order.status(good) == "FILLED")
    assert (await worker.status()).swept == 0
    trade = desk.order.trade(refused)
    assert desk.order.status(refused) == "REJECTED"
    assert trade.reason == Reason.REASON_INSUFFICIENT_SHARES
    assert trade.reason_text
    assert desk.gateway.sent == [good]


async def test_a_customers_trades_run_one_at_a_time_in_the_order_placed(desk: Desk) -> None:
    worker = await desk.start_leader()
    desk.open_exchange(worker)
    customers = [f"customer-{number}" for number in range(20)]

    for _ in range(10):
        await asyncio.gather(*(desk.place(customer) for customer in customers))

    await eventually(desk.order.all_filled)
    for customer in customers:
        mine = [row.trade.trade_id for row in desk.order.by_customer[customer]]
        story = [(what, who) for what, who in desk.order.log if who in mine and what != "placed"]
        assert story == [(what, who) for who in mine for what in ("started", "ended")]
    assert len(desk.gateway.sent) == len(set(desk.gateway.sent)) == 200
    await eventually(lambda: _is_idle(worker))


async def _is_idle(worker: WorkerDouble) -> bool:
    return (await worker.status()).in_flight == 0


async def test_a_nudge_while_the_customer_is_worked_for_is_not_lost(desk: Desk) -> None:
    worker = await desk.start_leader()
    desk.open_exchange(worker)
    desk.ledger.faults.closed.add("PlaceHolds")
    first = await desk.place("alice")
    await eventually(lambda: desk.ledger.faults.calls["PlaceHolds"] == 1)

    second = await desk.place("alice")
    desk.ledger.faults.closed.clear()

    await eventually(lambda: desk.order.status(second) == "FILLED")
    assert desk.gateway.sent == [first, second]
    assert (await worker.status()).swept == 0


async def test_doubled_nudges_do_the_work_once(desk: Desk) -> None:
    await desk.start_leader()

    trade_id = await desk.place("alice")
    await asyncio.gather(*(desk.nudges.publish(["alice"]) for _ in range(50)))
    await eventually(lambda: desk.gateway.sent == [trade_id])
    for _ in range(10):
        await desk.nudges.publish(["alice"])

    marker = await desk.place("bob")
    await eventually(lambda: marker in desk.gateway.orders)
    assert desk.gateway.sent == [trade_id, marker]
    assert desk.ledger.faults.calls["PlaceHolds"] <= 2
    assert desk.gateway.faults.calls["SubmitOrders"] <= 2


async def test_a_lost_nudge_delays_a_trade_by_about_a_second(desk: Desk) -> None:
    worker = await desk.start_leader()

    trade_id = desk.order.place("alice")
    began_at = time.monotonic()
    await eventually(lambda: desk.gateway.sent == [trade_id])

    assert time.monotonic() - began_at < 2.5
    assert (await worker.status()).swept == 1


async def test_a_nudge_is_gone_once_its_trade_is_claimed(desk: Desk) -> None:
    await desk.start_leader()
    trade_id = await desk.place("alice")
    await eventually(lambda: desk.gateway.sent == [trade_id])

    async def is_empty() -> bool:
        answer = await desk.nudges.broker.request(
            f"$JS.API.STREAM.INFO.{desk.stream.name}", timeout_seconds=2
        )
        return b'"messages":0,' in answer.data

    await eventually(is_empty)


async def test_what_was_placed_before_the_worker_started_is_swept_up_at_once(desk: Desk) -> None:
    trade_ids = [desk.order.place(f"customer-{number}") for number in range(300)]

    worker = await desk.start_worker()

    await eventually(lambda: len(desk.gateway.sent) == 300)
    assert sorted(desk.gateway.sent) == sorted(trade_ids)
    assert (await worker.status()).swept == 300


async def test_who_leads_anew_brings_what_is_open_again_and_it_is_sent_once(desk: Desk) -> None:
    await desk.start_leader()
    trade_id = await desk.place("alice")
    await eventually(lambda: desk.gateway.sent == [trade_id])
    desk.order.epochs[partition_of("alice")] += 1  # somebody else led for a moment

    await desk.nudges.publish(["alice"])

    await eventually(lambda: [each.epoch for each in desk.gateway.last_submit.orders] == [3])
    assert desk.gateway.sent == [trade_id]
