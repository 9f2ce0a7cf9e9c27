"""Stops in some runs: held by the exchange, or by the house for an exchange that takes none (I19).

Written without the services' rules, as all of the invariants.
"""

import random
from collections.abc import Sequence

from simulation.database import Database
from simulation.scenario import Customer, Street
from simulation.seams import INSTRUMENTS
from simulation.world import Violation, World
from stockbroker.common.v1 import terms_pb2 as terms
from stockbroker.exchange.v1 import exchange_pb2 as market_pb
from stockbroker.exchange.v1 import exchange_service_pb2 as exchange_pb
from stockbroker.order.v1 import order_service_pb2 as order_pb

_SHARE = 0.3  # of all seeds; in half of these the house holds them
_MOST = 4
_AWAY_CENTS = (-3, 1, 4, 10, 60)  # what the market must move by; below 0 it is met at once
_SLACK_CENTS = 5
_CENT = 10_000
_TRADES = 30
_TRADE_SECONDS = (0.1, 0.8)
_TRADED = (40, 400, 4_000)  # shares
_WIDTH_CENTS = (-60, -9, -1, 0, 1, 9, 60)
_STOPS = (terms.ORDER_TYPE_STOP, terms.ORDER_TYPE_STOP_LIMIT)
_STOPS_THERE = (market_pb.ORDER_TYPE_STOP, market_pb.ORDER_TYPE_STOP_LIMIT)
_BUY = 1
_TRIGGERED = 3  # a state


def has_stops(seed: str) -> bool:
    """Whether customers place stops in a run of that seed."""
    return random.Random(f"{seed}/stops").random() < _SHARE


def holds_stops(seed: str) -> bool:
    """Whether the house holds them itself."""
    return random.Random(f"{seed}/stops held").random() < 0.5


def add_stops(seed: str, customers: Sequence[Customer]) -> None:
    """Up to four more wishes, anywhere among the others, of customers with the means for one."""
    rng = random.Random(f"{seed}/stop wishes")
    for number in range(rng.randint(1, _MOST)):
        customer = rng.choice(customers)
        wish = _wish(rng, number)
        customer.wishes.insert(rng.randint(0, len(customer.wishes)), wish)
        customer.cash_micros += 2 * wish.quantity * wish.stop_price_micros
        customer.shares[wish.symbol] += wish.quantity


def _wish(rng: random.Random, number: int) -> order_pb.PlaceTradeRequest:
    instrument = rng.choice(INSTRUMENTS)
    side = rng.choice((terms.SIDE_BUY, terms.SIDE_SELL))
    sign = 1 if side == terms.SIDE_BUY else -1
    cents = instrument.reference_cents + sign * rng.choice(_AWAY_CENTS)
    wish = order_pb.PlaceTradeRequest(
        client_order_id=f"stop-{number}",
        symbol=instrument.symbol,
        side=side,
        quantity=rng.choice((1, 5, 30)),
        order_type=rng.choice(_STOPS),
        stop_price_micros=cents * _CENT,
        time_in_force=terms.TIME_IN_FORCE_GTC,
    )
    if wish.order_type == terms.ORDER_TYPE_STOP_LIMIT:
        wish.limit_price_micros = (cents + sign * _SLACK_CENTS) * _CENT
    return wish


async def trade(world: World, street: Street) -> None:
    """Everybody else trades now and then, so that there are prices."""
    for _ in range(_TRADES):
        await world.pause(*_TRADE_SECONDS)
        instrument = world.choice(INSTRUMENTS)
        cents = instrument.reference_cents + world.choice(_WIDTH_CENTS)
        await street.trade(
            instrument.symbol,
            world.choice(_TRADED),
            is_bid=world.toss(),
            price_micros=cents * _CENT,
            rests=True,
        )


def check_sent(body: bytes) -> None:
    """An exchange that takes no stops is sent none. Raises Violation."""
    request = exchange_pb.SessionRequest.FromString(body)
    for command in request.commands.commands:
        order = command.new_order
        if order.order_type in _STOPS_THERE:
            raise Violation(f"I19: {order.client_order_id} is sent as a stop")


def check_triggered(gateway: Database, exchange: Database) -> set[str]:
    """Held stops went to the exchange if and only if a price met them; those that did."""
    sent = {row[0] for row in exchange.rows("SELECT client_order_id FROM member_order")}
    triggered = set()
    for trade_id, state, side, stop, price in gateway.rows(
        "SELECT trade_id::text, h.state, side, h.stop_price_micros, trigger_price_micros"
        " FROM held_stop h JOIN venue_order USING (trade_id)"
    ):
        is_met = price > 0 and (price >= stop if side == _BUY else price <= stop)
        if is_met is not (state == _TRIGGERED):
            raise Violation(f"I19: {trade_id} to stop at {stop} is in state {state} by {price}")
        if trade_id in sent and not is_met:
            raise Violation(f"I19: {trade_id} is sent and was not met")
        if is_met:
            triggered.add(trade_id)
    return triggered
