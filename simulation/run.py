"""One run: a seed, a house, customers, faults; then quiet; then every promise is checked."""

import asyncio
import contextlib
import gc
import sys
import warnings
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from prometheus_client import REGISTRY

from libs.auth import Role, Signer
from simulation.amending import Amending
from simulation.course import Course
from simulation.coverage import Coverage
from simulation.database import Database
from simulation.house import House
from simulation.invariants import Eyes
from simulation.loop import StuckForEver
from simulation.plan import Plan
from simulation.proof import check_proof
from simulation.races import races_by
from simulation.scenario import NAMES, Street
from simulation.seams import installed
from simulation.stops import add_stops, trade
from simulation.world import Violation, World
from stockbroker.exchange.v1 import exchange_control_service_pb2 as control_pb

SETTLED_WITHIN_SECONDS = 45.0
_LOOK_SECONDS = 0.5
_HEALS = {
    "swept": "execution_swept_total",
    "reaped": "execution_reaped_total",
    "doubted": "execution_in_doubt_total",
    "resent": "gateway_orders_resent_total",
    "logons": "gateway_session_logons_total",
}


@dataclass(frozen=True, slots=True)
class Tools:
    """What runs share: real databases, keys, tokens."""

    databases: Mapping[str, Database]
    keys: Path
    tokens: Mapping[str, str]


@dataclass(slots=True)
class Verdict:
    """What came of a run."""

    seed: str
    violation: BaseException | None
    digest: str
    seconds: float
    steps: int
    trades: int
    injected: Counter[str]
    heals: dict[str, int]
    coverage: Coverage
    log: Counter[str]
    lines: list[str] = field(default_factory=list)


def tokens_of(keys: Path) -> dict[str, str]:
    """Tokens of everybody outside of the house."""
    signer = Signer(keys / "cli" / "signing.pem")
    year = 366 * 24 * 3600
    tokens = {name: signer.mint(name, Role.CUSTOMER, year) for name in NAMES}
    return tokens | {"operator": signer.mint("operator", Role.OPERATOR, year)}


def run(plan: Plan, tools: Tools) -> Verdict:
    """The verdict on one run. The same plan gives the same one, to the last line of its trace."""
    complain = sys.unraisablehook
    gc.disable()
    sys.unraisablehook = _hush
    try:
        return _run(plan, tools)
    finally:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            gc.collect()
        sys.unraisablehook = complain
        gc.enable()


def _hush(_: object) -> None:
    """What the coroutines of the dead say when they are collected is of no interest."""


def _run(plan: Plan, tools: Tools) -> Verdict:
    script = plan.strikes()
    world = World(plan.seed, rates=plan.rates, script=script)
    world.lines = [] if plan.keeps_trace else None
    for database in tools.databases.values():
        database.begin()
    for kept in tools.keys.rglob("*.checkpoint"):  # of the history of the run before
        kept.unlink()
    before = _heals()
    with installed(world, tools.databases, plan.seed) as (network, bus):
        world.bus = bus
        races = races_by(plan.seed, plan.races, only=plan.kinds)
        street = Street(world, network, tools.tokens, plan.customers_with(races))
        stops = plan.stops()
        if stops is not None:
            add_stops(plan.seed, street.customers)
        street.amends = plan.takes_back()
        eyes = Eyes(world, tools.databases, street, holds_stops=bool(stops))
        world.seen = eyes
        moves = 0.0 if plan.counts or races else world.choice((0.0, 0.0, 4.0))
        house = House(
            world,
            tools.keys,
            plan.counts or _counts(world),
            moves=moves,
            holds_stops=bool(stops),
        )
        course = Course(world, street, tools.databases["order"], races) if races else None
        work = _begin(world, street, course, plan)
        if stops is not None:
            work.append(world.spawn(street.process, trade(world, street)))
        if street.amends:
            amending = Amending(world, street, network, tools.databases)
            work.append(world.spawn(street.process, amending.amend()))
            world.spawn(street.process, amending.settle())
        _drive(world, Watch(eyes, house, course, work), plan.calm_after_seconds)
        heals = {name: count - before[name] for name, count in _heals().items()}
        _judge(world, eyes, heals, tools)
        _dispose(world)
    return Verdict(
        seed=plan.seed,
        violation=world.violation,
        digest=world.trace.hexdigest(),
        seconds=world.loop.time(),
        steps=world.loop.steps,
        trades=sum(len(customer.wishes) for customer in street.customers),
        injected=world.faults.injected,
        heals=heals,
        coverage=eyes.coverage,
        log=world.log,
        lines=world.lines or [],
    )


