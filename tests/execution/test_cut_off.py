"""Work that is cut off anywhere is done again, and only once."""

import time
from pathlib import Path
from signal import SIGCONT, SIGKILL, SIGSTOP, SIGTERM

import pytest

from libs.partition import partition_of
from tests.execution.desk import Desk, WorkerProcess, eventually
from tests.execution.fakes.faults import Faults
from tests.execution.test_replacing import LIMIT, a_resting_trade, ask


async def one_that_leads(desk: Desk, folder: Path) -> WorkerProcess:
    """All partitions, each of which it has looked through."""
    doomed = desk.start_process("doomed", folder / "doomed.log")
    await eventually(lambda: len(desk.order.swept_whole) == 128)
    return doomed


def kill(doomed: WorkerProcess, faults: Faults) -> None:
    """And let its neighbour go on."""
    doomed.signal(SIGKILL)
    faults.closed.clear()
    faults.muted.clear()


@pytest.mark.parametrize(
    ("neighbour", "method", "moment"),
    [
        ("order", "ClaimTrades", "muted"),
        ("ledger", "PlaceHolds", "closed"),
        ("ledger", "PlaceHolds", "muted"),
        ("gateway", "SubmitOrders", "closed"),
        ("gateway", "SubmitOrders", "muted"),
    ],
)
async def test_a_worker_killed_in_mid_step_is_succeeded_by_another(
    desk: Desk, tmp_path: Path, neighbour: str, method: str, moment: str
) -> None:
    faults = getattr(desk, neighbour).faults
    doomed = await one_that_leads(desk, tmp_path)
    getattr(faults, moment).add(method)
    trade_ids = [await desk.place("alice"), await desk.place("alice")]
    await eventually(lambda: faults.calls[method] == 1)

    kill(doomed, faults)
    heir = await desk.start_worker("heir")
    desk.open_exchange(heir)

    await eventually(desk.order.all_filled)
    assert desk.gateway.sent == trade_ids
    assert sorted(desk.ledger.holds) == trade_ids
    assert len(desk.ledger.posted) == 2
    assert desk.order.epochs[partition_of("alice")] == 2


@pytest.mark.parametrize(
    ("neighbour", "method", "moment"),
    [
        ("ledger", "PlaceHolds", "muted"),
        ("gateway", "CancelOrders", "closed"),
        ("gateway", "CancelOrders", "muted"),
        ("ledger", "ReleaseHolds", "closed"),
        ("ledger", "ReleaseHolds", "muted"),
        ("order", "ApplyOutcomes", "closed"),
        ("order", "ApplyOutcomes", "muted"),
    ],
)
async def test_a_worker_killed_in_mid_cancel_is_succeeded_by_another(
    desk: Desk, tmp_path: Path, neighbour: str, method: str, moment: str
) -> None:
    faults = getattr(desk, neighbour).faults
    doomed = await one_that_leads(desk, tmp_path)
    getattr(faults, moment).add(method)
    unsent, behind = desk.order.place("alice"), desk.order.place("alice")
    desk.order.ask_to_cancel(unsent)
    await desk.nudges.publish(["alice"])
    await eventually(lambda: faults.calls[method] == 1)

    kill(doomed, faults)
    desk.open_exchange(await desk.start_worker("heir"))

    await eventually(lambda: desk.order.status(behind) == "FILLED")
    assert desk.order.status(unsent) == "CANCELED"
    assert desk.gateway.sent == [behind]
    assert desk.ledger.log.count(("released", unsent)) == 1


