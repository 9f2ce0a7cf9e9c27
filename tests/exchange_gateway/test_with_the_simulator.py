"""Replaces, busts and corrections between the gateway and the exchange in the box itself."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest

from services.exchange_simulator.database import MIGRATIONS
from services.exchange_simulator.main import Settings, house
from stockbroker.common.v1.reason_pb2 import Reason
from stockbroker.exchange.v1 import exchange_control_service_pb2 as control
from stockbroker.exchange_gateway.v1 import exchange_gateway_service_pb2 as pb
from stockbroker.execution.v1 import execution_service_pb2 as execution_pb
from tests.exchange_gateway.conftest import Gateway, Scene
from tests.exchange_gateway.replaces import DOLLAR, a_limit_order, a_replace, replace
from tests.exchange_simulator.member import Exchange
from tests.support.keys import Keys
from tests.support.wait import until


@pytest.fixture
async def exchange(new_database: Callable[..., str], keys: Keys) -> AsyncIterator[Exchange]:
    """An exchange whose book in AAPL offers 100 shares at 95 dollars."""
    settings = Settings(
        database_url=new_database(MIGRATIONS), jwks_file=keys.jwks_file, market_moves_per_second=0.0
    )
    async with house(settings) as rpc, Exchange(rpc.address, keys) as running:
        await running.ready()
        ask = control.RestingOrder(order_id=1, quantity=100, price_micros=95 * DOLLAR)
        book = control.LoadBookRequest(symbol="AAPL", orders=[ask])
        await running.control.LoadBook(book, metadata=running.operator)
        yield running


@asynccontextmanager
async def a_gateway(scene: Scene, exchange: Exchange) -> AsyncIterator[Gateway]:
    async with scene.gateway(exchange_address=exchange.address) as gateway:
        await until(gateway.is_connected)
        yield gateway


async def told(scene: Scene, order: pb.Order, *kinds: str) -> list[Any]:
    """What execution was told of the order, which is this and no more."""
    await until(lambda: len(scene.execution.told_once(order.trade_id)) >= len(kinds))
    reports = scene.execution.told_once(order.trade_id)
    assert [report.WhichOneof("report") for report in reports] == list(kinds)
    return [getattr(report, kind) for report, kind in zip(reports, kinds, strict=True)]


async def test_an_order_is_replaced_until_it_trades_and_compared_after_each_logon(
    scene: Scene, exchange: Exchange
) -> None:
    order = a_limit_order()
    async with a_gateway(scene, exchange) as gateway:
        await gateway.submit(order)
        await told(scene, order, "accepted")
        await replace(gateway, a_replace(order))
        await told(scene, order, "accepted", "replaced")
    async with a_gateway(scene, exchange) as gateway:
        await replace(gateway, a_replace(order, quantity=120, limit_price_micros=96 * DOLLAR))
        first = ("accepted", "replaced", "replaced", "filled")
        *_, change, fill = await told(scene, order, *first)
        assert (change.quantity, change.filled_quantity) == (120, 0)
        assert (fill.quantity, fill.price_micros) == (100, 95 * DOLLAR)
        assert (fill.limit_price_micros, fill.is_last) == (96 * DOLLAR, False)

        await replace(gateway, a_replace(order, quantity=80))
        *_, change = await told(scene, order, *first, "replaced")
        assert (change.quantity, change.filled_quantity) == (100, 100)
        await until(gateway.has_delivered_all)
        [status] = await gateway.orders(order.trade_id)
        assert (status.state, status.filled_quantity) == (pb.ORDER_STATE_DONE, 100)
    async with a_gateway(scene, exchange) as gateway:
        [late] = await replace(gateway, a_replace(order))
        assert late.never_sent
    assert scene.rows("SELECT FROM parked_report") == []
    assert scene.rows("SELECT FROM order_break") == []


async def test_a_replace_in_a_halt_is_refused(scene: Scene, exchange: Exchange) -> None:
    order = a_limit_order()
    async with a_gateway(scene, exchange) as gateway:
        await gateway.submit(order)
        await told(scene, order, "accepted")
        await exchange.halt("AAPL", is_halted=True)
        await replace(gateway, a_replace(order))
        _, refused = await told(scene, order, "accepted", "replace_rejected")
    assert refused.reason == Reason.REASON_SYMBOL_HALTED


async def test_fills_are_taken_back_and_corrected(scene: Scene, exchange: Exchange) -> None:
    order = a_limit_order(quantity=0)
    order.quantity, order.limit_price_micros = 100, 95 * DOLLAR
    async with a_gateway(scene, exchange) as gateway:
        await gateway.submit(order)
        _, fill = await told(scene, order, "accepted", "filled")
        request = control.CorrectExecutionRequest(
            exec_id=fill.execution_id, quantity=60, reason_text="a typo"
        )
        await exchange.control.CorrectExecution(request, metadata=exchange.operator)
        *_, corrected = await told(scene, order, "accepted", "filled", "corrected")
    assert isinstance(corrected, execution_pb.Report.Corrected)
    assert (corrected.execution_id, corrected.quantity) == (fill.execution_id, 60)
    async with a_gateway(scene, exchange) as gateway:
        [status] = await gateway.orders(order.trade_id)
        assert status.filled_quantity == 60
        await until(gateway.has_delivered_all)
    assert scene.rows("SELECT FROM parked_report") == []
