"""What is set, for whom, since when, and who may."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from google.protobuf.timestamp_pb2 import Timestamp

from stockbroker.order.v1 import control_pb2 as pb
from stockbroker.order.v1 import order_control_service_pb2 as control_service_pb
from stockbroker.order.v1 import order_service_pb2
from tests.order.client import Order, refused
from tests.order.conftest import MakeHouse
from tests.order.controlled import PLACED, REJECTED, reason_of_trade
from tests.support.wait import until


@pytest.mark.parametrize(
    ("scope", "stopped"),
    [
        ({"symbol": "MSFT"}, [("alice", "MSFT"), ("bob", "MSFT")]),
        ({"symbol": "MSFT", "customer_id": "bob"}, [("bob", "MSFT")]),
    ],
)
async def test_a_restricted_symbol_is_for_all_or_for_one(
    order: Order, scope: dict[str, str], stopped: list[tuple[str, str]]
) -> None:
    await order.set_control(pb.CONTROL_RESTRICTED_SYMBOL, **scope)
    asked = [(customer, symbol) for customer in ("alice", "bob") for symbol in ("AAPL", "MSFT")]

    trades = {each: await order.place(each[0], symbol=each[1]) for each in asked}

    assert [each for each in asked if trades[each].status == REJECTED] == stopped
    assert {reason_of_trade(trades[each]) for each in stopped} == {"SYMBOL_RESTRICTED"}


async def test_a_customer_exempt_from_a_restriction_trades(order: Order) -> None:
    await order.set_control(pb.CONTROL_RESTRICTED_SYMBOL, symbol="MSFT")
    exempt: dict[str, Any] = {
        "symbol": "MSFT",
        "customer_id": "bob",
        "action": pb.CONTROL_ACTION_EXEMPT,
    }
    await order.set_control(pb.CONTROL_RESTRICTED_SYMBOL, **exempt)
    assert reason_of_trade(await order.place("bob", symbol="MSFT")) == ""
    assert reason_of_trade(await order.place("alice", symbol="MSFT")) == "SYMBOL_RESTRICTED"


async def test_the_most_specific_limit_wins_and_may_be_taken_back(order: Order) -> None:
    for number, scope in enumerate(
        (
            {},
            {"symbol": "AAPL"},
            {"customer_id": "alice"},
            {"customer_id": "alice", "symbol": "AAPL"},
        )
    ):
        await order.set_control(pb.CONTROL_MAX_QUANTITY, limit=10 * (number + 1), **scope)

    async def limit_of(customer: str, symbol: str) -> int:
        trade = await order.place(customer, symbol=symbol, quantity=1)
        explained = await order.explain(customer, trade.trade_id)
        return next(each.setting.limit for each in explained.checks if each.setting.limit)

    asked = [("alice", "AAPL"), ("alice", "MSFT"), ("bob", "AAPL"), ("bob", "MSFT")]
    assert [await limit_of(*each) for each in asked] == [40, 30, 20, 10]
    gone: dict[str, Any] = {
        "customer_id": "alice",
        "symbol": "AAPL",
        "action": pb.CONTROL_ACTION_WITHDRAW,
    }
    await order.set_control(pb.CONTROL_MAX_QUANTITY, **gone)
    assert await limit_of("alice", "AAPL") == 30


async def test_a_peer_decides_by_a_new_setting_without_being_told(make_house: MakeHouse) -> None:
    async with make_house() as one, make_house() as other:
        await one.set_control(pb.CONTROL_RESTRICTED_SYMBOL, symbol="MSFT")

        async def stops() -> bool:
            return (await other.place(symbol="MSFT")).status == REJECTED

        await until(stops, what="the peer stops it")


async def test_settings_survive_a_restart_and_keep_their_history(make_house: MakeHouse) -> None:
    async with make_house() as order:
        await order.set_control(pb.CONTROL_MAX_QUANTITY, limit=10, reason_text="the first")
        await order.set_control(pb.CONTROL_MAX_QUANTITY, limit=20, reason_text="the second")
    async with make_house() as order:
        assert reason_of_trade(await order.place(quantity=21)) == "ORDER_QUANTITY_LIMIT"
        now, history = await order.list_controls(), await order.list_controls(history=True)
    assert [each.limit for each in now.settings] == [20]
    told = [(each.version, each.limit, each.reason_text) for each in history.settings]
    assert told == [(2, 20, "the second"), (1, 10, "the first")]
    assert {each.actor for each in history.settings} == {"olivia"}


async def test_a_setting_of_tomorrow_is_listed_and_not_in_force_today(order: Order) -> None:
    tomorrow = Timestamp()
    tomorrow.FromDatetime(datetime.now(UTC) + timedelta(days=1))
    await order.set_control(pb.CONTROL_MAX_QUANTITY, limit=1, effective_at=tomorrow)
    assert (await order.place()).status == PLACED
    (setting,) = (await order.list_controls()).settings
    assert setting.effective_at == tomorrow


@pytest.mark.parametrize(
    "terms",
    [
        {"control": pb.CONTROL_UNSPECIFIED},
        {"control": 99},
        {"control": pb.CONTROL_MAX_QUANTITY},
        {"control": pb.CONTROL_MAX_QUANTITY, "limit": -1},
        {"control": pb.CONTROL_MAX_QUANTITY, "limit": 1, "seconds": 1},
        {"control": pb.CONTROL_MAX_QUANTITY, "limit": 1, "passes_without_price": True},
        {"control": pb.CONTROL_MAX_QUANTITY, "limit": 1, "action": 99},
        {"control": pb.CONTROL_MAX_QUANTITY, "limit": 1, "action": pb.CONTROL_ACTION_EXEMPT},
        {"control": pb.CONTROL_MAX_QUANTITY, "limit": 1, "effective_at": Timestamp(seconds=1)},
        {"control": pb.CONTROL_MAX_QUANTITY, "limit": 1, "reason_text": " "},
        {"control": pb.CONTROL_DUPLICATE_ORDER},
        {"control": pb.CONTROL_DUPLICATE_ORDER, "seconds": 90_000},
        {"control": pb.CONTROL_CUSTOMER_RATE, "limit": 1, "seconds": 1, "symbol": "AAPL"},
        {"control": pb.CONTROL_SYMBOL_RATE, "limit": 1, "seconds": 1, "customer_id": "bob"},
        {"control": pb.CONTROL_RESTRICTED_SYMBOL},
        {"control": pb.CONTROL_SELF_TRADE, "limit": 1},
    ],
)
async def test_a_setting_that_makes_no_sense_is_refused(
    order: Order, terms: dict[str, Any]
) -> None:
    assert await refused(order.set_control(**terms)) == ("INVALID_ARGUMENT", "INVALID_REQUEST")
    assert (await order.list_controls(history=True)).version == 0


async def test_only_operators_set_controls_and_only_the_owner_has_a_trade_explained(
    order: Order,
) -> None:
    trade = await order.place()
    request = order_service_pb2.ExplainTradeRequest(trade_id=trade.trade_id)
    explained = await order.trades.ExplainTrade(request, **order.as_operator())
    assert explained.is_accepted
    assert len(explained.checks) == len(pb.Control.values()) - 1
    assert await refused(order.explain("bob", trade.trade_id)) == ("NOT_FOUND", "TRADE_NOT_FOUND")
    calls = (
        order.controls.SetControl(
            control_service_pb.SetControlRequest(), **order.as_customer("bob")
        ),
        order.controls.ListControls(
            control_service_pb.ListControlsRequest(), **order.as_customer("bob")
        ),
    )
    for call in calls:
        assert await refused(call) == ("PERMISSION_DENIED", "PERMISSION_DENIED")