def _counts(world: World) -> dict[str, int]:
    return {
        "order": world.choice((1, 1, 2)),
        "ledger": world.choice((1, 1, 2)),
        "execution": world.choice((1, 2, 2, 3)),
        "gateway": world.choice((1, 1, 2)),
        "exchange": 1,
    }


def _begin(
    world: World, street: Street, course: Course | None, plan: Plan
) -> list[asyncio.Task[Any]]:
    """Everybody begins, and so does what goes wrong."""
    world.faults.is_active = True
    be = course.be if course is not None else street.be
    work = [world.spawn(street.process, be(customer)) for customer in street.customers]
    script = _disturbance(world) if plan.rates is None else control_pb.SetFaultsRequest()
    if course is not None:
        script.delay_report_ms = course.delay_report_ms
    if script != control_pb.SetFaultsRequest():
        world.spawn(street.process, street.disturb(script))
    world.later(0.5, 0.5, _bus_outage, world)
    return work


def _disturbance(world: World) -> control_pb.SetFaultsRequest:
    """What the exchange does badly."""
    return control_pb.SetFaultsRequest(
        duplicate_report_permille=world.choice((0, 100, 500)),
        reorder_report_permille=world.choice((0, 100, 500)),
        lose_acknowledge_permille=world.choice((0, 200)),
        delay_report_ms=world.choice((0, 0, 50, 1500)),
    )


@dataclass(slots=True)
class Watch:
    """What is looked at until everything is over."""

    eyes: Eyes
    house: House
    course: Course | None
    work: list[asyncio.Task[Any]]

    def is_over(self) -> bool:
        """Whether nobody does anything any more, and nothing is left to be done."""
        return all(task.done() for task in self.work) and self.eyes.is_settled()

    def rests(self) -> bool:
        """Whether all races are run and only orders that rest are left. Raises Violation."""
        course = self.course
        if course is None or not course.is_run or course.may_leave.is_set():
            return False
        if not self.eyes.is_at_rest():
            return False
        self.eyes.look_at_rest(course.races)
        return True


def _drive(world: World, seen: Watch, calm_after_seconds: float) -> None:
    """Until everything is over: within some time after faults ended, or after orders rested."""

    async def watch() -> None:
        since = calm_after_seconds
        while world.violation is None:
            await world.loop_sleep(_LOOK_SECONDS)
            now = world.loop.time()
            is_run = seen.course is not None and seen.course.is_run
            if world.faults.is_active and (is_run or now >= calm_after_seconds):
                _calm(world, seen.house)
                since = now
            if seen.course is not None and not world.faults.is_active and seen.rests():
                seen.course.may_leave.set()
                since = now
            if seen.is_over():
                return
            if now > since + SETTLED_WITHIN_SECONDS:
                raise Violation(f"I9: not settled: {seen.eyes.unsettled(seen.work)}")

    try:
        world.loop.run_until_complete(watch())
    except (Violation, StuckForEver) as violation:
        world.broken(violation)


def _bus_outage(world: World) -> None:
    for fault, wiped in (("bus_away", False), ("bus_wiped", True)):
        if world.faults.strikes(fault):
            world.take_bus_away(wiped=wiped)
    world.later(0.1, 0.5, _bus_outage, world)


def _calm(world: World, house: House) -> None:
    """No more faults; whatever was stopped goes on."""
    world.faults.is_active = False
    world.say("calm")
    for process in house.living():
        world.go_on(process)


def _judge(world: World, eyes: Eyes, heals: Mapping[str, int], tools: Tools) -> None:
    if world.violation is None:
        world.watch(lambda: eyes.check_all(heals))
        world.watch(lambda: check_proof(tools.databases["ledger"], tools.keys))


def _heals() -> dict[str, int]:
    names = {sample: name for name, sample in _HEALS.items()}
    collected = REGISTRY.restricted_registry(names).collect()
    values = {sample.name: sample.value for metric in collected for sample in metric.samples}
    return {name: int(values.get(sample, 0)) for sample, name in names.items()}


def _dispose(world: World) -> None:
    """End every coroutine that is left, whatever it says: nothing it does counts any more."""
    world.is_over = True
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for process in world.processes:
            process.is_dead = True
            for task in process.unfinished():
                task._log_destroy_pending = False  # type: ignore[attr-defined]
                _close(task.get_coro())
    world.loop.close()


def _close(coroutine: Any) -> None:
    for _ in range(10):
        with contextlib.suppress(BaseException):
            coroutine.close()
            return
