"""Orders at the exchange given other terms, on the whole running house; its books are exact."""

import asyncio
from collections.abc import Iterator

import grpc
import pytest
from tenacity import retry, retry_if_exception_type, stop_after_delay, wait_fixed

from libs.rpc.status import reason_of
from stockbroker.common.v1.reason_pb2 import Reason
from stockbroker.order.v1 import order_service_pb2 as pb
from stockbroker.order.v1.order_pb2 import TradeEventKind as Kind
from stockbroker.order.v1.order_pb2 import TradeStatus as Status
from tests.e2e import stops
from tests.e2e.changing import Replaces, a_scene
from tests.e2e.test_resting import CASH, CENT
from tests.support.app import DEADLINE_SECONDS, SELL
from tests.support.house import House, running_house
from tests.support.wait import until

pytestmark = pytest.mark.xdist_group("kills")

FILLED, CANCELED = Status.TRADE_STATUS_FILLED, Status.TRADE_STATUS_CANCELED


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    """A house of this module's own that holds stops itself, and parts of which are killed."""
    with running_house(tmp_path_factory.mktemp("replacing"), HOLDS_STOPS="true") as house:
        yield house


async def test_a_bid_is_replaced_up_and_down_and_holds_what_it_can_cost(house: House) -> None:
    async with a_scene(house) as scene:
        trade_id = await scene.bid(10, 1900)
        for asked, cents in (
            ({"quantity": 15}, 15 * 1900),
            ({"limit_price_micros": 1850 * CENT}, 15 * 1850),
            ({"quantity": 12, "limit_price_micros": 1950 * CENT}, 12 * 1950),
            ({"quantity": 5}, 5 * 1950),
        ):
            event = await scene.replace(trade_id, **asked)
            assert event.kind == Kind.TRADE_EVENT_KIND_REPLACED
            assert await scene.cash() == (CASH // CENT, cents)

        await scene.others(is_bid=False, cents=1950, quantity=5)
        trade = await scene.end(trade_id)
        assert (trade.status, trade.quantity, trade.filled_quantity) == (FILLED, 5, 5)
        assert await scene.cash() == (CASH // CENT - 5 * 1950, 0)


async def test_a_replaced_bid_that_meets_the_book_fills_there_and_saves_at_once(
    house: House,
) -> None:
    async with a_scene(house) as scene:
        trade_id = await scene.bid(10, 1900)
        await scene.others(is_bid=False, cents=1900, quantity=4)
        await scene.filled(trade_id, 4)
        assert await scene.cash() == (CASH // CENT - 4 * 1900, 6 * 1900)

        await scene.replace(trade_id, quantity=120, limit_price_micros=2100 * CENT)

        await scene.filled(trade_id, 104)  # 100 on offer at $20
        spent = 4 * 1900 + 100 * 2000
        assert await scene.cash() == (CASH // CENT - spent, 16 * 2100)
        await scene.cancel(trade_id)
        assert (await scene.end(trade_id)).status == CANCELED
        assert await scene.cash() == (CASH // CENT - spent, 0)


async def test_replaced_down_to_what_is_filled_it_ends_and_nothing_is_held(house: House) -> None:
    async with a_scene(house) as scene:
        trade_id = await scene.bid(10, 1900)
        await scene.others(is_bid=False, cents=1900, quantity=4)
        await scene.filled(trade_id, 4)

        await scene.replace(trade_id, quantity=3)

        trade = await scene.app.get(trade_id)
        assert (trade.status, trade.quantity, trade.filled_quantity) == (FILLED, 4, 4)

        async def is_free() -> bool:
            return await scene.cash() == (CASH // CENT - 4 * 1900, 0)

        await until(is_free)


async def test_an_offer_is_replaced_and_holds_the_shares(house: House) -> None:
    async with a_scene(house) as scene:
        trade_id = await scene.place(
            SELL, 30, order_type=2, limit_price_micros=2100 * CENT, time_in_force=2
        )
        await scene.replace(trade_id, quantity=80, limit_price_micros=2050 * CENT)
        position = (await scene.app.portfolio()).positions[0]
        assert position.held_quantity == 80
        event = await scene.replace(trade_id, quantity=101)
        assert event.refusal == Reason.REASON_INSUFFICIENT_SHARES
        position = (await scene.app.portfolio()).positions[0]
        assert position.held_quantity == 80


async def test_without_the_funds_it_is_refused_and_stands_as_before(house: House) -> None:
    async with a_scene(house) as scene:
        trade_id = await scene.bid(10, 1900)

        event = await scene.replace(trade_id, quantity=1_000_000)

        assert event.kind == Kind.TRADE_EVENT_KIND_REPLACE_REJECTED
        assert (event.refusal, event.cause) == (Reason.REASON_INSUFFICIENT_FUNDS, "house")
        trade = await scene.app.get(trade_id)
        assert (trade.status, trade.quantity) == (Status.TRADE_STATUS_IN_PROGRESS, 10)
        assert await scene.cash() == (CASH // CENT, 19_000)


async def test_what_ended_is_too_late_and_a_repeat_is_the_same_replace(house: House) -> None:
    async with a_scene(house) as scene:
        trade_id = await scene.bid(10, 1900)
        asked = [await scene.ask(trade_id, "again", quantity=12) for _ in range(3)]
        assert {each.trade_id for each in asked} == {trade_id}
        await scene.others(is_bid=False, cents=1800, quantity=200)
        trade = await scene.end(trade_id)
        assert trade.status == FILLED
        with pytest.raises(grpc.aio.AioRpcError) as refusal:
            await scene.ask(trade_id, quantity=20)
        assert reason_of(refusal.value) == "TOO_LATE_TO_REPLACE"
        assert len(await scene.answers(trade_id)) == 1


async def test_a_cancel_over_a_replace_ends_it_and_all_can_be_canceled(house: House) -> None:
    async with a_scene(house) as scene:
        trade_ids = [await scene.bid(1, 1900) for _ in range(6)]
        await asyncio.gather(*(scene.ask(each, quantity=3) for each in trade_ids))
        await asyncio.gather(*map(scene.cancel, trade_ids[:3]))
        answer = await scene.app.orders.CancelAllTrades(
            pb.CancelAllTradesRequest(), metadata=scene.app.metadata, timeout=DEADLINE_SECONDS
        )
        assert answer.canceled == 0
        assert answer.pending >= 3
        trades = [await scene.end(each) for each in trade_ids]
        assert {trade.status for trade in trades} == {CANCELED}
        for trade_id in trade_ids:
            trade = await scene.app.get(trade_id)
            assert not trade.HasField("pending_replace")
        assert await scene.cash() == (CASH // CENT, 0)


async def test_replaces_against_fills_end_in_one_true_way(house: House) -> None:
    async with a_scene(house) as scene:
        trade_ids = [await scene.bid(2, 1900) for _ in range(8)]

        await asyncio.gather(
            *(scene.ask(each, quantity=1 + number) for number, each in enumerate(trade_ids)),
            *(scene.others(is_bid=False, cents=1900, quantity=1) for _ in range(6)),
            return_exceptions=True,
        )

        async def is_quiet() -> bool:
            trades = [await scene.app.get(each) for each in trade_ids]
            return not any(trade.HasField("pending_replace") for trade in trades)

        await until(is_quiet)
        await asyncio.gather(*map(scene.cancel, trade_ids), return_exceptions=True)
        trades = [await scene.end(each) for each in trade_ids]
        filled = sum(trade.filled_quantity for trade in trades)

        async def is_free() -> bool:
            return await scene.cash() == (CASH // CENT - 1900 * filled, 0)

        await until(is_free)


@retry(
    retry=retry_if_exception_type(grpc.aio.AioRpcError),
    stop=stop_after_delay(60),
    wait=wait_fixed(0.1),
    reraise=True,
)
async def _insist(scene: Replaces, trade_id: str, name: str, quantity: int) -> None:
    await scene.ask(trade_id, name, quantity=quantity)


@pytest.mark.timeout(240)
@pytest.mark.parametrize("victim", ["execution", "exchange_gateway"])
async def test_replaces_go_on_after_kill_9(house: House, victim: str) -> None:
    async with a_scene(house) as scene:
        trade_ids = [await scene.bid(2, 1900) for _ in range(6)]
        asking = [
            asyncio.create_task(_insist(scene, each, f"new-{each}", 3 + number))
            for number, each in enumerate(trade_ids)
        ]
        await asking[0]
        house.kill(victim)
        await asyncio.gather(*asking)

        async def are_replaced() -> bool:
            trades = [await scene.app.get(each) for each in trade_ids]
            return [trade.quantity for trade in trades] == [3, 4, 5, 6, 7, 8]

        await until(are_replaced, seconds=90)
        assert await scene.cash() == (CASH // CENT, 33 * 1900)
        await scene.others(is_bid=False, cents=1900, quantity=33)
        trades = [await scene.end(each) for each in trade_ids]
        assert {trade.status for trade in trades} == {FILLED}
        assert await scene.cash() == (CASH // CENT - 33 * 1900, 0)
        assert {(await scene.app.get(each)).client_order_id for each in trade_ids} == {
            f"new-{each}" for each in trade_ids
        }


async def test_a_stop_that_the_house_holds_waits_for_its_price_and_then_sells(house: House) -> None:
    async with a_scene(house) as scene:
        await stops.sells_once_its_price_trades(scene, by_house=True)


async def test_a_stop_to_buy_is_replaced_by_one_that_costs_more(house: House) -> None:
    async with a_scene(house) as scene:
        await stops.is_replaced_and_holds_what_it_may_cost(scene)


@pytest.mark.timeout(240)
async def test_held_stops_are_triggered_once_whenever_the_gateway_is_killed(house: House) -> None:
    async with a_scene(house) as scene:
        await stops.calm(scene)
        trade_ids = [await stops.waits_to_sell(scene, 10) for _ in range(8)]
        await scene.others(is_bid=True, cents=1850, quantity=1)
        await scene.others(is_bid=False, cents=1850, quantity=1)
        house.kill("exchange_gateway")
        trades = [await scene.end(trade_id) for trade_id in trade_ids]
        assert [(trade.status, trade.filled_quantity) for trade in trades] == [(FILLED, 10)] * 8
        position = (await scene.app.portfolio()).positions[0]
        assert (position.quantity, position.held_quantity) == (20, 0)
