"""Stops at the exchange in the box: at the venue, or held by the house; and others who trade."""

import itertools
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from libs import tape
from stockbroker.common.v1 import terms_pb2 as terms
from stockbroker.exchange.v1 import exchange_control_service_pb2 as control
from stockbroker.exchange_gateway.v1 import exchange_gateway_service_pb2 as pb
from stockbroker.execution.v1 import execution_service_pb2 as execution_pb
from tests.exchange_gateway.conftest import Gateway, Scene, an_order
from tests.exchange_simulator.member import Exchange
from tests.support.wait import until

DOLLAR = 1_000_000
SYMBOL = "AAPL"
Phase = control.SetPhaseRequest
_numbers = itertools.count(1)


def a_stop(**fields: Any) -> pb.Order:
    """To sell 30 when a trade is at 90 dollars or below, until canceled."""
    usual: dict[str, Any] = {
        "side": terms.SIDE_SELL,
        "quantity": 30,
        "order_type": terms.ORDER_TYPE_STOP,
        "stop_price_micros": 90 * DOLLAR,
        "time_in_force": terms.TIME_IN_FORCE_GTC,
    }
    order = an_order(**(usual | fields))
    order.max_notional_micros = fields.get("max_notional_micros", 0)
    return order


def a_stop_to_buy(**fields: Any) -> pb.Order:
    """To buy 10 when a trade is at 110 dollars or above, for at most 1,210 dollars."""
    usual: dict[str, Any] = {
        "side": terms.SIDE_BUY,
        "quantity": 10,
        "stop_price_micros": 110 * DOLLAR,
        "max_notional_micros": 1_210 * DOLLAR,
    }
    return a_stop(**(usual | fields))


class Pit:
    """The gateway at an exchange that bids for 100 at 85 dollars and offers 100 at 115."""

    def __init__(self, scene: Scene, exchange: Exchange, *, house_holds: bool) -> None:
        self.scene = scene
        self.exchange = exchange
        self.house_holds = house_holds

    @asynccontextmanager
    async def gateway(self, **settings: Any) -> AsyncIterator[Gateway]:
        """A gateway that is logged on."""
        usual = {"exchange_address": self.exchange.address, "holds_stops": self.house_holds}
        async with self.scene.gateway(**(usual | settings)) as gateway:
            await until(gateway.is_connected)
            yield gateway

    async def open(self) -> None:
        """The book."""
        orders = [
            control.RestingOrder(order_id=1, quantity=100, price_micros=115 * DOLLAR),
            control.RestingOrder(order_id=2, is_bid=True, quantity=100, price_micros=85 * DOLLAR),
        ]
        book = control.LoadBookRequest(symbol=SYMBOL, orders=orders)
        await self.exchange.control.LoadBook(book, metadata=self.exchange.operator)

    async def trade(self, *dollars: int) -> None:
        """Others trade one share at each of these prices, one after the other, all at once."""
        steps = []
        for price in dollars:
            for is_bid in (True, False):
                order = control.RestingOrder(
                    order_id=1_000 + next(_numbers),
                    is_bid=is_bid,
                    quantity=1,
                    price_micros=price * DOLLAR,
                )
                kind = control.TapeCommand.KIND_NEW
                steps.append(control.TapeCommand(kind=kind, order=order))
        requests = tape.requests(steps, symbol=SYMBOL, speed_millis=0)
        await self.exchange.control.PlayTape(requests, metadata=self.exchange.operator)

    async def set_phase(self, phase: control.SetPhaseRequest.Phase.ValueType) -> None:
        """Open, close, or end the day."""
        request = control.SetPhaseRequest(phase=phase)
        await self.exchange.control.SetPhase(request, metadata=self.exchange.operator)

    async def told(self, order: pb.Order, *kinds: str) -> list[Any]:
        """What execution is told of the order once it is told so much, which is this."""
        reports = self.scene.execution.told_once
        await until(lambda: len(reports(order.trade_id)) >= len(kinds), what=order.trade_id)
        found = reports(order.trade_id)
        assert [report.WhichOneof("report") for report in found] == list(kinds)
        return [getattr(report, kind) for report, kind in zip(found, kinds, strict=True)]

    async def place(self, gateway: Gateway, order: pb.Order) -> str:
        """Submit it, and have it accepted; under what id."""
        [result] = await gateway.submit(order)
        assert result.reason == 0
        [accepted] = await self.told(order, "accepted")
        assert isinstance(accepted, execution_pb.Report.Accepted)
        assert (accepted.exchange_order_id == f"HELD-{order.trade_id}") is self.house_holds
        return accepted.exchange_order_id

    def is_sound(self) -> bool:
        """Whether nothing was found that cannot be."""
        parked = self.scene.rows("SELECT FROM parked_report")
        return not parked and not self.scene.rows("SELECT FROM order_break")