@pytest.mark.parametrize(
    ("neighbour", "method", "moment"),
    [
        ("ledger", "AdjustHolds", "closed"),
        ("ledger", "AdjustHolds", "muted"),
        ("gateway", "ReplaceOrders", "closed"),
        ("gateway", "ReplaceOrders", "muted"),
    ],
)
async def test_a_worker_killed_in_mid_replace_is_succeeded_by_another(
    desk: Desk, tmp_path: Path, neighbour: str, method: str, moment: str
) -> None:
    first, trade_id = await a_resting_trade(desk)
    await first.end()
    faults = getattr(desk, neighbour).faults
    doomed = desk.start_process("doomed", tmp_path / "doomed.log")
    await eventually(lambda: desk.leader_of("alice") == "doomed")
    getattr(faults, moment).add(method)
    replace_id = await ask(desk, trade_id, 120)
    await eventually(lambda: faults.calls[method] == 1)

    kill(doomed, faults)
    calls = desk.gateway.faults.calls["ReplaceOrders"]
    await desk.start_worker("heir")
    await eventually(lambda: desk.gateway.faults.calls["ReplaceOrders"] > calls)

    await eventually(lambda: set(desk.gateway.replaced) == {replace_id})
    assert desk.ledger.changes() == [20 * LIMIT]


async def test_a_worker_ends_while_a_neighbour_keeps_it_waiting(desk: Desk) -> None:
    desk.ledger.faults.closed.add("PlaceHolds")
    worker = await desk.start_leader()
    trade_id = await desk.place("alice")
    await eventually(lambda: desk.ledger.faults.calls["PlaceHolds"] == 1)

    await worker.end()

    desk.ledger.faults.closed.clear()
    desk.open_exchange(await desk.start_leader("heir"))
    await eventually(lambda: desk.order.status(trade_id) == "FILLED")


async def test_a_killed_workers_trades_go_on_within_seconds(desk: Desk, tmp_path: Path) -> None:
    heir = await desk.start_leader("heir")
    desk.open_exchange(heir)
    doomed = desk.start_process("doomed", tmp_path / "doomed.log")
    customers = [f"customer-{number}" for number in range(200)]
    theirs = await eventually(
        lambda: [name for name in customers if desk.leader_of(name) == "doomed"], seconds=60
    )

    doomed.signal(SIGKILL)
    began_at = time.monotonic()
    for customer in theirs:
        await desk.place(customer)
    await eventually(desk.order.all_filled)

    # 1.6 s without a sign of life, then the sweep of the new leader.
    assert time.monotonic() - began_at < 4.0
    assert all(desk.leader_of(customer) == "heir" for customer in theirs)


async def test_a_terminated_worker_hands_over_at_once(desk: Desk, tmp_path: Path) -> None:
    heir = await desk.start_leader("heir")
    leaver = desk.start_process("leaver", tmp_path / "leaver.log")
    customers = [f"customer-{number}" for number in range(200)]
    theirs = await eventually(
        lambda: [name for name in customers if desk.leader_of(name) == "leaver"], seconds=60
    )

    leaver.signal(SIGTERM)
    began_at = time.monotonic()
    await eventually(lambda: all(desk.leader_of(customer) == "heir" for customer in theirs))

    assert time.monotonic() - began_at < 1.5
    assert await leaver.wait() == 0
    assert await desk.leads_all(heir)


async def test_a_worker_that_stood_still_does_no_harm_when_it_goes_on(
    desk: Desk, tmp_path: Path
) -> None:
    desk.ledger.faults.closed.add("PlaceHolds")
    sleeper = desk.start_process("sleeper", tmp_path / "sleeper.log")
    await eventually(lambda: len(desk.order.swept_whole) == 128)
    first = await desk.place("alice")
    await eventually(lambda: desk.ledger.faults.calls["PlaceHolds"] == 1)

    sleeper.signal(SIGSTOP)
    heir = await desk.start_worker("heir")
    desk.ledger.faults.closed.clear()
    desk.open_exchange(heir)
    await eventually(lambda: desk.order.status(first) == "FILLED")
    sleeper.signal(SIGCONT)
    trade_ids = [first] + [await desk.place("alice") for _ in range(5)]

    await eventually(desk.order.all_filled)
    assert desk.gateway.sent == trade_ids
    assert len(desk.ledger.posted) == 6
