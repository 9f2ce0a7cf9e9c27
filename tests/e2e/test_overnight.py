"""A DAY trade that waits in the house overnight ends, on the whole running house."""

import uuid

import psycopg
import pytest

from stockbroker.common.v1 import terms_pb2 as terms
from stockbroker.common.v1.reason_pb2 import Reason
from stockbroker.order.v1 import order_pb2
from tests.e2e.test_halts_at_exchange import command
from tests.support.app import BUY
from tests.support.house import House

pytestmark = pytest.mark.xdist_group("house")

CASH = 100_000_000_000
WAITED = "UPDATE trade SET created_at = created_at - interval '1 day' WHERE customer_id = %s"


async def test_a_day_trade_of_yesterday_expires_and_one_until_canceled_is_filled(
    house: House,
) -> None:
    customer = f"o{uuid.uuid4().hex[:12]}"
    await house.endow(customer, cash=CASH)
    async with house.app(customer) as app:
        halted = ("--customer", customer, "--reason", "it is night")
        await command(house, "halt", *halted)
        day = await app.place(BUY, 1, "KO")
        lasting = await app.place(
            BUY,
            1,
            "KO",
            order_type=terms.ORDER_TYPE_LIMIT,
            limit_price_micros=1_000_000_000,
            time_in_force=terms.TIME_IN_FORCE_GTC,
        )
        with psycopg.connect(house.database_url("order"), autocommit=True) as connection:
            connection.execute(WAITED, [customer])

        await command(house, "resume", *halted)

        expired, filled = await app.settle(day), await app.settle(lasting)
        portfolio = await app.portfolio()
        last = (await app.story({day.trade_id}))[-1]
    assert expired.status == order_pb2.TRADE_STATUS_EXPIRED
    assert (expired.reason, last.cause) == (Reason.REASON_EXPIRED, "house")
    assert filled.status == order_pb2.TRADE_STATUS_FILLED
    assert portfolio.cash.available_micros == CASH - filled.filled_notional_micros
