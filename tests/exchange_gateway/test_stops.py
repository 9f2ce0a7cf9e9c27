"""A stop comes to the same end for its customer, whoever waits for its price: venue or house."""

from collections.abc import AsyncIterator, Callable

import pytest

from services.exchange_simulator.database import MIGRATIONS
from services.exchange_simulator.main import Settings, house
from stockbroker.common.v1 import terms_pb2 as terms
from stockbroker.common.v1.reason_pb2 import Reason
from stockbroker.exchange_gateway.v1 import exchange_gateway_service_pb2 as pb
from stockbroker.execution.v1 import execution_service_pb2 as execution_pb
from tests.exchange_gateway.conftest import Scene
from tests.exchange_gateway.replaces import a_replace, replace
from tests.exchange_gateway.stops import DOLLAR, SYMBOL, Phase, Pit, a_stop, a_stop_to_buy
from tests.exchange_gateway.test_cancels import a_cancel, cancel
from tests.exchange_simulator.member import Exchange
from tests.exchange_simulator.test_clock import STILL, set_clock
from tests.support.keys import Keys
from tests.support.wait import until

Ended = execution_pb.Report.Ended
SENT = ("accepted", "accepted")


@pytest.fixture(params=[False, True], ids=["venue", "house"])
async def pit(
    request: pytest.FixtureRequest, scene: Scene, new_database: Callable[..., str], keys: Keys
) -> AsyncIterator[Pit]:
    """An exchange at which only others trade."""
    settings = Settings(
        database_url=new_database(MIGRATIONS), jwks_file=keys.jwks_file, market_moves_per_second=0.0
    )
    async with house(settings) as rpc, Exchange(rpc.address, keys) as running:
        await running.ready()
        pit = Pit(scene, running, house_holds=request.param)
        await pit.open()
        yield pit
        assert pit.is_sound()


async def test_a_stop_waits_for_a_trade_at_its_price_and_never_for_a_quote(pit: Pit) -> None:
    sell, buy = a_stop(), a_stop_to_buy()
    async with pit.gateway() as gateway:
        for order in (sell, buy):
            await pit.place(gateway, order)
        await pit.trade(91, 109)
        [status, _] = await gateway.orders(sell.trade_id, buy.trade_id)
        assert status.state == pb.ORDER_STATE_ACCEPTED, "85 is bid, and nothing traded at 90"

        await pit.trade(90, 100)

        *_, fill = await pit.told(sell, *SENT, "filled")
        assert (fill.quantity, fill.price_micros, fill.is_last) == (30, 85 * DOLLAR, True)
        await pit.trade(110, 100)
        *_, fill = await pit.told(buy, *SENT, "filled")
        assert (fill.quantity, fill.price_micros, fill.is_last) == (10, 115 * DOLLAR, True)
        await until(gateway.has_delivered_all)


async def test_one_whose_price_traded_last_goes_at_once(pit: Pit) -> None:
    order = a_stop()
    async with pit.gateway() as gateway:
        await pit.trade(90)
        await gateway.submit(order)
        await pit.told(order, *SENT, "filled")


async def test_a_stop_limit_becomes_a_limit_order_that_rests_and_can_be_replaced(pit: Pit) -> None:
    order = a_stop(order_type=terms.ORDER_TYPE_STOP_LIMIT, limit_price_micros=89 * DOLLAR)
    async with pit.gateway() as gateway:
        await pit.place(gateway, order)
        await pit.trade(90)
        await pit.told(order, *SENT)
        asked = a_replace(order, quantity=40, stop_price_micros=90 * DOLLAR)
        asked.limit_price_micros = 88 * DOLLAR
        await replace(gateway, asked)
        await pit.told(order, *SENT, "replaced")
        other = a_replace(order, quantity=40, stop_price_micros=70 * DOLLAR)
        await replace(gateway, other)
        await pit.told(order, *SENT, "replaced", "replace_rejected")
        await until(gateway.has_delivered_all)  # it is told once more otherwise
    async with pit.gateway() as gateway:
        [again] = await gateway.submit(order)
        assert (again.reason, again.state) == (0, pb.ORDER_STATE_ACCEPTED)
        await cancel(gateway, a_cancel(order))
        await pit.told(order, *SENT, "replaced", "replace_rejected", "ended")


