"""The exchange simulator's matching core: how many commands a second of one core it takes.

The flow is made up, in the proportions of a busy share: half new orders, most of them canceled
again, one in twenty taking what rests. It is the same in every run. Other engines are told the
same, and must trade as much.
"""

import random
import time
from collections.abc import AsyncGenerator, Callable

from msgspec.structs import replace
from rich.progress import Progress

from bench.judging import NotTrue
from bench.peers import PEERS, Peer
from bench.report import Row
from bench.scale import Scale
from services.exchange_simulator.book import BUY, SELL
from services.exchange_simulator.domain import OrderType, Ticket, TimeInForce
from services.exchange_simulator.matching import Matcher, Traded

_COMMANDS = 20_000
_STOPS = 1_000
_MIDDLE, _TICK = 250_000_000, 10_000
_FLOOR = "empty loop"

# An order to enter, or one to cancel by its id.
Command = Ticket | int


async def rounds(scale: Scale, progress: Progress) -> AsyncGenerator[list[Row], None]:
    """The rows of one round after the other."""
    flow = _flow()
    kinds = (
        ("one symbol", Matcher, ">= 0.06"),
        (f"one symbol, {_STOPS:,} stops wait", _with_stops, ">= 0.06"),
    )
    task = progress.add_task("matching", total=scale.rounds * (1 + len(kinds) + len(PEERS)))
    traded = _traded(flow)
    for number in range(1, scale.rounds + 1):
        progress.update(task, advance=1, description=f"round {number}: {_FLOOR}")
        floor = _rate(flow, _Nobody, scale.seconds)
        rows = [_row(_FLOOR, floor)]
        for name, make, target in kinds:
            progress.update(task, advance=1, description=f"round {number}: {name}")
            rate = _rate(flow, make, scale.seconds)
            rows.append(_row(name, rate, ratio=rate / floor, target=target))
        own = rows[1]
        for name, peer in PEERS.items():
            progress.update(task, advance=1, description=f"round {number}: {name}")
            rate = _rate(flow, peer, scale.seconds)
            told = _row(name, rate, ratio=rate / own.value)
            rows.append(replace(told, floor=own.name, note=_compared(flow, peer, traded)))
        yield rows


def _compared(flow: list[Command], make: Callable[[], Peer], traded: int) -> str:
    """Raises NotTrue unless it trades as many shares."""
    peer = make()
    _run(flow, peer)
    if peer.traded != traded:
        raise NotTrue(f"{peer.traded:,} shares were traded, {traded:,} are right")
    return "told the same, it traded as many shares"


def _traded(flow: list[Command]) -> int:
    """Shares that the simulator's book trades."""
    market = Matcher()
    traded = 0
    for command in flow:
        if isinstance(command, int):
            market.cancel(command)
            continue
        for event in market.enter(command):
            if isinstance(event, Traded):
                traded += sum(fill.quantity for fill in event.fills)
    return traded


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


def _rate(
    flow: list[Command], make: Callable[[], Matcher | Peer | _Nobody], seconds: float
) -> float:
    """Commands a second of CPU time."""
    took, count = 0.0, 0
    while took < seconds:
        market = make()
        began = time.process_time()
        _run(flow, market)
        took += time.process_time() - began
        count += len(flow)
    return count / took


def _run(flow: list[Command], market: Matcher | Peer | _Nobody) -> None:
    enter, cancel = market.enter, market.cancel
    for command in flow:
        if isinstance(command, int):
            cancel(command)
        else:
            enter(command)


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
