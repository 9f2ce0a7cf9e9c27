"""A trade the house cannot execute holds up its own customer alone, until an operator decides."""

import asyncio
import time
from itertools import pairwise

import grpc
import pytest

from libs.partition import partition_of
from libs.rpc.status import reason_of
from stockbroker.common.v1.reason_pb2 import Reason
from stockbroker.exchange_gateway.v1 import exchange_gateway_service_pb2 as gateway_pb
from stockbroker.execution.v1 import execution_service_pb2 as pb
from stockbroker.order.v1.order_execution_service_pb2 import ParkedTrade
from tests.execution.desk import Desk, WorkerDouble, eventually
from tests.support.keys import bearer


async def parked(desk: Desk, worker: WorkerDouble) -> list[ParkedTrade]:
    request = pb.ListParkedTradesRequest()
    operator = bearer(desk.keys.operator())
    return list((await worker.stub.ListParkedTrades(request, metadata=operator)).trades)


async def release(desk: Desk, worker: WorkerDouble, trade_id: str) -> None:
    request = pb.ReleaseParkedTradeRequest(trade_id=trade_id, reason_text="it is mended")
    await worker.stub.ReleaseParkedTrade(request, metadata=bearer(desk.keys.operator("olivia")))


async def reject(desk: Desk, worker: WorkerDouble, trade_id: str) -> None:
    request = pb.RejectParkedTradeRequest(trade_id=trade_id, reason_text="it cannot be done")
    await worker.stub.RejectParkedTrade(request, metadata=bearer(desk.keys.operator("oscar")))


async def park(desk: Desk, worker: WorkerDouble) -> tuple[str, str]:
    """A parked trade of mallory's that the ledger chokes on, and one behind it."""
    desk.ledger.chokes_on.add(f"trade-{len(desk.order.rows) + 1}")
    bad, behind = await desk.place("mallory"), await desk.place("mallory")
    await eventually(lambda: parked(desk, worker))
    return bad, behind


@pytest.mark.parametrize("culprit", ["ledger", "gateway", "poison"])
async def test_a_trade_that_fails_again_and_again_is_parked_and_harms_nobody_else(
    desk: Desk, culprit: str
) -> None:
    worker = await desk.start_leader(park_after_faults=3)
    desk.open_exchange(worker)
    bad_id = f"trade-{len(desk.order.rows) + 1}"
    if culprit == "poison":
        desk.ledger.faults.poison = lambda request: any(
            hold.customer_id == "mallory" for hold in getattr(request, "holds", ())
        )
    else:
        getattr(desk, culprit).chokes_on.add(bad_id)

    bad, behind = await desk.place("mallory"), await desk.place("mallory")
    good = [await desk.place(f"customer-{number}") for number in range(5)]
    await eventually(lambda: parked(desk, worker))

    (found,) = await parked(desk, worker)
    assert (found.trade.trade_id, found.faults) == (bad, 3)
    assert found.fault_text
    await eventually(lambda: all(desk.order.status(trade_id) == "FILLED" for trade_id in good))
    claims = len(desk.order.claims)
    sweeps = desk.order.sweep_ages[1_000]
    await eventually(lambda: desk.order.sweep_ages[1_000] >= sweeps + 3)
    assert len(desk.order.claims) == claims, "it is taken up no more"
    assert (desk.order.status(bad), desk.order.status(behind)) == ("IN_PROGRESS", "PLACED")
    assert bad not in desk.gateway.sent


async def test_the_pauses_between_attempts_grow(desk: Desk) -> None:
    await desk.start_leader(park_after_faults=4)
    attempts: list[float] = []

    def note(request: object) -> bool:
        if any(hold.customer_id == "mallory" for hold in getattr(request, "holds", ())):
            attempts.append(time.monotonic())
            return True
        return False

    desk.ledger.faults.poison = note
    await desk.place("mallory")
    while not any(row.is_parked for row in desk.order.rows.values()):
        await desk.nudges.publish(["mallory"])  # nudges do not hasten it
        await asyncio.sleep(0.02)

    assert len(attempts) == 4
    pauses = [after - before for before, after in pairwise(attempts)]
    assert all(pause >= least for pause, least in zip(pauses, (0.5, 1.0, 2.0), strict=True))


