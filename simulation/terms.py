"""What a customer asked for is what is kept, what the exchange is sent, and what it executes (I20).

Written without the services' rules, as all of the invariants.
"""

from collections import Counter, defaultdict
from collections.abc import Container, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from simulation.database import Database
from simulation.fills import Told
from simulation.scenario import Customer
from simulation.world import Violation
from stockbroker.order.v1 import order_service_pb2 as order_pb


class Terms(NamedTuple):
    """What a replace may change. Prices in micros; 0: none."""

    quantity: int
    limit_price_micros: int
    stop_price_micros: int


@dataclass(frozen=True, slots=True)
class Wanted:
    """A trade as its customer asked for it: the wish, and its terms first and by each replace."""

    wish: order_pb.PlaceTradeRequest
    terms: Sequence[Terms]

    @property
    def lasting(self) -> tuple[str, int]:
        """What no replace changes, however it goes to the exchange."""
        return self.wish.symbol, self.wish.side


def check_terms(
    customers: Sequence[Customer],
    told: Told,
    order: Database,
    exchange: Database,
    *,
    triggered: Container[str],
) -> None:
    """When all trades are over; `triggered`: stops that went to the exchange as what they became.

    Raises Violation.
    """
    wanted = _wanted(customers, told, order)
    _check_kept(wanted, order)
    _check_sent(wanted, exchange, triggered)
    for fill in told.fills.values():
        limits = [each.limit_price_micros for each in wanted[fill.trade_id].terms]
        best = max(limits) if fill.is_buy else min(limits)
        is_worse = fill.price_micros > best if fill.is_buy else fill.price_micros < best
        _must(not (best and is_worse), f"{fill.trade_id} at {best} is filled at {fill}")


def _wanted(customers: Sequence[Customer], told: Told, order: Database) -> Mapping[str, Wanted]:
    asked = {
        (customer.answers[wish], name): Terms(
            each.quantity, each.limit_price_micros, each.stop_price_micros
        )
        for customer in customers
        for (wish, name), each in customer.replaces.items()
    }
    filled: Counter[str] = Counter()
    for fill in told.fills.values():
        filled[fill.trade_id] += fill.quantity
    comes_to = defaultdict(list)
    for trade_id, name, *numbers in order.rows(
        "SELECT trade_id::text, client_order_id, old_quantity, old_limit_price_micros,"
        " old_stop_price_micros, quantity, limit_price_micros, stop_price_micros FROM trade_replace"
    ):
        old, new = Terms(*numbers[:3]), Terms(*numbers[3:])
        wanted_now = asked.get((trade_id, name), Terms(0, 0, 0))
        _must(any(wanted_now), f"the replace {name} of {trade_id} was never asked for")
        made = Terms(*(then or before for then, before in zip(wanted_now, old, strict=True)))
        if made.quantity < new.quantity <= filled[trade_id]:
            made = made._replace(quantity=new.quantity)  # what is filled stays
        _must(new == made, f"{wanted_now} of {old} of {trade_id} comes to {new}")
        comes_to[trade_id].append(new)
    wanted = {}
    for customer in customers:
        for wish in customer.wishes:
            first = Terms(wish.quantity, wish.limit_price_micros, wish.stop_price_micros)
            trade_id = customer.answers[wish.client_order_id]
            wanted[trade_id] = Wanted(wish, [first, *comes_to[trade_id]])
    return wanted


def _check_kept(wanted: Mapping[str, Wanted], order: Database) -> None:
    for trade_id, symbol, side, kind, time, *numbers in order.rows(
        "SELECT trade_id::text, symbol, side, order_type, time_in_force,"
        " coalesce(placed_quantity, quantity),"
        " coalesce(placed_limit_price_micros, limit_price_micros),"
        " coalesce(placed_stop_price_micros, stop_price_micros),"
        " quantity, limit_price_micros, stop_price_micros FROM trade"
    ):
        trade, placed, now = wanted[trade_id], Terms(*numbers[:3]), Terms(*numbers[3:])
        lasting = symbol, side, kind, time
        expected = *trade.lasting, trade.wish.order_type, trade.wish.time_in_force
        _must(lasting == expected, f"{trade_id} is kept as {lasting}, asked for was {expected}")
        _must(placed == trade.terms[0], f"{trade_id} is kept as {placed}, not {trade.terms[0]}")
        _must(now in trade.terms, f"{trade_id} has {now}, asked for was {trade.terms}")


def _check_sent(
    wanted: Mapping[str, Wanted], exchange: Database, triggered: Container[str]
) -> None:
    for trade_id, symbol, side, kind, time, *numbers in exchange.rows(
        "SELECT client_order_id, symbol, side, order_type, time_in_force, quantity,"
        " limit_price_micros, stop_price_micros FROM member_order"
    ):
        trade, sent = wanted[trade_id], Terms(*numbers)
        _must((symbol, side) == trade.lasting, f"{trade_id} is sent as {symbol} {side}")
        if trade_id in triggered:
            among = [each._replace(stop_price_micros=0) for each in trade.terms]
        else:
            among = list(trade.terms)
            expected = trade.wish.order_type, trade.wish.time_in_force
            _must((kind, time) == expected, f"{trade_id} is sent as {kind, time}, not {expected}")
        _must(sent in among, f"{trade_id} is sent as {sent}, asked for was {among}")


def _must(holds: object, words: str) -> None:
    if not holds:
        raise Violation(f"I20: {words}")
