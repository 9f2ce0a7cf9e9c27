"""Each control by its name, through the real door."""

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any, cast

import grpc
import pytest
from google.protobuf.timestamp_pb2 import Timestamp
from google.rpc import error_details_pb2
from grpc_status import rpc_status

from libs.rpc.status import metadata_of, reason_of
from stockbroker.common.v1.reason_pb2 import Reason
from stockbroker.common.v1.terms_pb2 import OrderType, Side, TimeInForce
from stockbroker.order.v1 import control_pb2 as pb
from stockbroker.order.v1 import order_control_service_pb2 as control_service_pb
from stockbroker.order.v1 import order_pb2, order_service_pb2
from tests.order.client import Order, accepted, an_order, canceled, refused, rejected
from tests.order.conftest import ListingGateway, MakeHouse
from tests.support.wait import until

DOLLAR = 1_000_000
REJECTED = order_pb2.TRADE_STATUS_REJECTED
PLACED = order_pb2.TRADE_STATUS_PLACED
SELL: dict[str, Any] = {"side": Side.SIDE_SELL}


def a_limit(dollars: int, **changes: Any) -> dict[str, Any]:
    """To rest on the book at that price."""
    terms = {
        "order_type": OrderType.ORDER_TYPE_LIMIT,
        "limit_price_micros": dollars * DOLLAR,
        "time_in_force": TimeInForce.TIME_IN_FORCE_GTC,
    }
    return {**terms, **changes}


def outcomes(explained: order_service_pb2.ExplainTradeResponse) -> dict[str, str]:
    """What each control said, those that said nothing left out."""
    told = {
        pb.Control.Name(each.control).removeprefix("CONTROL_"): pb.ControlOutcome.Name(
            each.outcome
        ).removeprefix("CONTROL_OUTCOME_")
        for each in explained.checks
    }
    return {control: word for control, word in told.items() if word != "NOT_LIMITED"}


def reason_of_trade(trade: order_pb2.Trade) -> str:
    """REJECTED trades alone have one here."""
    return Reason.Name(trade.reason).removeprefix("REASON_") if trade.status == REJECTED else ""


async def test_an_order_with_too_many_shares_is_rejected_and_explained(order: Order) -> None:
    setting = await order.set_control(pb.CONTROL_MAX_QUANTITY, limit=99)

    trade = await order.place(quantity=100)

    assert reason_of_trade(trade) == "ORDER_QUANTITY_LIMIT"
    assert trade.reason_text == "100 shares are more than the 99 an order may have"
    explained = await order.explain("alice", trade.trade_id)
    assert not explained.is_accepted
    assert explained.settings_version == setting.version == 1
    assert outcomes(explained) == {"MAX_QUANTITY": "FAILED"}
    (check,) = [each for each in explained.checks if each.control == pb.CONTROL_MAX_QUANTITY]
    assert (check.observed, check.setting.limit, check.setting.version) == (100, 99, 1)
    assert reason_of_trade(await order.place(quantity=99)) == ""


async def test_a_rejected_trade_has_its_two_events_and_no_turn(order: Order) -> None:
    await order.set_control(pb.CONTROL_MAX_QUANTITY, limit=99)
    bad = await order.place(quantity=100)
    good = await order.place(quantity=99)

    events = await order.events("alice", bad.trade_id)
    assert [(each.seq, each.kind, each.cause) for each in events] == [
        (1, order_pb2.TRADE_EVENT_KIND_PLACED, "customer"),
        (2, order_pb2.TRADE_EVENT_KIND_REJECTED, "house"),
    ]
    assert await order.get("alice", bad.trade_id) == bad
    (claimed,) = await order.claim_as_leader("alice")
    assert claimed.trade.trade_id == good.trade_id


async def test_a_repeated_call_gets_the_rejection_again_whatever_is_set_since(
    order: Order,
) -> None:
    await order.set_control(pb.CONTROL_MAX_QUANTITY, limit=99)
    first = await order.place(client_order_id="mine")
    await order.set_control(pb.CONTROL_MAX_QUANTITY, limit=1000)

    assert await order.place(client_order_id="mine") == first
    assert reason_of_trade(first) == "ORDER_QUANTITY_LIMIT"
    before = await order.explain("alice", first.trade_id)
    assert before.settings_version == 1
    assert not before.is_accepted


