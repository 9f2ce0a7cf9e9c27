"""A BUY, a SELL and a refusal, told event by event."""

import asyncio
import time
import uuid

import grpc

from libs.auth import Signer
from libs.direct import DIRECT
from services.house.demo.customers import GIFTS
from services.house.demo.neighbours import CallFailed, Customer, Operator
from services.house.demo.paste import next_steps
from services.house.demo.words import portfolio_lines, status_of, story_of
from services.house.screen import Screen
from stockbroker.common.v1 import terms_pb2 as terms
from stockbroker.order.v1 import order_pb2
from stockbroker.order.v1.order_pb2 import TradeStatus
from stockbroker.order.v1.order_service_pb2 import PlaceTradeRequest

_TRADE_SECONDS = 30.0
_TERMINAL = {
    TradeStatus.TRADE_STATUS_FILLED,
    TradeStatus.TRADE_STATUS_CANCELED,
    TradeStatus.TRADE_STATUS_REJECTED,
    TradeStatus.TRADE_STATUS_EXPIRED,
}


class TourFailed(Exception):
    """It could not be shown; the text is a sentence for a person."""


class Tour:
    """Shown on `screen`; `began_at` (seconds since 1970) is when the person asked for it.

    `trade_seconds`: how long each trade is waited for.
    """

    def __init__(  # noqa: PLR0913 - its parameters are its settings
        self,
        *,
        public: str,
        operators: str,
        signer: Signer,
        screen: Screen,
        began_at: float,
        trade_seconds: float = _TRADE_SECONDS,
    ) -> None:
        self._public = public
        self._operators = operators
        self._signer = signer
        self._screen = screen
        self._began_at = began_at
        self._trade_seconds = trade_seconds
        self._has_filled = False

    async def run(self) -> None:
        """All of it. Raises TourFailed."""
        try:
            async with (
                grpc.aio.insecure_channel(self._public, options=[DIRECT]) as customers,
                grpc.aio.insecure_channel(self._operators, options=[DIRECT]) as operators,
            ):
                await self._give(operators)
                alice = Customer(customers, self._signer, "alice")
                carol = Customer(customers, self._signer, "carol")
                before = portfolio_lines(await alice.portfolio())
                await self._trade(alice, terms.SIDE_BUY, 10, "AAPL")
                await self._trade(alice, terms.SIDE_SELL, 5, "MSFT")
                await self._trade(carol, terms.SIDE_BUY, 10, "AAPL")
                after = portfolio_lines(await alice.portfolio())
        except CallFailed as error:
            raise TourFailed(f"the demonstration was broken off: {error}") from None
        self._compare(before, after)

    def tell_what_next(self) -> None:
        """What to paste; also after a tour that failed."""
        self._screen.heading("What to paste next")
        self._screen.say(
            next_steps(public=self._public, operators=self._operators, signer=self._signer)
        )

    async def _give(self, channel: grpc.aio.Channel) -> None:
        operator = Operator(channel, self._signer)
        for gift in GIFTS:
            await operator.give(gift)

    async def _trade(
        self, customer: Customer, side: terms.Side.ValueType, quantity: int, symbol: str
    ) -> None:
        """Place it and tell its events until it has ended."""
        name = terms.Side.Name(side).removeprefix("SIDE_")
        self._screen.heading(f"{customer.name} places a {name} of {quantity} {symbol}")
        request = PlaceTradeRequest(
            client_order_id=str(uuid.uuid4()), symbol=symbol, side=side, quantity=quantity
        )
        began = time.perf_counter()
        trade = await customer.place(request)
        self._tell(trade, f"recorded as {trade.trade_id}", began)
        try:
            async with asyncio.timeout(self._trade_seconds):
                await self._follow(customer, trade, began)
        except TimeoutError:
            raise TourFailed(
                f"the trade has not ended within {self._trade_seconds:.0f} s; "
                f"`.venv/bin/stockbroker trades --as {customer.name}` shows what it may wait for"
            ) from None

    async def _follow(self, customer: Customer, trade: order_pb2.Trade, began: float) -> None:
        async for event in customer.watch(trade.seq):
            if event.trade.trade_id != trade.trade_id:
                continue
            self._tell(event.trade, story_of(event), began)
            if event.trade.status in _TERMINAL:
                self._note_first_fill(event.trade)
                return
        raise CallFailed("its events ended before it did")

    def _tell(self, trade: order_pb2.Trade, story: str, began: float) -> None:
        milliseconds = (time.perf_counter() - began) * 1000
        self._screen.say(f"  {milliseconds:7.1f} ms  {status_of(trade):<16} {story}".rstrip())

    def _note_first_fill(self, trade: order_pb2.Trade) -> None:
        if trade.filled_quantity and not self._has_filled:
            self._has_filled = True
            seconds = time.time() - self._began_at
            self._screen.say(f"  First fill {seconds:.1f} s after the house was asked for.")

    def _compare(self, before: dict[str, str], after: dict[str, str]) -> None:
        self._screen.heading("alice's portfolio")
        self._screen.say(f"  {'':<10} {'before':>20} {'after':>20}")
        for asset in dict.fromkeys((*before, *after)):
            self._screen.say(
                f"  {asset:<10} {before.get(asset, '-'):>20} {after.get(asset, '-'):>20}"
            )
