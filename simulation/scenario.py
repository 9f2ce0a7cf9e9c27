"""Customers and what they do, by seed. They repeat every call until it is answered."""

import contextlib
import random
from collections import Counter
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import grpc

from libs.partition import partition_of
from simulation.house import ADDRESSES
from simulation.network import Network
from simulation.seams import INSTRUMENTS, PARTITIONS
from simulation.world import Violation, World
from stockbroker.common.v1 import terms_pb2 as terms
from stockbroker.exchange.v1 import exchange_control_service_pb2 as control_pb
from stockbroker.exchange.v1 import exchange_control_service_pb2_grpc as control_grpc
from stockbroker.ledger.v1 import ledger_service_pb2 as ledger_pb
from stockbroker.ledger.v1 import ledger_service_pb2_grpc as ledger_grpc
from stockbroker.order.v1 import order_service_pb2 as order_pb
from stockbroker.order.v1 import order_service_pb2_grpc as order_grpc

NAMES = [name for name in map("c{}".format, range(200)) if partition_of(name) < PARTITIONS]
_CASH = "USD"
_CALL_SECONDS = 3.0
_TAKERS = 1_000_000  # ids of their orders begin here
_AGAIN_SECONDS = (0.05, 0.8)
_LIMITED = 0.35
_JUST_ENOUGH = 0.4  # of customers have the means for their first trade, or lack the last of it
_TIMES = (terms.TIME_IN_FORCE_IOC, terms.TIME_IN_FORCE_FOK, terms.TIME_IN_FORCE_GTC)
_TOO_LATE = (grpc.StatusCode.FAILED_PRECONDITION,)  # it has ended
_PASSING = {
    grpc.StatusCode.UNAVAILABLE,
    grpc.StatusCode.DEADLINE_EXCEEDED,
    grpc.StatusCode.CANCELLED,
    grpc.StatusCode.RESOURCE_EXHAUSTED,
}


@dataclass(slots=True)
class Customer:
    """One customer: deposits, wishes in order, and what the house answered.

    `given`: all that was paid in, by asset, micros or shares. `replaces`: what was asked
    for, by the ids of the wish and of the replace.
    """

    name: str
    cash_micros: int
    shares: dict[str, int]
    wishes: list[order_pb.PlaceTradeRequest]
    answers: dict[str, str] = field(default_factory=dict)
    canceled: set[str] = field(default_factory=set)
    replaces: dict[tuple[str, str], order_pb.ReplaceTradeRequest] = field(default_factory=dict)
    given: Counter[str] = field(default_factory=Counter)


def customers_by(seed: str) -> list[Customer]:
    """Two or three customers with three to eight trades between them."""
    rng = random.Random(f"{seed}/customers")
    names = rng.sample(NAMES, rng.choice((1, 2, 3)))
    customers = [
        Customer(
            name,
            cash_micros=rng.choice((0, 3_000, 60_000, 500_000)) * 1_000_000,
            shares={i.symbol: rng.choice((0, 5, 60)) for i in INSTRUMENTS},
            wishes=[],
        )
        for name in names
    ]
    for number in range(rng.randint(3, 8)):
        rng.choice(customers).wishes.append(_wish(rng, number))
    just_enough = random.Random(f"{seed}/just enough")
    for customer in customers:
        if customer.wishes and just_enough.random() < _JUST_ENOUGH:
            _give_what_it_takes(customer, customer.wishes[0], less=just_enough.choice((0, 1)))
    return customers


def _give_what_it_takes(customer: Customer, wish: order_pb.PlaceTradeRequest, *, less: int) -> None:
    """Means for just this trade, or one share or one micro less."""
    if wish.side == terms.SIDE_SELL:
        customer.shares[wish.symbol] = wish.quantity - less
    elif wish.limit_price_micros:
        customer.cash_micros = wish.quantity * wish.limit_price_micros - less


def _wish(rng: random.Random, number: int) -> order_pb.PlaceTradeRequest:
    instrument = rng.choice(INSTRUMENTS)
    wish = order_pb.PlaceTradeRequest(
        client_order_id=f"wish-{number}",
        symbol=instrument.symbol,
        side=rng.choice((terms.SIDE_BUY, terms.SIDE_SELL)),
        quantity=rng.choice((1, 5, 30, 90, 3_000, 50_000)),
        order_type=terms.ORDER_TYPE_MARKET,
        time_in_force=terms.TIME_IN_FORCE_DAY,
    )
    if rng.random() < _LIMITED:
        wish.order_type = terms.ORDER_TYPE_LIMIT
        wish.time_in_force = rng.choice(_TIMES)
        cents = instrument.reference_cents + rng.choice((-20, -2, 0, 2, 20))
        wish.limit_price_micros = cents * 10_000
    return wish