async def test_a_neighbour_that_is_away_parks_nothing(desk: Desk) -> None:
    worker = await desk.start_leader(park_after_faults=1)
    desk.open_exchange(worker)
    desk.ledger.faults.is_away = True
    await desk.place("alice")
    asked = desk.ledger.faults.calls["PlaceHolds"]
    await eventually(lambda: desk.ledger.faults.calls["PlaceHolds"] > asked + 5)

    assert not await parked(desk, worker)
    desk.ledger.faults.is_away = False
    await eventually(desk.order.all_filled)


@pytest.mark.parametrize(
    ("neighbour", "method"), [("ledger", "PlaceHolds"), ("gateway", "SubmitOrders")]
)
@pytest.mark.parametrize("reason", [Reason.REASON_UNAVAILABLE, Reason.REASON_OVERLOADED])
async def test_a_neighbour_that_cannot_take_a_trade_just_now_parks_nothing(
    desk: Desk, neighbour: str, method: str, reason: Reason.ValueType
) -> None:
    worker = await desk.start_leader(park_after_faults=1)
    desk.open_exchange(worker)
    busy = getattr(desk, neighbour)
    busy.chokes_with = reason
    busy.chokes_on.add(f"trade-{len(desk.order.rows) + 1}")
    await desk.place("alice")
    await eventually(lambda: busy.faults.calls[method] >= 3)

    assert not await parked(desk, worker)
    busy.chokes_on.clear()
    await eventually(desk.order.all_filled)


async def test_a_released_trade_and_those_behind_it_go_on_in_order(desk: Desk) -> None:
    worker = await desk.start_leader(park_after_faults=2)
    desk.open_exchange(worker)
    bad, behind = await park(desk, worker)
    desk.ledger.chokes_on.clear()

    await release(desk, worker, bad)

    await eventually(desk.order.all_filled)
    assert desk.gateway.sent == [bad, behind]
    assert not await parked(desk, worker)


async def test_a_rejected_trade_frees_its_hold_and_the_next_one_goes_on(desk: Desk) -> None:
    worker = await desk.start_leader(park_after_faults=2)
    desk.open_exchange(worker)
    bad_id = f"trade-{len(desk.order.rows) + 1}"
    desk.gateway.chokes_on.add(bad_id)
    bad, behind = await desk.place("mallory"), await desk.place("mallory")
    await eventually(lambda: parked(desk, worker))
    assert bad in desk.ledger.holds

    await reject(desk, worker, bad)

    assert desk.order.status(bad) == "REJECTED"
    assert desk.order.trade(bad).reason == Reason.REASON_CANCELED_BY_OPERATOR
    assert bad in desk.ledger.released
    await eventually(lambda: desk.order.status(behind) == "FILLED")
    assert desk.gateway.sent == [behind]


async def test_a_trade_for_which_nothing_is_held_is_rejected_as_well(desk: Desk) -> None:
    worker = await desk.start_leader(park_after_faults=2)
    desk.open_exchange(worker)
    bad, behind = await park(desk, worker)
    desk.ledger.chokes_on.clear()

    await reject(desk, worker, bad)

    assert desk.order.status(bad) == "REJECTED"
    await eventually(lambda: desk.order.status(behind) == "FILLED")


async def test_a_trade_the_exchange_may_have_is_not_rejected(desk: Desk) -> None:
    worker = await desk.start_leader(park_after_faults=2)
    bad, _ = await park(desk, worker)
    desk.gateway.states[bad] = gateway_pb.ORDER_STATE_PENDING

    with pytest.raises(grpc.aio.AioRpcError) as failed:
        await reject(desk, worker, bad)

    assert reason_of(failed.value) == "TRADE_WAS_SENT"
    assert failed.value.code() is grpc.StatusCode.FAILED_PRECONDITION
    assert desk.order.status(bad) == "IN_PROGRESS"
    assert bad not in desk.ledger.released
    (found,) = await parked(desk, worker)
    assert not found.is_condemned


