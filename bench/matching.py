"""The exchange simulator's matching core: how many commands a second of one core it takes.

The flow is made up, in the proportions of a busy share: half new orders, most of them canceled
again, one in twenty taking what rests. It is the same in every run.
"""

import random
import time
from collections.abc import AsyncGenerator, Callable

from rich.progress import Progress

from bench.report import Row
from bench.scale import Scale
from libs.embedded import Postgres
from services.exchange_simulator.book import BUY, SELL
from services.exchange_simulator.domain import OrderType, Ticket, TimeInForce
from services.exchange_simulator.matching import Matcher

_COMMANDS = 20_000
_STOPS = 1_000
_MIDDLE, _TICK = 250_000_000, 10_000
_FLOOR = "empty loop"

# An order to enter, or one to cancel by its id.
Command = Ticket | int


async def rounds(
    _postgres: Postgres, scale: Scale, progress: Progress
) -> AsyncGenerator[list[Row], None]:
    """The rows of one round after the other; the server is not asked."""
    flow = _flow()
    kinds = (
        ("one symbol", Matcher, ">= 0.06"),
        (f"one symbol, {_STOPS:,} stops wait", _with_stops, ">= 0.06"),
    )
    task = progress.add_task("matching", total=scale.rounds * (1 + len(kinds)))
    for number in range(1, scale.rounds + 1):
        progress.update(task, advance=1, description=f"round {number}: {_FLOOR}")
        floor = _rate(flow, _Nobody, scale.seconds)
        rows = [_row(_FLOOR, floor)]
        for name, make, target in kinds:
            progress.update(task, advance=1, description=f"round {number}: {name}")
            rate = _rate(flow, make, scale.seconds)
            rows.append(_row(name, rate, ratio=rate / floor, target=target))
        yield rows


def _row(name: str, rate: float, *, ratio: float | None = None, target: str = "") -> Row:
    return Row(
        name=name,
        value=rate,
        unit="1/s",
        floor="" if ratio is None else _FLOOR,
        ratio=ratio,
        cpu_us=1e6 / rate,
        target=target,
        note=f"the same {_COMMANDS:,} commands over and over, one core",
    )


class _Nobody:
    """Takes commands and does nothing."""

    def enter(self, ticket: Ticket) -> None:
        """Nothing."""

    def cancel(self, order_id: int) -> None:
        """Nothing."""


def _rate(flow: list[Command], make: Callable[[], Matcher | _Nobody], seconds: float) -> float:
    """Commands a second of CPU time."""
    took, count = 0.0, 0
    while took < seconds:
        market = make()
        enter, cancel = market.enter, market.cancel
        began = time.process_time()
        for command in flow:
            if isinstance(command, int):
                cancel(command)
            else:
                enter(command)
        took += time.process_time() - began
        count += len(flow)
    return count / took


def _with_stops() -> Matcher:
    """With orders that wait far away."""
    market = Matcher()
    for number in range(1, _STOPS + 1):
        price = _MIDDLE * 2 + number * _TICK
        market.enter(Ticket(-number, BUY, 100, OrderType.STOP, TimeInForce.GTC, stop=price))
    return market


def _flow() -> list[Command]:
    """Commands that meet what they are about: made along a market that runs with them."""
    chance, market = random.Random(1), Matcher()
    flow: list[Command] = []
    resting: list[int] = []
    while len(flow) < _COMMANDS:
        if resting and chance.random() < 0.45:
            place = chance.randrange(len(resting))
            resting[place], resting[-1] = resting[-1], resting[place]
            order_id = resting.pop()
            if order_id not in market:
                continue
            market.cancel(order_id)
            flow.append(order_id)
        else:
            ticket = _ticket(chance, len(flow) + 1)
            market.enter(ticket)
            flow.append(ticket)
            if ticket.order_id in market:
                resting.append(ticket.order_id)
    return flow


def _ticket(chance: random.Random, order_id: int) -> Ticket:
    """One in ten takes what rests, the others come near the best price on their side."""
    side, quantity = chance.choice((BUY, SELL)), 100 * chance.randint(1, 5)
    takes = chance.random() < 0.1
    away = -5 if takes else min(40, int(chance.expovariate(0.2)) + 1)
    limit = _MIDDLE - _TICK * away if side == BUY else _MIDDLE + _TICK * away
    time_in_force = TimeInForce.IOC if takes else TimeInForce.DAY
    return Ticket(order_id, side, quantity, OrderType.LIMIT, time_in_force, limit=limit)
