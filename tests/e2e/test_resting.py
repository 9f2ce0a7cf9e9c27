"""Orders that rest at the exchange or wait for a price, on the whole running house."""

import asyncio
import itertools
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import grpc
import pytest

from libs.rpc.status import reason_of
from stockbroker.common.v1 import terms_pb2 as terms
from stockbroker.common.v1.reason_pb2 import Reason
from stockbroker.exchange.v1.exchange_control_service_pb2 import RestingOrder, SetPhaseRequest
from stockbroker.order.v1 import order_pb2
from stockbroker.order.v1 import order_service_pb2 as pb
from tests.support import books
from tests.support.app import BUY, DEADLINE_SECONDS, App
from tests.support.house import House
from tests.support.operator import Operator
from tests.support.wait import until

pytestmark = pytest.mark.xdist_group("house")

CENT = 10_000
CASH = 1_000_000 * CENT
SHARES = 100
SYMBOL = "T"
GTC, DAY = terms.TIME_IN_FORCE_GTC, terms.TIME_IN_FORCE_DAY
LIMIT, STOP = terms.ORDER_TYPE_LIMIT, terms.ORDER_TYPE_STOP
FILLED, CANCELED = order_pb2.TRADE_STATUS_FILLED, order_pb2.TRADE_STATUS_CANCELED
_numbers = itertools.count(1)


class Scene:
    """A customer's app, and the others in a book that offers 100 at $20 and bids for 100 at $18."""

    def __init__(self, app: App, exchange: Operator) -> None:
        self.app = app
        self._exchange = exchange

    async def others(self, *, is_bid: bool, cents: int, quantity: int) -> None:
        """Somebody else's order comes into the book."""
        order = RestingOrder(
            order_id=1_000 + next(_numbers),
            is_bid=is_bid,
            price_micros=cents * CENT,
            quantity=quantity,
        )
        await self._exchange.trade(SYMBOL, order)

    async def end_the_day(self) -> None:
        """The close, and the next day."""
        await self._exchange.set_phase(SetPhaseRequest.PHASE_NEXT_DAY)

    async def place(self, side: terms.Side.ValueType, quantity: int, **more: Any) -> str:
        """An order the exchange has taken."""
        trade = await self.app.place(side, quantity, SYMBOL, **more)

        async def is_taken() -> bool:
            return bool((await self.app.get(trade.trade_id)).exchange_order_id)

        await until(is_taken)
        return trade.trade_id

    async def bid(self, quantity: int, cents: int, **more: Any) -> str:
        """A limit order to buy that rests until it is canceled."""
        return await self.place(
            BUY,
            quantity,
            **{
                "order_type": LIMIT,
                "limit_price_micros": cents * CENT,
                "time_in_force": GTC,
                **more,
            },
        )

    async def cancel(self, trade_id: str) -> order_pb2.Trade:
        """Ask for the rest to be canceled."""
        response = await self.app.orders.CancelTrade(
            pb.CancelTradeRequest(trade_id=trade_id),
            metadata=self.app.metadata,
            timeout=DEADLINE_SECONDS,
        )
        trade: order_pb2.Trade = response.trade
        return trade

    async def end(self, trade_id: str) -> order_pb2.Trade:
        """The trade once it is over."""
        return (await self.app.story({trade_id}))[-1].trade

    async def status(self, trade_id: str) -> order_pb2.TradeStatus.ValueType:
        """Where it stands."""
        return (await self.app.get(trade_id)).status

    async def cash(self) -> tuple[int, int]:
        """Cents in all, and held."""
        cash = (await self.app.portfolio()).cash
        return cash.total_micros // CENT, cash.held_micros // CENT


@asynccontextmanager
async def a_scene(house: House) -> AsyncIterator[Scene]:
    customer = f"s{uuid.uuid4().hex[:12]}"
    await house.endow(customer, cash=CASH, shares={SYMBOL: SHARES})
    async with house.exchange_operator() as exchange, house.app(customer) as app:
        book = [
            RestingOrder(order_id=1, is_bid=False, price_micros=2000 * CENT, quantity=100),
            RestingOrder(order_id=2, is_bid=True, price_micros=1800 * CENT, quantity=100),
        ]
        await exchange.load_book(SYMBOL, book)
        yield Scene(app, exchange)
    books.check(house.database_url("ledger"))


