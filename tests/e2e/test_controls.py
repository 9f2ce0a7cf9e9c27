"""Pre-trade controls on the whole running house: through Envoy, with the exchange's own prices."""

import uuid
from typing import Any

import grpc
import pytest

from stockbroker.common.v1 import terms_pb2 as terms
from stockbroker.common.v1.reason_pb2 import Reason
from stockbroker.exchange.v1.exchange_control_service_pb2 import RestingOrder
from stockbroker.order.v1 import control_pb2 as control
from stockbroker.order.v1 import order_control_service_pb2 as control_service
from stockbroker.order.v1 import order_pb2
from stockbroker.order.v1 import order_service_pb2 as pb
from stockbroker.order.v1.order_control_service_pb2_grpc import OrderControlServiceStub
from tests.support.app import BUY, DEADLINE_SECONDS, App
from tests.support.house import House
from tests.support.keys import bearer
from tests.support.wait import until

pytestmark = pytest.mark.xdist_group("house")

DOLLAR = 1_000_000
SYMBOL = "VZ"
ASKS = [RestingOrder(order_id=n, price_micros=20 * DOLLAR, quantity=100) for n in (1, 2)]


async def preview(app: App, **changes: Any) -> pb.PreviewTradeResponse:
    """Of 100 shares to buy."""
    trade = pb.PlaceTradeRequest(symbol=SYMBOL, side=BUY, quantity=100, **changes)
    response: pb.PreviewTradeResponse = await app.orders.PreviewTrade(
        pb.PreviewTradeRequest(trade=trade), metadata=app.metadata, timeout=DEADLINE_SECONDS
    )
    return response


async def set_collar(house: House, customer: str, percent: int) -> None:
    """As an operator, at the operators' door."""
    request = control_service.SetControlRequest(
        control=control.CONTROL_PRICE_COLLAR,
        scope=control.ControlScope(customer_id=customer),
        limit=100 * percent,
        reason_text="a test",
    )
    async with grpc.aio.insecure_channel(house.operators_address) as channel:
        stub: Any = OrderControlServiceStub(channel)
        metadata = bearer(house.operator_token())
        await stub.SetControl(request, metadata=metadata, timeout=DEADLINE_SECONDS)


async def test_what_a_preview_says_comes_true_and_the_collar_knows_the_last_price(
    house: House,
) -> None:
    customer = f"p-{uuid.uuid4().hex[:8]}"
    await house.endow(customer, cash=10_000 * DOLLAR, shares={})
    async with house.exchange_operator() as exchange, house.app(customer) as app:
        await exchange.load_book(SYMBOL, ASKS)

        foretold = await preview(app)
        bought = await app.settle(await app.place(BUY, 100, SYMBOL))

        assert foretold.would_be_accepted
        assert foretold.hold.amount == 10_000 * DOLLAR
        assert foretold.estimate.notional_micros == bought.filled_notional_micros == 2_000 * DOLLAR

        await set_collar(house, customer, 10)
        limit = {"order_type": terms.ORDER_TYPE_LIMIT, "time_in_force": terms.TIME_IN_FORCE_GTC}
        far = {**limit, "limit_price_micros": 17 * DOLLAR}
        near = {**limit, "limit_price_micros": 19 * DOLLAR}

        async def is_stopped() -> bool:  # once the last price is heard
            return (await preview(app, **far)).reason == Reason.REASON_PRICE_COLLAR

        await until(is_stopped)
        rejected = await app.place(BUY, 100, SYMBOL, **far)
        assert rejected.status == order_pb2.TRADE_STATUS_REJECTED
        explained = await app.orders.ExplainTrade(
            pb.ExplainTradeRequest(trade_id=rejected.trade_id),
            metadata=app.metadata,
            timeout=DEADLINE_SECONDS,
        )
        (check,) = [c for c in explained.checks if c.control == control.CONTROL_PRICE_COLLAR]
        assert (check.observed, check.last_price_micros) == (1500, 20 * DOLLAR)

        foretold = await preview(app, **near)
        resting = await app.place(BUY, 100, SYMBOL, **near)

        async def is_held() -> bool:
            return (await app.portfolio()).cash.held_micros == foretold.hold.amount

        await until(is_held)
        assert foretold.hold.amount == 1_900 * DOLLAR
        await app.orders.CancelTrade(
            pb.CancelTradeRequest(trade_id=resting.trade_id),
            metadata=app.metadata,
            timeout=DEADLINE_SECONDS,
        )
        await app.settle(resting)
