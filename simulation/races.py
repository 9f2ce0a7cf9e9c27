"""Races: requests of a customer against the market, against each other, and against the house.

Each race places an order that may rest and lets two or three things happen to it within moments of
each other. A run has many: what became of each is told by its events (simulation/stories.py).
"""

import random
from collections.abc import Container, Mapping
from dataclasses import dataclass

from simulation.faults import Strike
from simulation.scenario import NAMES, Customer
from simulation.seams import INSTRUMENTS
from stockbroker.common.v1 import terms_pb2 as terms
from stockbroker.order.v1 import order_service_pb2 as order_pb

RACES = 30  # in one run
RACERS = 3
CENT = 10_000
# Cents from the reference price: members' orders are inside, everybody else's far outside.
INSIDE = (1, 40)
_SLOW_RUNS = 0.2
_POOR_MICROS = 15_000 * 1_000_000
_RICH_MICROS = 500_000 * 1_000_000


@dataclass(frozen=True, slots=True)
class Act:
    """Something that happens to the order, so many seconds after it was placed or rests.

    `what`: cancel; replace, grow (beyond all means), shrink (to one share); fill, nibble (a third).
    """

    what: str
    least: float
    most: float


@dataclass(frozen=True, slots=True)
class Kind:
    """What runs against what.

    `rests`: it begins when the order rests, else when it was placed. `behind`: behind another order
    of the customer. `slow`: only where the exchange's reports take long.
    """

    name: str
    acts: tuple[Act, ...]
    rests: bool = True
    behind: bool = False
    slow: bool = False

    @property
    def replaces(self) -> bool:
        """Whether other terms are asked for."""
        return any(act.what in ("replace", "grow", "shrink") for act in self.acts)


KINDS = (
    Kind("cancel against fill", (Act("cancel", 0.0, 0.03), Act("fill", 0.0, 0.06))),
    Kind(
        "cancel against fills",
        (Act("cancel", 0.0, 0.03), Act("nibble", 0.0, 0.04), Act("fill", 0.03, 0.07)),
    ),
    Kind(
        "cancel of a cancel",
        (Act("cancel", 0.0, 0.01), Act("cancel", 0.0, 0.05), Act("fill", 0.0, 0.06)),
    ),
    Kind("cancel before it is sent", (Act("cancel", 0.0, 0.08),), rests=False),
    Kind("cancel before its turn", (Act("cancel", 0.0, 0.03),), rests=False, behind=True),
    Kind(
        "cancel while in doubt",
        (Act("cancel", 2.5, 7.0), Act("fill", 2.0, 8.0)),
        rests=False,
        slow=True,
    ),
    Kind("replace against fill", (Act("replace", 0.0, 0.03), Act("fill", 0.0, 0.06))),
    Kind(
        "replace against fills",
        (Act("replace", 0.0, 0.03), Act("nibble", 0.0, 0.05), Act("nibble", 0.0, 0.08)),
    ),
    Kind("replace below what is filled", (Act("shrink", 0.0, 0.05), Act("nibble", 0.0, 0.03))),
    Kind("replace of a replace", (Act("replace", 0.0, 0.02), Act("replace", 0.0, 0.08))),
    Kind(
        "cancel over replace",
        (Act("replace", 0.0, 0.03), Act("cancel", 0.0, 0.06), Act("fill", 0.02, 0.08)),
    ),
    Kind("replace before it is sent", (Act("replace", 0.0, 0.08),), rests=False),
    Kind("replace before its turn", (Act("replace", 0.0, 0.03),), rests=False, behind=True),
    Kind("replace beyond one's means", (Act("grow", 0.0, 0.02), Act("fill", 0.0, 0.1))),
    Kind(
        "replace while in doubt",
        (Act("replace", 2.5, 7.0), Act("fill", 2.0, 8.0)),
        rests=False,
        slow=True,
    ),
)


@dataclass(slots=True)
class Race:
    """One race of one customer; `ahead`: what is placed before it, if anything."""

    kind: Kind
    customer: Customer
    wish: order_pb.PlaceTradeRequest
    ahead: order_pb.PlaceTradeRequest | None

    @property
    def trade_id(self) -> str:
        """The trade it was about."""
        return self.customer.answers[self.wish.client_order_id]


# What lets requests overtake each other: calls that take long or are lost, whoever dies between.
_STRIKES = (
    *4 * (("call_slow", "execution", "rpc.send:SubmitOrders"),),
    ("call_slow", "execution", "rpc.send:PlaceHolds"),
    ("call_slow", "execution", "rpc.send:CancelOrders"),
    ("request_lost", "execution", "rpc.send:SubmitOrders"),
    ("request_lost", "execution", "rpc.send:CancelOrders"),
    ("reply_lost", "gateway", "rpc.reply:CancelOrders"),
    ("kill", "execution", "rpc.answered:ClaimTrades"),
    ("kill", "execution", "rpc.send:CancelOrders"),
    ("kill", "gateway", "db.committed:gateway-submit"),
    ("stream_cut", "gateway", "stream.up:Session"),
)
_MOST_STRIKES = 20


def strikes_by(seed: str) -> list[Strike]:
    """Some of what lets requests overtake each other, at some moments of a run of races."""
    rng = random.Random(f"{seed}/strikes")
    count = rng.randint(0, _MOST_STRIKES)
    return [Strike(*rng.choice(_STRIKES), rng.randint(1, 40)) for _ in range(count)]


def races_by(seed: str, count: int, *, only: Container[str] = ()) -> list[Race]:
    """So many races between three customers, one of whom has little money; `only` of these kinds.

    In every fifth run reports take long, and all races are of the kinds that want that.
    """
    rng = random.Random(f"{seed}/races")
    is_slow = rng.random() < _SLOW_RUNS
    kinds = [kind for kind in KINDS if (kind.name in only if only else kind.slow is is_slow)]
    customers = [_customer(name, rng.random() < 0.3) for name in rng.sample(NAMES, RACERS)]
    races = []
    for number in range(count):
        customer, kind = customers[number % RACERS], rng.choice(kinds)
        ahead = _wish(rng, f"ahead-{number}") if kind.behind else None
        race = Race(kind, customer, _wish(rng, f"race-{number}"), ahead)
        customer.wishes.extend(wish for wish in (ahead, race.wish) if wish is not None)
        races.append(race)
    return races


def _customer(name: str, is_poor: bool) -> Customer:
    cash_micros = _POOR_MICROS if is_poor else _RICH_MICROS
    shares = {instrument.symbol: 60 if is_poor else 2_000 for instrument in INSTRUMENTS}
    return Customer(name, cash_micros, shares, wishes=[])


def _wish(rng: random.Random, name: str) -> order_pb.PlaceTradeRequest:
    """An order that rests: to buy below the reference price, to sell above it."""
    instrument = rng.choice(INSTRUMENTS)
    side = rng.choice((terms.SIDE_BUY, terms.SIDE_SELL))
    away = rng.randint(*INSIDE)
    cents = instrument.reference_cents + (-away if side == terms.SIDE_BUY else away)
    return order_pb.PlaceTradeRequest(
        client_order_id=name,
        symbol=instrument.symbol,
        side=side,
        quantity=rng.randint(2, 40),
        order_type=terms.ORDER_TYPE_LIMIT,
        limit_price_micros=cents * CENT,
        time_in_force=terms.TIME_IN_FORCE_GTC,
    )


REFERENCE_CENTS: Mapping[str, int] = {
    instrument.symbol: instrument.reference_cents for instrument in INSTRUMENTS
}
