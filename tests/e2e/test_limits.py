"""Limit orders that fill at once or not at all, on the whole running house."""

import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from stockbroker.common.v1 import terms_pb2 as terms
from stockbroker.common.v1.reason_pb2 import Reason
from stockbroker.exchange.v1.exchange_control_service_pb2 import RestingOrder
from stockbroker.order.v1 import order_pb2
from tests.support import books
from tests.support.app import BUY, SELL, App
from tests.support.house import House

pytestmark = pytest.mark.xdist_group("house")

CENT = 10_000
CASH = 100_000 * CENT
SHARES = 20
IOC, FOK = terms.TIME_IN_FORCE_IOC, terms.TIME_IN_FORCE_FOK
FILLED, CANCELED = order_pb2.TRADE_STATUS_FILLED, order_pb2.TRADE_STATUS_CANCELED
BOOK = [
    RestingOrder(order_id=1, is_bid=False, price_micros=1000 * CENT, quantity=5),
    RestingOrder(order_id=2, is_bid=False, price_micros=1010 * CENT, quantity=5),
    RestingOrder(order_id=3, is_bid=True, price_micros=990 * CENT, quantity=5),
]


@asynccontextmanager
async def _a_customer(house: House) -> AsyncIterator[App]:
    """With cash and shares, before a book of 5 at $10.00 and 5 at $10.10, and a bid of $9.90."""
    customer = f"l{uuid.uuid4().hex[:12]}"
    await house.endow(customer, cash=CASH, shares={"PFE": SHARES})
    async with house.exchange_operator() as exchange:
        await exchange.load_book("PFE", BOOK)
    async with house.app(customer) as app:
        yield app
    books.check(house.database_url("ledger"))


# Side, quantity, limit in cents, time in force -> status, shares filled, cents paid or got.
CASES = {
    "a better price than the limit": (BUY, 5, 1050, IOC, FILLED, 5, 5000),
    "several prices up to the limit": (BUY, 8, 1010, FOK, FILLED, 8, 5 * 1000 + 3 * 1010),
    "what there is at the limit": (BUY, 8, 1000, IOC, CANCELED, 5, 5000),
    "all or nothing": (BUY, 11, 1010, FOK, CANCELED, 0, 0),
    "nothing at the limit": (BUY, 1, 999, IOC, CANCELED, 0, 0),
    "a sale": (SELL, 5, 980, IOC, FILLED, 5, 4950),
    "a sale that finds no such price": (SELL, 5, 991, FOK, CANCELED, 0, 0),
}


@pytest.mark.parametrize("case", CASES)
async def test_a_limit_is_kept_and_what_it_did_not_cost_is_free_at_once(
    house: House, case: str
) -> None:
    side, quantity, limit_cents, time_in_force, status, filled, cents = CASES[case]
    async with _a_customer(house) as app:
        placed = await app.place(
            side,
            quantity,
            "PFE",
            order_type=terms.ORDER_TYPE_LIMIT,
            limit_price_micros=limit_cents * CENT,
            time_in_force=time_in_force,
        )
        trade = await app.settle(placed)
        assert (trade.status, trade.filled_quantity) == (status, filled)
        assert trade.filled_notional_micros == cents * CENT
        canceled = Reason.REASON_NO_LIQUIDITY
        assert trade.reason == (canceled if status == CANCELED else Reason.REASON_UNSPECIFIED)
        portfolio = await app.portfolio()
        sign = 1 if side == BUY else -1
        assert portfolio.cash.available_micros == CASH - sign * cents * CENT
        assert portfolio.cash.held_micros == 0
        assert portfolio.positions[0].available_quantity == SHARES + sign * filled


async def test_a_limit_order_that_the_cash_does_not_cover_is_rejected(house: House) -> None:
    async with _a_customer(house) as app:
        placed = await app.place(
            BUY,
            101,
            "PFE",
            order_type=terms.ORDER_TYPE_LIMIT,
            limit_price_micros=1000 * CENT,
            time_in_force=IOC,
        )
        trade = await app.settle(placed)
        assert trade.status == order_pb2.TRADE_STATUS_REJECTED
        assert trade.reason == Reason.REASON_INSUFFICIENT_FUNDS, "the limit counts, not the book"
