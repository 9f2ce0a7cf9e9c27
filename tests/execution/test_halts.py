"""Operators halt and resume trading; all workers obey, and everything is on record."""

import asyncio
import time

import grpc
import psycopg
import pytest

from libs.partition import partition_of
from libs.rpc.status import reason_of
from services.execution import sweep
from services.execution.domain.ring import ring_of
from stockbroker.execution.v1 import execution_service_pb2 as pb
from tests.execution.desk import SELL, Desk, WorkerDouble, eventually
from tests.support.keys import bearer

WORKERS = ("one", "two")
FIRM = pb.HaltScope(firm=True)
ALICE = pb.HaltScope(customer_id="alice")
AAPL = pb.HaltScope(symbol="AAPL")


async def halt(
    desk: Desk, worker: WorkerDouble, scope: pb.HaltScope, who: str = "olivia"
) -> pb.TradingHalt:
    request = pb.HaltRequest(scope=scope, reason_text="a drill")
    answer = await worker.stub.Halt(request, metadata=bearer(desk.keys.operator(who)))
    return answer.halt


async def resume(desk: Desk, worker: WorkerDouble, scope: pb.HaltScope) -> bool:
    request = pb.ResumeRequest(scope=scope, reason_text="the drill is over")
    answer = await worker.stub.Resume(request, metadata=bearer(desk.keys.operator("oscar")))
    return answer.resumed


async def in_force(desk: Desk, worker: WorkerDouble) -> list[pb.TradingHalt]:
    answer = await worker.stub.ListHalts(
        pb.ListHaltsRequest(), metadata=bearer(desk.keys.operator())
    )
    return list(answer.halts)


async def swept_twice(desk: Desk) -> None:
    """Long enough for the sweep to have taken up whatever it takes up."""
    calls = desk.order.faults.calls
    seen = calls["ListOpenCustomers"]
    await eventually(lambda: calls["ListOpenCustomers"] >= seen + 3)


@pytest.mark.parametrize("scope", [FIRM, ALICE])
async def test_nothing_of_a_halted_customer_is_taken_up_until_trading_resumes(
    desk: Desk, scope: pb.HaltScope
) -> None:
    worker = await desk.start_leader()
    desk.open_exchange(worker)
    await halt(desk, worker, scope)

    trade_id = await desk.place("alice")
    await swept_twice(desk)
    assert desk.order.status(trade_id) == "PLACED"

    assert await resume(desk, worker, scope)
    await eventually(desk.order.all_filled)


async def test_however_many_have_waited_they_are_taken_up_soon_after_trading_resumes(
    desk: Desk,
) -> None:
    worker = await desk.start_leader()
    await halt(desk, worker, FIRM)
    for number in range(2_500):
        desk.order.place(f"customer-{number}")
    looks = desk.order.sweep_ages[1_000]
    await eventually(lambda: desk.order.sweep_ages[1_000] >= looks + 3)  # now every five seconds

    resumed_at = time.monotonic()
    await resume(desk, worker, FIRM)
    await eventually(lambda: desk.order.claims)

    assert time.monotonic() - resumed_at < 3


async def test_a_halted_customer_stops_nobody_else(desk: Desk) -> None:
    worker = await desk.start_leader()
    desk.open_exchange(worker)
    await halt(desk, worker, ALICE)
    await desk.place("alice")

    trade_id = await desk.place("bob")

    await eventually(lambda: desk.order.status(trade_id) == "FILLED")


async def test_halted_customers_hide_nobody_from_the_sweep(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sweep, "_LIMIT", 2)
    worker = await desk.start_leader()
    for number in range(5):
        await halt(desk, worker, pb.HaltScope(customer_id=f"customer-{number}"))
        desk.order.place(f"customer-{number}")

    trade_id = desk.order.place("latecomer")

    await eventually(lambda: desk.gateway.sent == [trade_id])


async def test_trades_in_a_halted_symbol_wait_and_are_never_rejected(desk: Desk) -> None:
    worker = await desk.start_leader()
    desk.open_exchange(worker)
    await halt(desk, worker, AAPL)

    waiting = await desk.place("alice", symbol="AAPL")
    behind = await desk.place("alice", symbol="MSFT")
    other = await desk.place("bob", symbol="MSFT")
    await eventually(lambda: desk.order.status(other) == "FILLED")
    await swept_twice(desk)
    assert desk.order.status(waiting) == "IN_PROGRESS"
    assert desk.order.status(behind) == "PLACED"
    assert waiting not in desk.ledger.holds

    await resume(desk, worker, AAPL)
    await eventually(desk.order.all_filled)
    assert desk.gateway.sent == [other, waiting, behind]


