"""Every outcome an app may meet, at any hour, on the whole running house: the TEST symbols."""

import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from stockbroker.common.v1 import terms_pb2 as terms
from stockbroker.common.v1.reason_pb2 import Reason
from stockbroker.exchange_gateway.v1 import exchange_gateway_service_pb2_grpc as gateway_grpc
from stockbroker.exchange_gateway.v1 import operators_pb2
from stockbroker.order.v1 import order_pb2
from stockbroker.order.v1 import order_service_pb2 as pb
from tests.reconciliation.scene import Scene
from tests.support import books
from tests.support.app import BUY, DEADLINE_SECONDS, App
from tests.support.house import House
from tests.support.wait import until

pytestmark = pytest.mark.xdist_group("house")

CENT = 10_000
CASH = 1_000_000 * CENT
OFFERED = 1001  # cents, of every test symbol
QUANTITY = 40
FILLED, CANCELED = order_pb2.TRADE_STATUS_FILLED, order_pb2.TRADE_STATUS_CANCELED
REJECTED, EXPIRED = order_pb2.TRADE_STATUS_REJECTED, order_pb2.TRADE_STATUS_EXPIRED
NONE = Reason.REASON_UNSPECIFIED

# Symbol -> status, fills, shares filled, reason.
CASES = {
    "TEST.FILL": (FILLED, 1, 40, NONE),
    "TEST.HALF": (CANCELED, 1, 20, Reason.REASON_NO_LIQUIDITY),
    "TEST.PARTS": (FILLED, 18, 40, NONE),
    "TEST.SLOW": (FILLED, 1, 40, NONE),
    "TEST.EXPIRE": (EXPIRED, 0, 0, Reason.REASON_EXPIRED),
    "TEST.REJECT": (REJECTED, 0, 0, Reason.REASON_EXCHANGE_REJECTED),
    "TEST.HALTED": (REJECTED, 0, 0, Reason.REASON_SYMBOL_HALTED),
}


@asynccontextmanager
async def a_customer(house: House) -> AsyncIterator[App]:
    customer = f"t{uuid.uuid4().hex[:12]}"
    await house.endow(customer, cash=CASH)
    async with house.app(customer) as app:
        yield app
    books.check(house.database_url("ledger"))


async def cents_of(app: App) -> tuple[int, int]:
    """Cash in all, and held."""
    cash = (await app.portfolio()).cash
    return cash.total_micros // CENT, cash.held_micros // CENT


@pytest.mark.parametrize("symbol", CASES)
async def test_a_trade_in_a_test_symbol_ends_as_its_name_says(house: House, symbol: str) -> None:
    status, fills, filled, reason = CASES[symbol]
    async with a_customer(house) as app:
        placed = await app.place(BUY, QUANTITY, symbol)
        story = await app.story({placed.trade_id})

        trade = story[-1].trade
        executions = [event.execution for event in story if event.HasField("execution")]
        assert (trade.status, trade.filled_quantity, trade.reason) == (status, filled, reason)
        assert len({execution.execution_id for execution in executions}) == fills
        assert sum(execution.quantity for execution in executions) == filled
        assert await cents_of(app) == (CASH // CENT - filled * OFFERED, 0)
        if symbol == "TEST.REJECT":
            assert trade.reason_text == "refused, as TEST.REJECT always is"
    scene = Scene(house)
    await scene.compared()
    assert not [b for e in executions for b in await scene.breaks(e.execution_id)]
    await scene.channel.close()


async def test_what_rests_by_script_holds_cash_until_it_is_canceled(house: House) -> None:
    async with a_customer(house) as app:
        placed = await app.place(
            BUY,
            QUANTITY,
            "TEST.REST",
            order_type=terms.ORDER_TYPE_LIMIT,
            limit_price_micros=900 * CENT,
            time_in_force=terms.TIME_IN_FORCE_GTC,
        )

        async def is_taken() -> bool:
            return bool((await app.get(placed.trade_id)).exchange_order_id)

        await until(is_taken)
        assert await cents_of(app) == (CASH // CENT, QUANTITY * 900)
        request = pb.CancelTradeRequest(trade_id=placed.trade_id)
        await app.orders.CancelTrade(request, metadata=app.metadata, timeout=DEADLINE_SECONDS)

        trade = await app.settle(placed)
        assert (trade.status, trade.reason) == (CANCELED, Reason.REASON_CANCELED_BY_CUSTOMER)
        assert trade.reason_text == "canceled as the customer asked"
        assert await cents_of(app) == (CASH // CENT, 0)


async def test_a_trade_that_is_never_answered_is_in_doubt_until_an_operator_resolves_it(
    house: House,
) -> None:
    async with a_customer(house) as app, house.operator() as operator:
        placed = await app.place(BUY, QUANTITY, "TEST.SILENT")

        async def is_in_doubt() -> bool:
            return (await app.get(placed.trade_id)).in_doubt

        await until(is_in_doubt)
        assert (await cents_of(app))[1] > 0, "what is held for it stays held"

        gateway = gateway_grpc.ExchangeGatewayServiceStub(operator.channel)
        request = operators_pb2.ResolveOrderRequest(
            trade_id=placed.trade_id,
            not_known=operators_pb2.ResolveOrderRequest.NotKnown(),
            evidence="the exchange's letter",
            reason_text="the exchange has lost it",
            despite_exchange="it knows the order and says nothing of it",
        )
        await gateway.ResolveOrder(request, metadata=operator.metadata, timeout=DEADLINE_SECONDS)

        trade = await app.settle(placed)
        assert (trade.status, trade.reason) == (REJECTED, Reason.REASON_EXCHANGE_REJECTED)
        assert not trade.in_doubt
        assert await cents_of(app) == (CASH // CENT, 0)
        after = await app.settle(await app.place(BUY, 1, "TEST.FILL"))
        assert after.status == FILLED, "the customer's next trade goes its way"