async def test_a_waiting_stop_is_replaced_and_then_canceled(pit: Pit) -> None:
    order, other = a_stop(), a_stop(stop_price_micros=80 * DOLLAR)
    async with pit.gateway() as gateway:
        for each in (order, other):
            await pit.place(gateway, each)
        asked = a_replace(order, quantity=20, stop_price_micros=95 * DOLLAR)
        asked.limit_price_micros = 0
        await replace(gateway, asked)
        _, replaced = await pit.told(order, "accepted", "replaced")
        assert (replaced.replace_id, replaced.quantity) == (asked.replace_id, 20)
        assert replaced.stop_price_micros == 95 * DOLLAR
        [again] = await replace(gateway, asked)
        assert (again.reason, again.never_sent) == (0, False)

        await pit.trade(95)

        *_, fill = await pit.told(order, "accepted", "replaced", "accepted", "filled")
        assert (fill.quantity, fill.is_last) == (20, True)
        await cancel(gateway, a_cancel(other), a_cancel(other))
        _, ended = await pit.told(other, "accepted", "ended")
        assert (ended.kind, ended.reason) == (
            Ended.KIND_CANCELED,
            Reason.REASON_CANCELED_BY_CUSTOMER,
        )
        [done] = await cancel(gateway, a_cancel(other))
        assert (done.state, done.never_sent) == (pb.ORDER_STATE_DONE, False)
        [late] = await replace(gateway, a_replace(other))
        assert late.never_sent


async def test_at_the_close_stops_for_the_day_expire_and_others_stay(pit: Pit) -> None:
    day, lasting = a_stop(time_in_force=terms.TIME_IN_FORCE_DAY), a_stop()
    async with pit.gateway() as gateway:
        for order in (day, lasting):
            await pit.place(gateway, order)

        await pit.set_phase(Phase.PHASE_NEXT_DAY)

        _, ended = await pit.told(day, "accepted", "ended")
        assert (ended.kind, ended.reason) == (Ended.KIND_EXPIRED, Reason.REASON_EXPIRED)
        tomorrow = a_stop(time_in_force=terms.TIME_IN_FORCE_DAY)
        await pit.place(gateway, tomorrow)
        await pit.trade(90)
        for order in (lasting, tomorrow):
            await pit.told(order, *SENT, "filled")


async def test_a_calendar_that_begins_to_count_ends_no_stop_of_the_day_in_progress(
    pit: Pit,
) -> None:
    today, waits = (a_stop(time_in_force=terms.TIME_IN_FORCE_DAY) for _ in range(2))
    waits.stop_price_micros = 80 * DOLLAR
    await set_clock(pit.exchange, at="2026-11-25T15:00:00", rate_millis=STILL)
    async with pit.gateway() as gateway:
        for order in (today, waits):
            await pit.place(gateway, order)
    await pit.set_phase(Phase.PHASE_BY_CALENDAR)
    await pit.trade(90)
    async with pit.gateway():
        await pit.told(today, *SENT, "filled")

        await set_clock(pit.exchange, next_close=True)

        await pit.told(waits, "accepted", "ended")


async def test_in_a_halt_and_after_the_close_no_stop_is_taken(pit: Pit) -> None:
    halted, closed, unknown = a_stop(), a_stop(), a_stop(symbol="NONE")
    async with pit.gateway() as gateway:
        await pit.exchange.halt(SYMBOL, is_halted=True)
        await gateway.submit(halted, unknown)
        await pit.set_phase(Phase.PHASE_CLOSED)
        await until(lambda: pit.scene.execution.told(halted.trade_id))
        await gateway.submit(closed)
        for order, reason in (
            (halted, Reason.REASON_SYMBOL_HALTED),
            (closed, Reason.REASON_MARKET_CLOSED),
            (unknown, Reason.REASON_UNKNOWN_SYMBOL),
        ):
            [ended] = await pit.told(order, "ended")
            assert (ended.kind, ended.reason) == (Ended.KIND_REJECTED, reason)


async def test_a_stop_that_would_cost_too_much_is_canceled(pit: Pit) -> None:
    order = a_stop_to_buy(max_notional_micros=1_149 * DOLLAR)
    async with pit.gateway() as gateway:
        await pit.place(gateway, order)
        await pit.trade(110)
        await until(lambda: len(pit.scene.execution.told(order.trade_id)) >= 2)
        ended = pit.scene.execution.told(order.trade_id)[-1].ended
        assert (ended.kind, ended.reason) == (
            Ended.KIND_CANCELED,
            Reason.REASON_INSUFFICIENT_FUNDS,
        )
    async with pit.gateway() as gateway:
        await until(gateway.has_delivered_all)


async def test_a_stop_to_buy_may_be_replaced_by_one_that_costs_more(pit: Pit) -> None:
    order = a_stop_to_buy(max_notional_micros=1_149 * DOLLAR)
    async with pit.gateway() as gateway:
        await pit.place(gateway, order)
        asked = a_replace(order, quantity=20, stop_price_micros=110 * DOLLAR)
        asked.limit_price_micros, asked.max_notional_micros = 0, 2_300 * DOLLAR
        await replace(gateway, asked)
        await pit.told(order, "accepted", "replaced")
        await until(gateway.has_delivered_all)
    async with pit.gateway() as gateway:
        await pit.trade(110)
        *_, fill = await pit.told(order, "accepted", "replaced", "accepted", "filled")
        assert (fill.quantity, fill.price_micros, fill.is_last) == (20, 115 * DOLLAR, True)
        await until(gateway.has_delivered_all)
