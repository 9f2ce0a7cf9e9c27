"""A customer who gives orders other terms, and a book that is the test's own."""

import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from stockbroker.exchange.v1.exchange_control_service_pb2 import RestingOrder
from stockbroker.order.v1 import order_pb2
from stockbroker.order.v1 import order_service_pb2 as pb
from stockbroker.order.v1.order_pb2 import TradeEventKind as Kind
from tests.e2e.test_resting import CASH, CENT, SYMBOL, Scene
from tests.support import books
from tests.support.app import DEADLINE_SECONDS
from tests.support.house import House
from tests.support.wait import until

ANSWERS = {Kind.TRADE_EVENT_KIND_REPLACED, Kind.TRADE_EVENT_KIND_REPLACE_REJECTED}


class Replaces(Scene):
    """A scene with a customer who changes their mind."""

    async def ask(self, trade_id: str, name: str = "", **asked: Any) -> order_pb2.Trade:
        """Ask for other terms; the trade as answered."""
        request = pb.ReplaceTradeRequest(trade_id=trade_id, client_order_id=name, **asked)
        response = await self.app.orders.ReplaceTrade(
            request, metadata=self.app.metadata, timeout=DEADLINE_SECONDS
        )
        trade: order_pb2.Trade = response.trade
        return trade

    async def answers(self, trade_id: str) -> list[order_pb2.TradeEvent]:
        """What became of the trade's replaces so far."""
        response = await self.app.orders.ListTradeEvents(
            pb.ListTradeEventsRequest(trade_id=trade_id),
            metadata=self.app.metadata,
            timeout=DEADLINE_SECONDS,
        )
        return [event for event in response.events if event.kind in ANSWERS]

    async def replace(self, trade_id: str, **asked: Any) -> order_pb2.TradeEvent:
        """Ask for other terms, and wait for the answer."""
        before = len(await self.answers(trade_id))
        await self.ask(trade_id, **asked)

        async def is_answered() -> bool:
            return len(await self.answers(trade_id)) > before

        await until(is_answered, seconds=60)
        return (await self.answers(trade_id))[-1]

    async def filled(self, trade_id: str, quantity: int) -> None:
        """Wait until so many shares are filled."""

        async def are_filled() -> bool:
            return (await self.app.get(trade_id)).filled_quantity == quantity

        await until(are_filled)


@asynccontextmanager
async def a_scene(house: House) -> AsyncIterator[Replaces]:
    customer = f"r{uuid.uuid4().hex[:12]}"
    await house.endow(customer, cash=CASH, shares={SYMBOL: 100})
    async with house.exchange_operator() as exchange, house.app(customer) as app:
        book = [
            RestingOrder(order_id=1, is_bid=False, price_micros=2000 * CENT, quantity=100),
            RestingOrder(order_id=2, is_bid=True, price_micros=1800 * CENT, quantity=100),
        ]
        await exchange.load_book(SYMBOL, book)
        yield Replaces(app, exchange)
    books.check(house.database_url("ledger"))
