"""Controls that look at a customer's other orders."""

import asyncio
from typing import Any

import pytest

from stockbroker.order.v1 import control_pb2 as pb
from stockbroker.order.v1 import order_service_pb2
from tests.order.client import Order, accepted, canceled, rejected
from tests.order.conftest import MakeHouse
from tests.order.controlled import DOLLAR, PLACED, SELL, a_limit, reason_of_trade
from tests.support.wait import until


async def test_the_same_order_under_another_id_is_rejected_and_names_the_first(
    order: Order,
) -> None:
    await order.set_control(pb.CONTROL_DUPLICATE_ORDER, seconds=3600)
    first = await order.place()

    again = await order.place()

    assert reason_of_trade(again) == "DUPLICATE_ORDER"
    assert first.trade_id in again.reason_text
    explained = await order.explain("alice", again.trade_id)
    assert [each.other_trade_id for each in explained.checks if each.other_trade_id] == [
        first.trade_id
    ]
    for other in ({"quantity": 101}, {"symbol": "MSFT"}, SELL, a_limit(10)):
        assert reason_of_trade(await order.place(**other)) == ""
    assert reason_of_trade(await order.place("bob")) == ""


async def test_an_order_may_be_placed_again_after_the_first_was_rejected(order: Order) -> None:
    await order.set_control(pb.CONTROL_DUPLICATE_ORDER, seconds=3600)
    first = await order.place()
    await order.claim_as_leader("alice")
    await order.apply(rejected(first.trade_id))

    assert reason_of_trade(await order.place()) == ""
    assert reason_of_trade(await order.place()) == "DUPLICATE_ORDER"


async def test_of_many_equal_orders_at_once_one_goes_through(order: Order) -> None:
    await order.set_control(pb.CONTROL_DUPLICATE_ORDER, seconds=3600)

    trades = await asyncio.gather(*(order.place() for _ in range(40)))

    assert sorted(map(reason_of_trade, trades)) == ["", *39 * ["DUPLICATE_ORDER"]]


async def test_equal_orders_at_two_processes_are_still_one(make_house: MakeHouse) -> None:
    async with make_house() as one, make_house() as other:
        await one.set_control(pb.CONTROL_DUPLICATE_ORDER, seconds=3600)
        await until(_knows(other, 1), what="the peer knows the setting")
        trades = await asyncio.gather(*(each.place() for each in (one, other) for _ in range(10)))
    assert sorted(map(reason_of_trade, trades)) == ["", *19 * ["DUPLICATE_ORDER"]]


def _knows(order: Order, version: int) -> Any:
    """Whether a process decides under that version, without asking it to read it."""

    async def knows() -> bool:
        trade = await order.place("probe", symbol="BRK.B")
        return (await order.explain("probe", trade.trade_id)).settings_version == version

    return knows


async def test_an_order_that_meets_ones_own_resting_order_is_rejected(order: Order) -> None:
    await order.set_control(pb.CONTROL_SELF_TRADE)
    resting = await order.place(**a_limit(10, **SELL))

    met = [await order.place(**terms) for terms in (a_limit(10), a_limit(11), {})]

    assert {reason_of_trade(each) for each in met} == {"SELF_TRADE"}
    assert all(resting.trade_id in each.reason_text for each in met)
    for terms in (a_limit(9), a_limit(10, **SELL), a_limit(12, symbol="MSFT")):
        assert reason_of_trade(await order.place(**terms)) == ""
    assert reason_of_trade(await order.place("bob", **a_limit(11))) == ""


async def test_an_own_order_that_has_ended_is_met_by_nobody(order: Order) -> None:
    resting = await order.place(**a_limit(10, **SELL))  # before the control was set
    await order.set_control(pb.CONTROL_SELF_TRADE)
    assert reason_of_trade(await order.place(**a_limit(10))) == "SELF_TRADE"

    await order.claim_as_leader("alice")
    await order.apply(canceled(resting.trade_id))

    assert reason_of_trade(await order.place(**a_limit(10))) == ""


async def test_two_orders_at_once_cannot_meet_each_other(order: Order) -> None:
    await order.set_control(pb.CONTROL_SELF_TRADE)
    asked = [a_limit(10, **side) for side in ({}, SELL) for _ in range(10)]

    trades = await asyncio.gather(*(order.place(**terms) for terms in asked))

    sides = {trade.side for trade in trades if trade.status == PLACED}
    assert len(sides) == 1


async def test_two_replaces_at_once_cannot_meet_each_other(order: Order) -> None:
    await order.set_control(pb.CONTROL_SELF_TRADE)
    bids = [await order.place(**a_limit(10)) for _ in range(10)]
    asks = [await order.place(**a_limit(14, **SELL)) for _ in range(10)]

    pairs = zip(bids, asks, strict=True)
    asked = [_replace(order, trade.trade_id, 12) for pair in pairs for trade in pair]
    await asyncio.gather(*asked, return_exceptions=True)

    limits = {
        side: {(await order.get("alice", each.trade_id)).limit_price_micros for each in trades}
        for side, trades in (("bids", bids), ("asks", asks))
    }
    assert max(limits["bids"]) < min(limits["asks"])
    assert 12 * DOLLAR in limits["bids"] | limits["asks"]


def _replace(order: Order, trade_id: str, dollars: int) -> Any:
    """Ask for another limit."""
    request = order_service_pb2.ReplaceTradeRequest(
        trade_id=trade_id, limit_price_micros=dollars * DOLLAR
    )
    return order.trades.ReplaceTrade(request, **order.as_customer("alice"))


@pytest.mark.parametrize("other", [10, 14])
async def test_an_order_that_is_being_replaced_is_met_at_either_limit(
    order: Order, other: int
) -> None:
    await order.set_control(pb.CONTROL_SELF_TRADE)
    resting = await order.place(**a_limit(12, **SELL))
    await order.claim_as_leader("alice")
    await order.apply(accepted(resting.trade_id))
    await _replace(order, resting.trade_id, other)

    lower, upper = sorted((12, other))
    assert reason_of_trade(await order.place(**a_limit(upper))) == "SELF_TRADE"
    assert reason_of_trade(await order.place(**a_limit(lower))) == "SELF_TRADE"
    assert reason_of_trade(await order.place(**a_limit(lower - 1))) == ""