async def place_together(order: Order, *asked: dict[str, Any]) -> list[str]:
    """Orders of alice in one batch; the reason of each that is recorded as rejected."""
    items = [order_service_pb2.PlaceTradesRequest.Item(trade=an_order(**terms)) for terms in asked]
    stream = order.trades.PlaceTrades(**order.as_customer("alice"))
    await stream.write(order_service_pb2.PlaceTradesRequest(items=items))
    answer = await stream.read()
    await stream.done_writing()
    reasons = [each.placed.reason for each in answer.results]
    return [Reason.Name(each).removeprefix("REASON_") if each else "" for each in reasons]


async def test_a_rejection_is_told_on_the_batch_door_too(order: Order) -> None:
    await order.set_control(pb.CONTROL_RESTRICTED_SYMBOL, symbol="MSFT")
    reasons = await place_together(order, {"symbol": "AAPL"}, {"symbol": "MSFT"})
    assert reasons == ["", "SYMBOL_RESTRICTED"]


async def test_orders_of_one_batch_are_held_against_each_other(order: Order) -> None:
    await order.set_control(pb.CONTROL_DUPLICATE_ORDER, seconds=3600)
    await order.set_control(pb.CONTROL_SELF_TRADE)
    sell, buy = a_limit(10, **SELL), a_limit(10)
    reasons = await place_together(order, sell, sell, buy, a_limit(9))
    assert reasons == ["", "DUPLICATE_ORDER", "SELF_TRADE", ""]


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


@pytest.mark.parametrize("control", [pb.CONTROL_CUSTOMER_RATE, pb.CONTROL_SYMBOL_RATE])
async def test_more_orders_than_the_rate_are_refused_with_the_time_to_wait(
    order: Order, control: pb.Control.ValueType
) -> None:
    await order.set_control(control, limit=3, seconds=3600)
    for number in range(3):
        await order.place(client_order_id=str(number))

    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await order.place(client_order_id="one too many")

    assert caught.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
    assert reason_of(caught.value) == "ORDER_RATE_LIMIT"
    assert metadata_of(caught.value)["control"] == pb.Control.Name(control)[len("CONTROL_") :]
    assert 0 < _retry_seconds(caught.value) <= 1200
    listed = await order.page("alice")
    assert [trade.client_order_id for trade in listed.trades] == ["2", "1", "0"]
    assert (await order.place(client_order_id="1")).trade_id == listed.trades[1].trade_id
    other = {"customer": "bob"} if control == pb.CONTROL_CUSTOMER_RATE else {"symbol": "MSFT"}
    assert (await order.place(**other)).status == PLACED


def _retry_seconds(error: grpc.aio.AioRpcError) -> float:
    status = rpc_status.from_call(cast(grpc.Call, error))
    info = error_details_pb2.RetryInfo()
    assert status is not None
    assert any(detail.Unpack(info) for detail in status.details)
    return float(info.retry_delay.ToTimedelta().total_seconds())


async def test_of_many_orders_at_once_as_many_as_the_rate_go_through(order: Order) -> None:
    await order.set_control(pb.CONTROL_CUSTOMER_RATE, limit=7, seconds=3600)
    results = await asyncio.gather(*(order.place() for _ in range(40)), return_exceptions=True)
    assert sum(isinstance(each, order_pb2.Trade) for each in results) == 7


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


async def test_an_order_that_is_being_replaced_is_met_at_either_limit(order: Order) -> None:
    await order.set_control(pb.CONTROL_SELF_TRADE)
    resting = await order.place(**a_limit(12, **SELL))
    await order.claim_as_leader("alice")
    await order.apply(accepted(resting.trade_id))
    lower = order_service_pb2.ReplaceTradeRequest(
        trade_id=resting.trade_id, client_order_id="lower", limit_price_micros=10 * DOLLAR
    )
    await order.trades.ReplaceTrade(lower, **order.as_customer("alice"))

    assert reason_of_trade(await order.place(**a_limit(12))) == "SELF_TRADE"
    assert reason_of_trade(await order.place(**a_limit(10))) == "SELF_TRADE"
    assert reason_of_trade(await order.place(**a_limit(9))) == ""
