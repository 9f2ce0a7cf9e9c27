"""A DAY trade that could not be sent on its day has ended: nothing is held for it any more."""

from stockbroker.common.v1.reason_pb2 import Reason
from tests.execution.desk import Desk, eventually


async def test_a_trade_whose_day_was_over_before_it_was_sent_expires_and_the_next_goes_on(
    desk: Desk,
) -> None:
    worker = await desk.start_leader()
    desk.open_exchange(worker)
    desk.gateway.faults.is_away = True
    late, behind = await desk.place("alice"), await desk.place("alice")
    await eventually(lambda: late in desk.ledger.holds)
    desk.gateway.expires.add(late)

    desk.gateway.faults.is_away = False

    await eventually(lambda: desk.order.status(behind) == "FILLED")
    assert desk.order.status(late) == "EXPIRED"
    assert desk.order.trade(late).reason == Reason.REASON_EXPIRED
    assert late in desk.ledger.released
    assert desk.gateway.sent == [behind]


async def test_what_expires_is_told_although_the_ledger_is_away_for_a_while(desk: Desk) -> None:
    worker = await desk.start_leader()
    desk.open_exchange(worker)
    desk.ledger.faults.closed.add("ReleaseHolds")
    late = f"trade-{len(desk.order.rows) + 1}"
    desk.gateway.expires.add(late)
    assert await desk.place("alice") == late
    await eventually(lambda: desk.ledger.faults.calls["ReleaseHolds"] > 0)
    assert desk.order.status(late) == "IN_PROGRESS"

    desk.ledger.faults.closed.clear()

    await eventually(lambda: desk.order.status(late) == "EXPIRED")
    assert late in desk.ledger.released