class Street:
    """Everybody who calls the house from outside."""

    def __init__(
        self,
        world: World,
        network: Network,
        tokens: Mapping[str, str],
        customers: Sequence[Customer],
    ) -> None:
        self._world = world
        self._tokens = tokens
        self.customers = customers
        self.process = world.new_process("street", "customers")
        self._order = order_grpc.OrderServiceStub(_channel(network, "order"))
        self._ledger = ledger_grpc.LedgerServiceStub(_channel(network, "ledger"))
        self.control = control_grpc.ExchangeControlServiceStub(_channel(network, "exchange"))
        self.calls_repeated = 0
        self.amends = False  # the exchange takes fills back

    async def be(self, customer: Customer) -> None:
        """Pay in, then place one trade after the other; some twice, some to replace or cancel them.

        In the end what may rest is canceled: one cancel is enough to end it.
        """
        try:
            await self.pay_in(customer)
            for wish in customer.wishes:
                await self._world.pause(0.0, 1.5)
                await self.place(customer, wish)
                if self._world.toss() and self._world.toss():
                    await self.place(customer, wish)
                if _may_rest(wish) and self._world.toss():
                    await self.replace(customer, wish, _revised(wish, self._world.toss()))
                if self._world.toss() and (_may_rest(wish) or self._world.toss()):
                    await self.cancel(customer, wish)
            for wish in filter(_may_rest, customer.wishes):
                if wish.client_order_id not in customer.canceled:
                    await self._world.pause(0.0, 6.0 if wish.stop_price_micros else 1.5)
                    await self.cancel(customer, wish)
        except Violation as violation:
            self._world.broken(violation)

    async def disturb(self, request: control_pb.SetFaultsRequest) -> None:
        """Have the exchange report badly."""
        await self.insist("operator", self.control.SetFaults, request)

    async def pay_in(self, customer: Customer) -> None:
        """What the customer has at first."""
        await self.give(customer, _CASH, customer.cash_micros)
        for symbol, quantity in customer.shares.items():
            await self.give(customer, symbol, quantity)

    async def give(self, customer: Customer, asset: str, amount: int) -> None:
        """Cash in micros, or shares."""
        if not amount:
            return
        terms: dict[str, Any] = {
            "deposit_id": _uuid(customer.name, asset, str(customer.given[asset])),
            "customer_id": customer.name,
            "reference": "wire",
        }
        customer.given[asset] += amount
        if asset == _CASH:
            cash = ledger_pb.DepositRequest(amount_micros=amount, **terms)
            await self.insist("operator", self._ledger.Deposit, cash)
        else:
            shares = ledger_pb.DepositSharesRequest(symbol=asset, quantity=amount, **terms)
            await self.insist("operator", self._ledger.DepositShares, shares)

    async def place(self, customer: Customer, wish: order_pb.PlaceTradeRequest) -> None:
        """Record a wish; the same wish is the same trade."""
        answer = await self.insist(customer.name, self._order.PlaceTrade, wish)
        trade_id = answer.trade.trade_id
        known = customer.answers.setdefault(wish.client_order_id, trade_id)
        if known != trade_id:
            raise Violation(f"I6: {customer.name} {wish.client_order_id}: {known}, then {trade_id}")

    async def cancel(self, customer: Customer, wish: order_pb.PlaceTradeRequest) -> None:
        """It may be too late for that."""
        customer.canceled.add(wish.client_order_id)
        request = order_pb.CancelTradeRequest(trade_id=customer.answers[wish.client_order_id])
        await self.insist(customer.name, self._order.CancelTrade, request, also=_TOO_LATE)

    async def trade(
        self, symbol: str, quantity: int, *, is_bid: bool, price_micros: int, rests: bool = False
    ) -> None:
        """Somebody else takes what is offered up to that price; the rest may rest. Tried once."""
        order = control_pb.RestingOrder(
            order_id=self._world.new_number() + _TAKERS,
            is_bid=is_bid,
            quantity=quantity,
            price_micros=price_micros,
        )
        kind = control_pb.TapeCommand.KIND_NEW if rests else control_pb.TapeCommand.KIND_IOC
        command = control_pb.TapeCommand(kind=kind, order=order)
        tape = control_pb.PlayTapeRequest(symbol=symbol, commands=[command])
        with contextlib.suppress(grpc.aio.AioRpcError):
            await self.control.PlayTape(
                iter([tape]), timeout=1.0, metadata=self.credentials("operator")
            )

    def credentials(self, who: str) -> tuple[tuple[str, str], ...]:
        """What a call of somebody carries."""
        return (("authorization", f"Bearer {self._tokens[who]}"),)

    async def replace(
        self, customer: Customer, wish: order_pb.PlaceTradeRequest, request: Any
    ) -> None:
        """Ask for other terms. It may be too late for that, or not their turn."""
        request.trade_id = customer.answers[wish.client_order_id]
        customer.replaces[wish.client_order_id, request.client_order_id] = request
        await self.insist(customer.name, self._order.ReplaceTrade, request, also=_TOO_LATE)

    async def insist(
        self,
        who: str,
        call: Callable[..., Awaitable[Any]],
        request: Any,
        *,
        also: Collection[grpc.StatusCode] = (),
    ) -> Any:
        """The answer, after as many attempts as it takes; None for a refusal that is one, too."""
        metadata = self.credentials(who)
        while True:
            try:
                return await call(request, timeout=_CALL_SECONDS, metadata=metadata)
            except grpc.aio.AioRpcError as error:
                if error.code() in also:
                    return None
                if error.code() not in _PASSING:
                    raise Violation(f"{who} is told {error.code()} {error.details()}") from error
                self.calls_repeated += 1
                await self._world.pause(*_AGAIN_SECONDS)


