"""Controls that look at what an order is worth, and at the market."""

from typing import Any

import pytest

from stockbroker.common.v1.terms_pb2 import OrderType
from stockbroker.order.v1 import control_pb2 as pb
from tests.order.client import Order
from tests.order.conftest import ListingGateway, MakeHouse
from tests.order.controlled import DOLLAR, PLACED, REJECTED, a_limit, outcomes, reason_of_trade
from tests.support.wait import until


async def test_an_order_worth_too_much_is_rejected(order: Order) -> None:
    await order.set_control(pb.CONTROL_MAX_NOTIONAL, limit=1000 * DOLLAR)
    assert reason_of_trade(await order.place(**a_limit(10))) == ""
    assert reason_of_trade(await order.place(**a_limit(11))) == "ORDER_NOTIONAL_LIMIT"
    stop: dict[str, Any] = {
        "order_type": OrderType.ORDER_TYPE_STOP,
        "stop_price_micros": 11 * DOLLAR,
    }
    assert reason_of_trade(await order.place(**stop)) == "ORDER_NOTIONAL_LIMIT"


async def test_a_price_outside_the_collar_is_rejected(
    order: Order, gateway: tuple[ListingGateway, str]
) -> None:
    gateway[0].last_prices["AAPL"] = 100 * DOLLAR
    await order.set_control(pb.CONTROL_PRICE_COLLAR, limit=500)

    placed = {dollars: await order.place(**a_limit(dollars)) for dollars in (94, 95, 105, 106)}

    assert [dollars for dollars, trade in placed.items() if trade.status == REJECTED] == [94, 106]
    assert reason_of_trade(placed[106]) == "PRICE_COLLAR"
    explained = await order.explain("alice", placed[106].trade_id)
    (check,) = [each for each in explained.checks if each.control == pb.CONTROL_PRICE_COLLAR]
    assert (check.last_price_micros, check.observed, check.setting.limit) == (
        100 * DOLLAR,
        600,
        500,
    )
    assert check.last_price_age.ToMilliseconds() < 60_000


async def test_a_setting_is_in_force_with_the_prices_it_needs(
    make_house: MakeHouse, gateway: tuple[ListingGateway, str]
) -> None:
    gateway[0].last_prices["AAPL"] = 100 * DOLLAR
    async with make_house(quotes_refresh_seconds=3600) as order:
        await order.set_control(pb.CONTROL_PRICE_COLLAR, limit=500)
        assert (await order.place(**a_limit(100))).status == PLACED


async def test_before_the_first_trade_the_middle_of_the_market_is_the_last_price(
    order: Order, gateway: tuple[ListingGateway, str]
) -> None:
    gateway[0].best["AAPL"] = (99 * DOLLAR, 101 * DOLLAR)
    await order.set_control(pb.CONTROL_PRICE_COLLAR, limit=500)
    assert (await order.place(**a_limit(105))).status == PLACED
    assert reason_of_trade(await order.place(**a_limit(106))) == "PRICE_COLLAR"


@pytest.mark.parametrize("passes", [False, True])
async def test_without_a_last_price_a_setting_says_whether_a_trade_passes(
    order: Order, passes: bool
) -> None:
    terms = {"limit": 500, "passes_without_price": passes}
    await order.set_control(pb.CONTROL_PRICE_COLLAR, **terms)
    trade = await order.place(**a_limit(100))
    assert reason_of_trade(trade) == ("" if passes else "LAST_PRICE_UNKNOWN")
    explained = await order.explain("alice", trade.trade_id)
    word = "PASSED_WITHOUT_PRICE" if passes else "FAILED"
    assert outcomes(explained) == {"PRICE_COLLAR": word}


async def test_a_price_that_has_grown_old_is_said_to_be_so(
    order: Order, gateway: tuple[ListingGateway, str]
) -> None:
    gateway[0].last_prices["AAPL"] = 100 * DOLLAR
    await order.set_control(pb.CONTROL_PRICE_COLLAR, limit=500, seconds=1)
    assert reason_of_trade(await order.place(**a_limit(100))) == ""
    gateway[0].is_away = True

    async def is_too_old() -> bool:
        return reason_of_trade(await order.place(**a_limit(100))) == "LAST_PRICE_UNKNOWN"

    await until(is_too_old, what="the price is too old")
    gateway[0].is_away = False
    await until(_is_let_through(order), what="the price is heard again")


def _is_let_through(order: Order) -> Any:
    async def is_let_through() -> bool:
        return (await order.place(**a_limit(100))).status == PLACED

    return is_let_through


async def test_a_new_price_is_used_without_anybody_asking_per_trade(
    order: Order, gateway: tuple[ListingGateway, str]
) -> None:
    await order.place()
    assert gateway[0].asked_for_prices == 0  # nobody needs prices
    gateway[0].last_prices["AAPL"] = 100 * DOLLAR
    await order.set_control(pb.CONTROL_MAX_NOTIONAL, limit=10_000 * DOLLAR)
    assert (await order.place()).status == PLACED
    gateway[0].last_prices["AAPL"] = 101 * DOLLAR

    async def is_too_much() -> bool:
        return reason_of_trade(await order.place()) == "ORDER_NOTIONAL_LIMIT"

    await until(is_too_much, what="the new price is known")
