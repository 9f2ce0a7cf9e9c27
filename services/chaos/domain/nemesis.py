"""What goes wrong and when: all of it follows from a seed."""

import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import Enum

ALL = "house"  # as a target: every process but the supervisor
DATABASE = "postgres"
_WARM_UP_SECONDS = 4.0
_REST_SECONDS = (1.5, 4.0)
_LONGEST_STOP_SECONDS = 30.0
_LONGEST_PARTITION_SECONDS = 12.0
_FLOOD_SECONDS = (2.0, 5.0)
_FULL_SECONDS = (2.0, 6.0)
_MISBEHAVIOUR_SECONDS = (5.0, 15.0)


class Kind(Enum):
    """What is done to a target."""

    KILL = "kill"  # -9; the supervisor starts it again
    STOP = "stop"  # SIGSTOP, later SIGCONT
    CUT = "cut"  # connections break off and are refused
    STALL = "stall"  # connections stay, and nothing passes
    SLOW = "slow"  # everything passes late
    FLOOD = "flood"  # more calls than it can answer
    FULL = "full disk"  # nothing more can be written
    MISBEHAVE = "misbehave"  # the exchange duplicates, reorders, delays, forgets, refuses


PARTITIONS = (Kind.CUT, Kind.STALL, Kind.SLOW)
# What can be asked for, and the kinds that it means.
FAMILIES: Mapping[str, tuple[Kind, ...]] = {
    "kill": (Kind.KILL,),
    "stop": (Kind.STOP,),
    "partition": PARTITIONS,
    "flood": (Kind.FLOOD,),
    "disk": (Kind.FULL,),
    "exchange": (Kind.MISBEHAVE,),
}


@dataclass(frozen=True, slots=True)
class Misbehaviour:
    """Of the exchange: chances in thousandths, and the milliseconds every report waits."""

    duplicate_permille: int = 0
    reorder_permille: int = 0
    reject_permille: int = 0
    lose_acknowledge_permille: int = 0
    delay_ms: int = 0


@dataclass(frozen=True, slots=True)
class Fault:
    """Something that goes wrong `at` seconds after the start, for `seconds` (a kill: 0).

    `at` is when it comes if trading goes on at once after each fault before it; else later.

    `target` is a process (order), a way between two (execution>ledger), or ALL. `delay_ms` is how
    late things pass where they are SLOW. Faults of one `lane` come one after the other.
    """

    at: float
    kind: Kind
    target: str
    seconds: float = 0.0
    delay_ms: int = 0
    misbehaviour: Misbehaviour | None = None
    lane: int = 0


@dataclass(frozen=True, slots=True)
class Field:
    """What can be hit. `processes`: by name; `ways`: process -> the parts it calls."""

    processes: Sequence[str]
    ways: Mapping[str, Sequence[str]]


def holds_stops(seed: int) -> bool:
    """Whether the house of a drill waits with stops itself."""
    return random.Random(f"{seed}/stops").random() < 0.5


def schedule(
    *, seed: int, seconds: float, field: Field, families: Sequence[str], at_once: int = 1
) -> tuple[Fault, ...]:
    """The faults of a drill of so many seconds, in the order of their times.

    So many `at_once`, each lane one after the other; the exchange's misbehaviour runs beside them
    all the time. In a lane every target gets its turn before one gets a second.
    """
    faults: list[Fault] = []
    for lane in range(at_once):
        rng = random.Random(f"{seed}/{lane}")
        faults += (replace(f, lane=lane) for f in _one_by_one(rng, seconds, field, families))
    if "exchange" in families:
        faults += _misbehaviours(random.Random(seed), seconds)
    return tuple(sorted(faults, key=lambda fault: fault.at))


def _one_by_one(
    rng: random.Random, seconds: float, field: Field, families: Sequence[str]
) -> Iterator[Fault]:
    at = _WARM_UP_SECONDS
    for kind, target in _deck(rng, field, families):
        lasts = _lasts(rng, kind, seconds)
        if is_too_late(at, lasts, seconds):
            return
        delay = rng.choice((20, 100, 300)) if kind is Kind.SLOW else 0
        yield Fault(round(at, 1), kind, target, lasts, delay)
        at += lasts + rng.uniform(*_REST_SECONDS)


def is_too_late(at: float, lasts: float, seconds: float) -> bool:
    """Whether a fault would not be over well before a drill of so many seconds is."""
    return at + lasts > seconds - _REST_SECONDS[1]


def _deck(rng: random.Random, field: Field, families: Sequence[str]) -> Iterator[tuple[Kind, str]]:
    """Every card once, shuffled; then again, shuffled anew. None hits the target of the last."""
    ways = [f"{process}>{part}" for process, parts in field.ways.items() for part in parts]
    cards = [
        (family, target)
        for family in ("kill", "stop", "partition", "flood")
        for target in field.processes
        if family in families
    ]
    if "kill" in families:
        cards.append(("kill", ALL))
    if "disk" in families:
        cards.append(("disk", DATABASE))
    if "partition" in families:
        cards += [("partition", way) for way in rng.sample(ways, min(4, len(ways)))]
    last = ""
    waiting: list[tuple[str, str]] = []
    while cards:
        waiting = waiting or rng.sample(cards, len(cards))
        card = next((card for card in waiting if card[1] != last), waiting[0])
        waiting.remove(card)
        family, last = card
        yield rng.choice(FAMILIES[family]), last


def _lasts(rng: random.Random, kind: Kind, seconds: float) -> float:
    """How long a fault is in force, in seconds: mostly short, now and then as long as may be."""
    if kind is Kind.KILL:
        return 0.0
    if kind in (Kind.FLOOD, Kind.FULL):
        return round(rng.uniform(*(_FLOOD_SECONDS if kind is Kind.FLOOD else _FULL_SECONDS)), 1)
    longest = _LONGEST_STOP_SECONDS if kind is Kind.STOP else _LONGEST_PARTITION_SECONDS
    return round(rng.triangular(1.0, max(2.0, min(longest, seconds / 4)), 2.0), 1)


def _misbehaviours(rng: random.Random, seconds: float) -> Iterator[Fault]:
    at = 0.0
    while at < seconds:
        lasts = round(min(rng.uniform(*_MISBEHAVIOUR_SECONDS), seconds - at), 1)
        script = Misbehaviour(
            duplicate_permille=rng.choice((0, 50, 300)),
            reorder_permille=rng.choice((0, 50, 300)),
            reject_permille=rng.choice((0, 0, 20)),
            lose_acknowledge_permille=rng.choice((0, 50, 300)),
            delay_ms=rng.choice((0, 0, 50, 500)),
        )
        yield Fault(round(at, 1), Kind.MISBEHAVE, "exchange_simulator", lasts, 0, script)
        at += max(lasts, 1.0)