async def test_what_was_rejected_is_not_sent_by_a_worker_that_stood_still_with_it_in_hand(
    desk: Desk,
) -> None:
    worker = await desk.start_leader(park_after_faults=2)
    bad_id = f"trade-{len(desk.order.rows) + 1}"
    desk.gateway.chokes_on.add(bad_id)
    bad = await desk.place("mallory")
    await eventually(lambda: parked(desk, worker))
    in_hand = desk.gateway.last_submit
    desk.gateway.chokes_on.clear()

    await reject(desk, worker, bad)
    await desk.gateway.SubmitOrders(in_hand, None)

    assert [order.trade_id for order in in_hand.orders] == [bad]
    assert desk.order.status(bad) == "REJECTED"
    assert bad not in desk.gateway.sent


async def test_a_rejection_whose_answer_was_lost_is_answered_as_done_to_whoever_asked(
    desk: Desk,
) -> None:
    worker = await desk.start_leader(park_after_faults=2)
    desk.open_exchange(worker)
    bad, behind = await park(desk, worker)
    desk.ledger.chokes_on.clear()
    await reject(desk, worker, bad)
    withdrawn = desk.gateway.faults.calls["CancelOrders"]

    await reject(desk, worker, bad)

    assert desk.gateway.faults.calls["CancelOrders"] == withdrawn
    assert desk.order.status(bad) == "REJECTED"
    await eventually(lambda: desk.order.status(behind) == "FILLED")
    with pytest.raises(grpc.aio.AioRpcError) as failed:
        await reject(desk, worker, behind)
    assert reason_of(failed.value) == "TRADE_NOT_PARKED"


async def test_what_the_gateway_did_not_withdraw_is_not_rejected(desk: Desk) -> None:
    worker = await desk.start_leader(park_after_faults=2)
    bad, _ = await park(desk, worker)
    desk.ledger.chokes_on.clear()
    partition = partition_of("mallory")
    epoch, desk.gateway.epochs[partition] = desk.gateway.epochs[partition], 1_000

    with pytest.raises(grpc.aio.AioRpcError) as failed:
        await reject(desk, worker, bad)  # its epoch passed just now

    assert failed.value.code() is grpc.StatusCode.UNAVAILABLE
    assert desk.order.status(bad) == "IN_PROGRESS"
    assert bad not in desk.gateway.withdrawn
    desk.gateway.epochs[partition] = epoch
    await reject(desk, worker, bad)
    assert desk.order.status(bad) == "REJECTED"
    assert bad in desk.gateway.withdrawn


async def test_a_rejection_that_was_cut_off_is_finished_by_the_next(desk: Desk) -> None:
    worker = await desk.start_leader(park_after_faults=2)
    desk.open_exchange(worker)
    bad, behind = await park(desk, worker)  # the ledger still chokes on it

    with pytest.raises(grpc.aio.AioRpcError) as failed:
        await reject(desk, worker, bad)
    assert failed.value.code() is grpc.StatusCode.UNAVAILABLE
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await release(desk, worker, bad)
    assert reason_of(refused.value) == "TRADE_NOT_PARKED"
    assert (await parked(desk, worker))[0].is_condemned
    desk.ledger.chokes_on.clear()
    await reject(desk, worker, bad)

    assert desk.order.status(bad) == "REJECTED"
    await eventually(lambda: desk.order.status(behind) == "FILLED")


async def test_what_is_not_parked_is_neither_released_nor_rejected(desk: Desk) -> None:
    worker = await desk.start_leader()
    trade_id = await desk.place("alice")
    await eventually(lambda: desk.gateway.sent == [trade_id])

    for call in (release, reject):
        with pytest.raises(grpc.aio.AioRpcError) as failed:
            await call(desk, worker, trade_id)
        assert reason_of(failed.value) == "TRADE_NOT_PARKED"