async def test_a_limit_order_rests_holds_what_it_can_cost_and_fills_when_it_is_met(
    house: House,
) -> None:
    async with a_scene(house) as scene:
        trade_id = await scene.bid(10, 1900)
        assert await scene.cash() == (CASH // CENT, 19_000)

        await scene.others(is_bid=False, cents=1850, quantity=4)
        partly = order_pb2.TRADE_STATUS_PARTIALLY_FILLED

        async def is_partly_filled() -> bool:
            return await scene.status(trade_id) == partly

        await until(is_partly_filled)
        await scene.others(is_bid=False, cents=1900, quantity=6)

        trade = await scene.end(trade_id)
        assert (trade.status, trade.filled_quantity) == (FILLED, 10)
        assert trade.filled_notional_micros == 10 * 1900 * CENT, "who rests sets the price"
        assert await scene.cash() == (CASH // CENT - 19_000, 0)


async def test_what_rests_holds_up_none_of_the_customers_trades(house: House) -> None:
    async with a_scene(house) as scene:
        resting = [await scene.bid(10, cents) for cents in (1900, 1890, 1880)]
        market = await scene.end((await scene.app.place(BUY, 5, SYMBOL)).trade_id)
        assert market.status == FILLED
        assert await scene.cash() == (CASH // CENT - 10_000, 19_000 + 18_900 + 18_800)
        for trade_id in resting:
            await scene.cancel(trade_id)
            assert (await scene.end(trade_id)).status == CANCELED
        assert await scene.cash() == (CASH // CENT - 10_000, 0)


async def test_a_canceled_order_keeps_its_fills_and_frees_the_rest(house: House) -> None:
    async with a_scene(house) as scene:
        trade_id = await scene.bid(10, 1900)
        await scene.others(is_bid=False, cents=1900, quantity=4)

        asked = await scene.cancel(trade_id)
        trade = await scene.end(trade_id)

        assert asked.status == order_pb2.TRADE_STATUS_PENDING_CANCEL
        assert (trade.status, trade.filled_quantity) == (CANCELED, 4)
        assert trade.reason == Reason.REASON_CANCELED_BY_CUSTOMER
        assert await scene.cash() == (CASH // CENT - 4 * 1900, 0)
        again = await scene.cancel(trade_id)
        assert again.status == CANCELED


async def test_what_was_filled_cannot_be_canceled(house: House) -> None:
    async with a_scene(house) as scene:
        trade_id = await scene.bid(10, 1900)
        await scene.others(is_bid=False, cents=1900, quantity=10)
        await scene.end(trade_id)
        with pytest.raises(grpc.aio.AioRpcError) as refusal:
            await scene.cancel(trade_id)
        assert reason_of(refusal.value) == "TOO_LATE_TO_CANCEL"


async def test_the_largest_stop_there_can_be_is_rejected_for_want_of_cash(house: House) -> None:
    async with a_scene(house) as scene:
        placed = await scene.app.place(
            BUY, 10_000_000, SYMBOL, order_type=STOP, stop_price_micros=900_000_000_000
        )
        trade = await scene.end(placed.trade_id)
        assert trade.status == order_pb2.TRADE_STATUS_REJECTED
        assert trade.reason == Reason.REASON_INSUFFICIENT_FUNDS


async def test_at_the_close_day_orders_expire_and_others_stay(house: House) -> None:
    async with a_scene(house) as scene:
        day, lasting = [await scene.bid(10, 1900, time_in_force=t) for t in (DAY, GTC)]

        await scene.end_the_day()

        trade = await scene.end(day)
        assert trade.status == order_pb2.TRADE_STATUS_EXPIRED
        assert trade.reason == Reason.REASON_EXPIRED
        assert await scene.cash() == (CASH // CENT, 19_000)
        assert await scene.status(lasting) == order_pb2.TRADE_STATUS_IN_PROGRESS
        await scene.cancel(lasting)
        await scene.end(lasting)


async def test_cancel_against_fill_ends_in_one_true_way(house: House) -> None:
    async with a_scene(house) as scene:
        trade_ids = [await scene.bid(1, 1900) for _ in range(12)]

        answers = await asyncio.gather(
            *map(scene.cancel, trade_ids),
            *(scene.others(is_bid=False, cents=1900, quantity=1) for _ in range(6)),
            return_exceptions=True,
        )
        refused = {reason_of(each) for each in answers if isinstance(each, grpc.aio.AioRpcError)}
        assert refused <= {"TOO_LATE_TO_CANCEL"}

        trades = [await scene.end(trade_id) for trade_id in trade_ids]
        assert {trade.status for trade in trades} <= {FILLED, CANCELED}
        filled = sum(trade.filled_quantity for trade in trades)
        assert await scene.cash() == (CASH // CENT - 1900 * filled, 0)