def _revised(wish: order_pb.PlaceTradeRequest, is_more: bool) -> order_pb.ReplaceTradeRequest:
    """Twice as many shares at a cent more, or half of them at the same price."""
    quantity = wish.quantity
    revised = order_pb.ReplaceTradeRequest(
        client_order_id=f"{wish.client_order_id}-again",
        quantity=2 * quantity if is_more else quantity // 2 + 1,
    )
    if is_more and wish.limit_price_micros:
        revised.limit_price_micros = wish.limit_price_micros + 10_000
    if is_more and wish.stop_price_micros:
        revised.stop_price_micros = wish.stop_price_micros + 10_000
    return revised


def _may_rest(wish: order_pb.PlaceTradeRequest) -> bool:
    return wish.time_in_force == terms.TIME_IN_FORCE_GTC


def _channel(network: Network, kind: str) -> Any:
    return network.channel(ADDRESSES[kind])


def _uuid(*words: str) -> str:
    drawn = random.Random("/".join(words)).getrandbits(122)
    text = f"{drawn:032x}"
    return f"{text[:8]}-{text[8:12]}-4{text[13:16]}-8{text[17:20]}-{text[20:]}"


def steady_customers() -> list[Customer]:
    """Two who buy, buy for more than they have, sell, and buy again: every path of a trade."""
    return [_steady(name, number) for number, name in enumerate(NAMES[:2])]


def who_sell_it_all() -> list[Customer]:
    """Two who buy and sell all of it, so that they lack what may be taken back."""
    return [
        Customer(
            name,
            cash_micros=60_000 * 1_000_000,
            shares={},
            wishes=[
                _trade(f"sold-{number}-1", terms.SIDE_BUY, 5),
                _trade(f"sold-{number}-2", terms.SIDE_SELL, 5),
            ],
        )
        for number, name in enumerate(NAMES[:2])
    ]


def many_trades() -> list[Customer]:
    """Three with forty small trades each."""
    customers = [_steady(name, number) for number, name in enumerate(NAMES[:3])]
    for customer in customers:
        wishes = [_trade(f"many-{n}", terms.SIDE_BUY, 1) for n in range(40)]
        customer.wishes[:] = wishes
    return customers


def _steady(name: str, number: int) -> Customer:
    wishes = [
        _trade(f"steady-{number}-1", terms.SIDE_BUY, 5),
        _trade(f"steady-{number}-2", terms.SIDE_BUY, 9_000),
        _trade(f"steady-{number}-3", terms.SIDE_SELL, 5),
        _trade(f"steady-{number}-4", terms.SIDE_BUY, 60),
    ]
    return Customer(name, cash_micros=60_000 * 1_000_000, shares={}, wishes=wishes)


def _trade(wish: str, side: terms.Side.ValueType, quantity: int) -> order_pb.PlaceTradeRequest:
    return order_pb.PlaceTradeRequest(
        client_order_id=wish,
        symbol=INSTRUMENTS[0].symbol,
        side=side,
        quantity=quantity,
        order_type=terms.ORDER_TYPE_MARKET,
        time_in_force=terms.TIME_IN_FORCE_DAY,
    )