async def test_a_halt_during_the_flight_stops_the_next_trade(desk: Desk) -> None:
    worker = await desk.start_leader()
    desk.open_exchange(worker)
    desk.ledger.faults.closed.add("PlaceHolds")
    first = await desk.place("alice", side=SELL)
    await eventually(lambda: desk.ledger.faults.calls["PlaceHolds"] == 1)
    second = await desk.place("alice")
    marker = await desk.place("bob")
    await eventually(lambda: desk.order.status(marker) == "IN_PROGRESS")

    await halt(desk, worker, ALICE)
    desk.ledger.faults.closed.clear()

    await eventually(lambda: desk.order.status(first) == "REJECTED")
    await swept_twice(desk)
    assert desk.order.status(second) == "PLACED"


@pytest.mark.parametrize("scope", [FIRM, ALICE, AAPL])
@pytest.mark.parametrize("away", ["ledger", "gateway"])
async def test_what_was_taken_up_before_a_halt_is_not_sent_when_its_neighbour_is_back(
    desk: Desk, away: str, scope: pb.HaltScope
) -> None:
    worker = await desk.start_leader()
    desk.open_exchange(worker)
    faults = getattr(desk, away).faults
    faults.is_away = True
    trade_id = await desk.place("alice")
    asked = {"ledger": "PlaceHolds", "gateway": "SubmitOrders"}[away]
    await eventually(lambda: faults.calls[asked] > 2)
    await halt(desk, worker, scope)
    await swept_twice(desk)  # no attempt is under way that began before

    faults.is_away = False
    await eventually(lambda: trade_id in desk.ledger.holds)
    await swept_twice(desk)

    assert desk.gateway.sent == []
    assert desk.order.status(trade_id) == "IN_PROGRESS"
    assert await resume(desk, worker, scope)
    await eventually(desk.order.all_filled)
    assert desk.gateway.sent == [trade_id]


@pytest.mark.parametrize("scope", [FIRM, ALICE, AAPL])
async def test_what_may_have_been_sent_before_a_halt_is_in_doubt_and_not_sent_again(
    desk: Desk, scope: pb.HaltScope
) -> None:
    worker = await desk.start_leader(in_doubt_after_seconds=1)
    desk.gateway.faults.lose["SubmitOrders"] = 1_000
    trade_id = await desk.place("alice")
    await eventually(lambda: desk.gateway.sent)
    await halt(desk, worker, scope)
    desk.gateway.faults.lose.clear()

    await eventually(lambda: desk.order.trade(trade_id).in_doubt)
    assert desk.gateway.sent == [trade_id]


async def test_a_halt_holds_at_every_worker_and_after_a_restart(desk: Desk) -> None:
    one = await desk.start_leader("one")
    await halt(desk, one, FIRM)
    await one.end()

    two = await desk.start_leader("two", hears_nudges=False)
    trade_id = desk.order.place("alice")
    await swept_twice(desk)

    assert desk.order.status(trade_id) == "PLACED"
    assert [found.scope for found in await in_force(desk, two)] == [FIRM]


async def test_nothing_is_taken_up_before_the_halts_are_known(desk: Desk) -> None:
    one = await desk.start_leader("one")
    await halt(desk, one, FIRM)
    await one.end()
    desk.order.leaders.clear()
    trade_id = desk.order.place("alice")

    url = desk.settings().database_url
    async with await psycopg.AsyncConnection.connect(url) as connection:
        await connection.execute("LOCK TABLE halt")
        starting = asyncio.create_task(desk.start_worker("two"))
        async with await psycopg.AsyncConnection.connect(url, autocommit=True) as other:

            async def has_waited_for_long() -> bool:
                cursor = await other.execute(
                    "SELECT FROM pg_stat_activity WHERE wait_event_type = 'Lock'"
                    " AND datname = current_database() AND now() - query_start > interval '2 s'"
                )
                return cursor.rowcount == 1

            await eventually(has_waited_for_long)
        assert desk.order.leaders == {}

    two = await starting
    await eventually(lambda: desk.leads_all(two))
    await swept_twice(desk)
    assert desk.order.status(trade_id) == "PLACED"


