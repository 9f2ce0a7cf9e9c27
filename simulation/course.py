"""Where races are run: customers, and the market that trades against them when it is told to."""

import asyncio
from collections.abc import Sequence

import grpc

from simulation.database import Database
from simulation.races import CENT, REFERENCE_CENTS, Act, Race
from simulation.scenario import Customer, Street
from simulation.world import Violation, World
from stockbroker.common.v1 import terms_pb2 as terms
from stockbroker.exchange.v1 import exchange_control_service_pb2 as control_pb
from stockbroker.order.v1 import order_service_pb2 as order_pb

_LOOK_SECONDS = 0.05
_MOST_LOOKS_TO_REST = 100
_MOST_LOOKS = 200
_OUTSIDE = (60, 100)  # cents from the reference price
_DEPTH = 1_000_000
_DOUBT_MS = 6_000  # an order without a report is in doubt after 2 s
_SWEEP = 400  # shares: whatever rests at that price, and better ones of other customers
_CROSSED = (grpc.StatusCode.INVALID_ARGUMENT,)


class Course:
    """Runs the races of a run, each customer's one after the other."""

    def __init__(
        self, world: World, street: Street, order: Database, races: Sequence[Race]
    ) -> None:
        self._world = world
        self._street = street
        self._order = order
        self.races = races
        self.may_leave = asyncio.Event()
        self._racing = {customer.name for customer in street.customers}

    @property
    def delay_report_ms(self) -> int:
        """How late the exchange reports, in a run of races where orders are in doubt."""
        return _DOUBT_MS if any(race.kind.slow for race in self.races) else 0

    @property
    def is_run(self) -> bool:
        """Whether all races are over. What still rests, rests until `may_leave` is set."""
        return not self._racing

    async def be(self, customer: Customer) -> None:
        """Pay in, race, and when all races are over cancel what still rests."""
        try:
            await self._street.pay_in(customer)
            for race in self.races:
                if race.customer is customer:
                    await self._run(race)
            self._racing.remove(customer.name)
            await self.may_leave.wait()
            for wish in customer.wishes:
                if self._is_open(customer.answers[wish.client_order_id]):
                    await self._street.cancel(customer, wish)
        except Violation as violation:
            self._world.broken(violation)

    async def _run(self, race: Race) -> None:
        self._world.say(f"race {race.kind.name}: {race.wish.client_order_id}")
        await self._quote(race.wish.symbol)
        if race.ahead is not None:
            await self._street.place(race.customer, race.ahead)
        await self._street.place(race.customer, race.wish)
        if race.kind.rests:
            await self._wait_for(race, most_looks=_MOST_LOOKS_TO_REST)
        await asyncio.gather(*(self._act(race, act) for act in race.kind.acts))
        await self._wait_for(race, most_looks=_MOST_LOOKS)

    async def _wait_for(self, race: Race, *, most_looks: int) -> None:
        """Until the order rests or is over and nothing of it is on its way; or no longer."""
        for _ in range(most_looks):
            if not self._is_moving(race.trade_id):
                return
            await self._world.loop_sleep(_LOOK_SECONDS)

    async def _act(self, race: Race, act: Act) -> None:
        await self._world.pause(act.least, act.most)
        match act.what:
            case "cancel":
                await self._street.cancel(race.customer, race.wish)
            case "fill":
                await self._trade(race, _SWEEP)
            case "nibble":
                await self._trade(race, max(1, race.wish.quantity // 3))
            case _:
                await self._replace(race, act.what)

    async def _replace(self, race: Race, what: str) -> None:
        """To one share, beyond all means, or by somewhat more or less; at another price or not."""
        wish = race.wish
        quantities = {"shrink": (1,), "grow": (9_000 * wish.quantity,)}
        quantity = wish.quantity
        about = (quantity, 2 * quantity, quantity + 1, quantity // 2 + 1)
        away = self._world.choice((-15, -1, 0, 1, 15)) * CENT
        request = order_pb.ReplaceTradeRequest(
            client_order_id=f"{wish.client_order_id}-{self._world.new_number()}",
            quantity=self._world.choice(quantities.get(what, about)),
            limit_price_micros=wish.limit_price_micros + away if away else 0,
        )
        await self._street.replace(race.customer, wish, request)

    async def _trade(self, race: Race, quantity: int) -> None:
        """Somebody trades at the order's price, with it or with one before it. Tried once."""
        wish = race.wish
        await self._street.trade(
            wish.symbol,
            quantity,
            is_bid=wish.side == terms.SIDE_SELL,
            price_micros=wish.limit_price_micros,
        )

    async def _quote(self, symbol: str) -> None:
        """Everybody else's orders are far away. Members' may have come in their way: then not."""
        cents = REFERENCE_CENTS[symbol]
        orders = [
            control_pb.RestingOrder(
                order_id=self._world.new_number(),
                is_bid=is_bid,
                quantity=_DEPTH,
                price_micros=(cents - away if is_bid else cents + away) * CENT,
            )
            for is_bid in (True, False)
            for away in _OUTSIDE
        ]
        book = control_pb.LoadBookRequest(symbol=symbol, orders=orders)
        await self._street.insist("operator", self._street.control.LoadBook, book, also=_CROSSED)

    def _is_open(self, trade_id: str) -> bool:
        return bool(
            self._order.rows(
                "SELECT 1 FROM trade WHERE trade_id = %s AND status NOT IN (4, 7, 8, 9)", trade_id
            )
        )

    def _is_moving(self, trade_id: str) -> bool:
        """Whether something of it is on its way."""
        return bool(
            self._order.rows(
                "SELECT 1 FROM trade WHERE trade_id = %s AND (status IN (1, 5, 6) OR in_doubt"
                " OR status = 2 AND exchange_order_id = '')",
                trade_id,
            )
        )
