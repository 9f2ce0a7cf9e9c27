"""What would become of a trade, through the real door."""

import itertools
from typing import Any

import grpc
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from libs.rpc.status import reason_of
from stockbroker.common.v1.reason_pb2 import Reason
from stockbroker.common.v1.terms_pb2 import OrderType, Side, TimeInForce
from stockbroker.exchange_gateway.v1 import market_pb2
from stockbroker.order.v1 import control_pb2 as pb
from stockbroker.order.v1 import order_pb2, order_service_pb2
from tests.order.client import Order, refused
from tests.order.conftest import ListingGateway, SmallLedger

DOLLAR = 1_000_000
_numbers = itertools.count(1)
SELL: dict[str, Any] = {"side": Side.SIDE_SELL}


def a_limit(dollars: int, **changes: Any) -> dict[str, Any]:
    """To rest on the book at that price."""
    terms = {
        "order_type": OrderType.ORDER_TYPE_LIMIT,
        "limit_price_micros": dollars * DOLLAR,
        "time_in_force": TimeInForce.TIME_IN_FORCE_GTC,
    }
    return {**terms, **changes}


def word(reason: Reason.ValueType) -> str:
    """Empty for none."""
    return Reason.Name(reason).removeprefix("REASON_") if reason else ""


@pytest.fixture(autouse=True)
def book(gateway: tuple[ListingGateway, str]) -> None:
    """50 shares at $10 and 100 at $11 offered, 60 at $9 asked for."""
    levels = [
        market_pb2.PriceLevel(price_micros=p * DOLLAR, quantity=q) for p, q in [(10, 50), (11, 100)]
    ]
    bid = market_pb2.PriceLevel(price_micros=9 * DOLLAR, quantity=60)
    gateway[0].book = market_pb2.GetBookResponse(bids=[bid], asks=levels)


@pytest.mark.parametrize(
    ("terms", "available", "hold", "estimate", "reason"),
    [
        ({}, 1050, 1050, (100, 1050), ""),
        ({}, 1049, 1049, (100, 1050), "INSUFFICIENT_FUNDS"),
        ({}, 0, 0, (100, 1050), "INSUFFICIENT_FUNDS"),
        (a_limit(10), 1000, 1000, (50, 500), ""),
        (a_limit(10), 999, 1000, (50, 500), "INSUFFICIENT_FUNDS"),
        (a_limit(8), 800, 800, (0, 0), ""),
        (
            {"order_type": OrderType.ORDER_TYPE_STOP, "stop_price_micros": 10 * DOLLAR},
            1100,
            1100,
            None,
            "",
        ),
    ],
)
async def test_a_buy_holds_what_execution_would_hold_and_costs_what_the_book_says(
    order: Order,
    ledger: tuple[SmallLedger, str],
    terms: dict[str, Any],
    available: int,
    hold: int,
    estimate: tuple[int, int] | None,
    reason: str,
) -> None:
    ledger[0].available["customer/alice", "USD"] = available * DOLLAR

    told = await order.preview(**terms)

    assert (told.would_be_accepted, word(told.reason)) == (not reason, reason)
    assert (told.hold.asset, told.hold.amount) == ("USD", hold * DOLLAR)
    assert told.hold.available == available * DOLLAR
    assert told.HasField("estimate") == (estimate is not None)
    if estimate is not None:
        assert (told.estimate.quantity, told.estimate.notional_micros) == (
            estimate[0],
            estimate[1] * DOLLAR,
        )


async def test_a_sell_holds_the_shares(order: Order, ledger: tuple[SmallLedger, str]) -> None:
    ledger[0].available["customer/alice", "AAPL"] = 100
    told = await order.preview(**SELL)
    assert told.would_be_accepted
    assert (told.hold.asset, told.hold.amount) == ("AAPL", 100)
    assert (told.estimate.quantity, told.estimate.notional_micros) == (60, 540 * DOLLAR)
    assert word((await order.preview(**SELL, quantity=101)).reason) == "INSUFFICIENT_SHARES"


async def test_nothing_is_recorded_and_no_rate_is_spent(
    order: Order, ledger: tuple[SmallLedger, str]
) -> None:
    ledger[0].available["customer/alice", "USD"] = 10_000 * DOLLAR
    await order.set_control(pb.CONTROL_CUSTOMER_RATE, limit=1, seconds=3600)
    for _ in range(3):
        assert (await order.preview()).would_be_accepted
    assert not (await order.page("alice")).trades
    await order.place()
    assert word((await order.preview()).reason) == "ORDER_RATE_LIMIT"


