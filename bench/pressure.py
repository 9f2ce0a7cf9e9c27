"""What waits are at half and nine tenths of the rate, and what becomes of three times as much.

All of it comes from outside, through Envoy, which turns away what is too much. The rate is that of
a closed loop just before, through the same door. In an open loop every wait counts from the moment
the trade was due. Beyond capacity what is refused is not placed again; how soon all is well
afterwards is what a calm load sees that begins as soon as the flood is answered.

The load stands for machines elsewhere. It is before the house in line for this one's processors: or
what it waits for them would count as the house's. The house stays so: this is the last suite of one
that is shared.
"""

from collections.abc import AsyncGenerator

from rich.progress import Progress

from bench.callers import BatchDoor, Run, UnaryDoor, merged
from bench.desk import Desk, Taken, a_desk
from bench.report import Row, waits
from bench.scale import Scale
from bench.shared import Shared

_SHARES = (0.5, 0.9)
_FLOOD, _CALM = 3.0, 0.3
_LATE_SECONDS = 0.1
_BEHIND_THE_LOAD = 10  # as `nice` counts
Door = UnaryDoor | BatchDoor


async def rounds(
    shared: Shared, scale: Scale, progress: Progress
) -> AsyncGenerator[list[Row], None]:
    """The rows of the one round."""
    task = progress.add_task("a house", total=1 + 2 * (len(_SHARES) + 2))

    def step(what: str) -> None:
        progress.update(task, advance=1, description=what)

    house, customers = shared.desk.house, shared.desk.doors.customers
    async with a_desk(house, scale, customers, is_outside=True) as desk:
        step("customers come to the edge")
        await desk.warm_up()
        house.stand_back(_BEHIND_THE_LOAD)
        doors: dict[str, Door] = {"unary": desk.doors.unary, "batch": desk.doors.batches}
        rows: list[Row] = []
        for name, door in doors.items():
            step(f"{name} door, closed loop")
            rate = await _closed_loop(desk, door, scale)
            for share in _SHARES:
                step(f"{name} door at {share:.0%}")
                rows += await _at(desk, door, f"{name} door at {share:.0%}", rate * share, scale)
            step(f"{name} door at {_FLOOD:.0%}")
            rows += await _flood(desk, door, f"{name} door at {_FLOOD:.0%}", rate, scale)
        yield rows


async def _closed_loop(desk: Desk, door: Door, scale: Scale) -> float:
    """Trades a second."""
    taken = await desk.take(lambda: door.run(scale.seconds, desk.gate()))
    return taken.rate


async def _at(desk: Desk, door: Door, name: str, rate: float, scale: Scale) -> list[Row]:
    taken = await desk.take(lambda: door.paced(scale.seconds, rate))
    note = _note(taken, rate)
    return [
        *waits(f"{name}: answered", taken.run.ack_seconds, note=note),
        *waits(f"{name}: filled", taken.fill_seconds, note=note),
    ]


async def _flood(desk: Desk, door: Door, name: str, rate: float, scale: Scale) -> list[Row]:
    """A flood, then a calm load while what was taken is still being done."""
    runs: list[Run] = []

    async def go() -> Run:
        runs.append(await door.paced(scale.seconds, rate * _FLOOD))
        runs.append(await door.paced(scale.seconds, rate * _CALM))
        return merged(runs)

    taken = await desk.take(go)
    flood, calm = runs
    took = calm.began - flood.began  # until all of it was answered
    note = _note(taken, rate * _FLOOD)
    refusals = flood.refuse_seconds
    return [
        Row(name=f"{name}: taken", value=len(flood.due) / took, unit="1/s", note=note),
        Row(name=f"{name}: refused", value=len(refusals) / took, unit="1/s", note=note),
        *waits(f"{name}: answered", flood.ack_seconds, note="what was taken", most_p99=100),
        *(waits(f"{name}: told no", refusals, note="what was refused") if refusals else ()),
        *_recovery(name, taken, flood, calm),
    ]


def _recovery(name: str, taken: Taken, flood: Run, calm: Run) -> list[Row]:
    late = [
        due - calm.began
        for due, ack in zip(calm.due.values(), calm.ack_seconds, strict=True)
        if ack > _LATE_SECONDS
    ]
    last = max((taken.filled[trade_id] for trade_id in flood.due), default=calm.began)
    note = f"a calm load of {_CALM:.0%} from the last answer on; {calm.refused:,} refused"
    return [
        Row(
            name=f"{name}: until no answer takes 100 ms",
            value=max(late, default=0.0),
            unit="s",
            note=note,
        ),
        Row(
            name=f"{name}: until all of it is filled",
            value=max(0.0, last - calm.began),
            unit="s",
            note=f"{len(flood.due):,} trades taken; none lost, none twice",
        ),
    ]


def _note(taken: Taken, rate: float) -> str:
    others = f"{taken.others:.0%} of the CPU taken was others'"
    return f"{rate:,.0f}/s offered; {taken.run.refused:,} refused; {others}"