async def test_a_halt_told_to_one_worker_reaches_the_others_within_a_second(desk: Desk) -> None:
    await desk.start_leader("one")
    two = await desk.start_worker("two")
    theirs = next(
        name for n in range(1_000) if "one" in ring_of(partition_of(name := f"c-{n}"), WORKERS)[:1]
    )

    await halt(desk, two, FIRM)
    await swept_twice(desk)  # takes a second at least
    trade_id = await desk.place(theirs)
    await swept_twice(desk)

    assert desk.leader_of(theirs) == "one"
    assert desk.order.status(trade_id) == "PLACED"


async def test_a_repeated_halt_gives_the_first(desk: Desk) -> None:
    worker = await desk.start_worker()

    first = await halt(desk, worker, AAPL, who="olivia")
    second = await halt(desk, worker, AAPL, who="oscar")

    assert first == second
    assert (first.actor, first.reason_text, first.scope) == ("olivia", "a drill", AAPL)
    assert await in_force(desk, worker) == [first]
    assert await resume(desk, worker, AAPL)
    assert not await resume(desk, worker, AAPL)
    assert await in_force(desk, worker) == []


async def test_every_halt_and_resume_is_on_a_record_nobody_can_change(desk: Desk) -> None:
    worker = await desk.start_worker()
    await halt(desk, worker, ALICE)
    await halt(desk, worker, ALICE)
    await resume(desk, worker, ALICE)
    await resume(desk, worker, ALICE)

    url = desk.settings().database_url
    async with await psycopg.AsyncConnection.connect(url, autocommit=True) as connection:
        cursor = await connection.execute(
            "SELECT action, scope_kind, scope_name, actor, reason_text, took_effect, at IS NOT NULL"
            " FROM halt_audit ORDER BY id"
        )
        record = await cursor.fetchall()
        for change in ("DELETE FROM halt_audit", "UPDATE halt_audit SET actor = 'nobody'"):
            with pytest.raises(psycopg.errors.RaiseException, match="append-only"):
                await connection.execute(change)

    start = ("halt", "customer", "alice", "olivia", "a drill")
    end = ("resume", "customer", "alice", "oscar", "the drill is over")
    assert record == [
        (*start, True, True),
        (*start, False, True),
        (*end, True, True),
        (*end, False, True),
    ]


@pytest.mark.parametrize(
    ("scope", "text", "reason"),
    [
        (pb.HaltScope(), "why", "INVALID_REQUEST"),
        (pb.HaltScope(firm=False), "why", "INVALID_REQUEST"),
        (pb.HaltScope(customer_id=""), "why", "INVALID_CUSTOMER"),
        (pb.HaltScope(customer_id="a b"), "why", "INVALID_CUSTOMER"),
        (pb.HaltScope(symbol="aapl"), "why", "INVALID_SYMBOL"),
        (FIRM, "  ", "INVALID_REQUEST"),
        (FIRM, "x" * 501, "INVALID_REQUEST"),
        (FIRM, "a\0b", "INVALID_REQUEST"),
    ],
)
async def test_a_halt_that_makes_no_sense_is_refused(
    desk: Desk, scope: pb.HaltScope, text: str, reason: str
) -> None:
    worker = await desk.start_worker()
    operator = bearer(desk.keys.operator())

    for call in (
        worker.stub.Halt(pb.HaltRequest(scope=scope, reason_text=text), metadata=operator),
        worker.stub.Resume(pb.ResumeRequest(scope=scope, reason_text=text), metadata=operator),
    ):
        with pytest.raises(grpc.aio.AioRpcError) as failed:
            await call
        assert failed.value.code() is grpc.StatusCode.INVALID_ARGUMENT
        assert reason_of(failed.value) == reason
    assert await in_force(desk, worker) == []


async def test_customers_and_services_may_not_halt_or_look(desk: Desk) -> None:
    worker = await desk.start_worker()

    for token in (desk.keys.customer("alice"), desk.keys.service("exchange_gateway")):
        for call in (
            worker.stub.Halt(pb.HaltRequest(scope=FIRM, reason_text="x"), metadata=bearer(token)),
            worker.stub.ListHalts(pb.ListHaltsRequest(), metadata=bearer(token)),
            worker.stub.GetStatus(pb.GetStatusRequest(), metadata=bearer(token)),
        ):
            with pytest.raises(grpc.aio.AioRpcError) as failed:
                await call
            assert failed.value.code() is grpc.StatusCode.PERMISSION_DENIED