async def test_without_the_exchange_there_is_no_estimate_and_without_open_books_no_trade(
    order: Order, ledger: tuple[SmallLedger, str], gateway: tuple[ListingGateway, str]
) -> None:
    ledger[0].available["customer/alice", "USD"] = 10_000 * DOLLAR
    gateway[0].is_away = True
    told = await order.preview()
    assert told.would_be_accepted
    assert not told.HasField("estimate")
    ledger[0].state = "frozen"
    assert word((await order.preview()).reason) == "ACCOUNT_NOT_OPEN"


async def test_what_cannot_be_placed_cannot_be_previewed(order: Order) -> None:
    assert await refused(order.preview(quantity=0)) == ("INVALID_ARGUMENT", "INVALID_QUANTITY")
    assert await refused(order.preview(symbol="HALT")) == ("INVALID_ARGUMENT", "UNKNOWN_SYMBOL")
    operators = order.trades.PreviewTrade(
        order_service_pb2.PreviewTradeRequest(), **order.as_operator()
    )
    assert await refused(operators) == ("PERMISSION_DENIED", "PERMISSION_DENIED")


SETTINGS: list[tuple[pb.Control.ValueType, dict[str, Any]]] = [
    (pb.CONTROL_MAX_QUANTITY, {"limit": 3}),
    (pb.CONTROL_MAX_NOTIONAL, {"limit": 25 * DOLLAR}),
    (pb.CONTROL_PRICE_COLLAR, {"limit": 1000}),
    (pb.CONTROL_DUPLICATE_ORDER, {"seconds": 3600}),
    (pb.CONTROL_SELF_TRADE, {}),
    (pb.CONTROL_RESTRICTED_SYMBOL, {"symbol": "MSFT"}),
    (pb.CONTROL_CUSTOMER_RATE, {"limit": 20, "seconds": 3600}),
]
orders = st.builds(
    lambda dollars, quantity, side, symbol: (
        a_limit(dollars, quantity=quantity, side=side, symbol=symbol)
        if dollars
        else {"quantity": quantity, "side": side, "symbol": symbol}
    ),
    st.sampled_from([0, 8, 10, 11, 12]),
    st.integers(1, 4),
    st.sampled_from([Side.SIDE_BUY, Side.SIDE_SELL]),
    st.sampled_from(["AAPL", "MSFT"]),
)


@settings(
    max_examples=6,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(asked=st.lists(orders, min_size=1, max_size=8), wanted=st.sets(st.integers(0, 6)))
async def test_a_preview_at_a_state_is_the_decision_at_that_state(
    order: Order,
    gateway: tuple[ListingGateway, str],
    asked: list[dict[str, Any]],
    wanted: set[int],
) -> None:
    """Whatever is set, and whatever was placed before: check by check."""
    gateway[0].last_prices["AAPL"] = 10 * DOLLAR
    customer = f"c{next(_numbers)}"
    for number in sorted(wanted):
        control, terms = SETTINGS[number]
        await order.set_control(control, **({"customer_id": customer} | terms))
    for terms in asked:
        foretold = await order.preview(customer, **terms)
        placed = await _place(order, customer, terms)
        if placed is None:
            assert word(foretold.reason) == "ORDER_RATE_LIMIT"
            continue
        explained = await order.explain(customer, placed.trade_id)
        assert list(map(_plain, foretold.checks)) == list(map(_plain, explained.checks))
        assert foretold.settings_version == explained.settings_version


async def _place(order: Order, customer: str, terms: dict[str, Any]) -> order_pb2.Trade | None:
    """None: the rate is exceeded."""
    try:
        return await order.place(customer, **terms)
    except grpc.aio.AioRpcError as error:
        if reason_of(error) != "ORDER_RATE_LIMIT":
            raise
        return None


def _plain(check: pb.ControlCheck) -> tuple[Any, ...]:
    """All of a check but the age of the price, which grows meanwhile."""
    plain = pb.ControlCheck()
    plain.CopyFrom(check)
    plain.ClearField("last_price_age")
    return (plain.SerializeToString(deterministic=True),)
