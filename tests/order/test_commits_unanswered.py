"""A commit whose answer was lost: what was done is answered, and is not done again."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from stockbroker.order.v1 import control_pb2
from tests.ledger.wire_cutter import WireCutter
from tests.order.client import Order
from tests.order.conftest import MakeHouse
from tests.order.test_parking import ALICE, condemn, fail, park, parked, recorded, release


@asynccontextmanager
async def cuttable(make_house: MakeHouse, url: str) -> AsyncIterator[tuple[Order, WireCutter]]:
    """An order service whose way to the database can be cut."""
    async with WireCutter(url) as wire, make_house(database_url=wire.url) as order:
        yield order, wire


async def test_a_release_is_answered_and_recorded_once(
    make_house: MakeHouse, postgres_url: str
) -> None:
    async with cuttable(make_house, postgres_url) as (order, wire):
        trade_id, _ = await park(order)
        wire.cut_after_commit(of="order-apply")

        answer = await release(order, trade_id)

        assert (answer.trade.trade_id, wire.cuts) == (trade_id, 1)
        assert not await parked(order)
    assert [action for action, *_ in await recorded(postgres_url)] == ["park", "release"]


async def test_a_decision_to_reject_is_recorded_once(
    make_house: MakeHouse, postgres_url: str
) -> None:
    async with cuttable(make_house, postgres_url) as (order, wire):
        trade_id, _ = await park(order)
        wire.cut_after_commit(of="order-apply")

        await condemn(order, trade_id)

        assert wire.cuts == 1
        assert (await parked(order))[0].is_condemned
    assert [action for action, *_ in await recorded(postgres_url)] == ["park", "condemn"]


async def test_a_setting_is_recorded_once(make_house: MakeHouse, postgres_url: str) -> None:
    async with cuttable(make_house, postgres_url) as (order, wire):
        wire.cut_after_commit(of="order-apply")

        setting = await order.set_control(control_pb2.CONTROL_MAX_QUANTITY, limit=10)

        assert (setting.version, wire.cuts) == (1, 1)
        assert (await order.list_controls(history=True)).version == 1


async def test_a_fault_counts_once_and_what_it_came_to_is_told(
    make_house: MakeHouse, postgres_url: str
) -> None:
    async with make_house() as order:
        trade_id = (await order.place("alice")).trade_id
        epochs = await order.lead([ALICE])
        results = []
        for _ in range(3):
            (claimed,) = (await order.claim(epochs, "alice")).trades
            async with cuttable(make_house, postgres_url) as (other, wire):
                wire.cut_after_commit(of="order-claim")
                attempt = claimed.attempts
                results.append(await fail(other, epochs, trade_id=trade_id, attempt=attempt))
                assert wire.cuts == 1

        assert [(each.faults, each.is_parked) for each in results] == [
            (1, False),
            (2, False),
            (3, True),
        ]
    assert [action for action, *_ in await recorded(postgres_url)] == ["park"]
