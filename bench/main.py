"""The command line of the benchmarks: `python -m bench.main`."""

import asyncio
from collections.abc import AsyncGenerator, Callable
from functools import partial
from typing import Annotated

import structlog
import typer
import uvloop
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

from bench import (
    bounds,
    growth,
    house,
    ledger,
    matching,
    placing,
    pressure,
    processes,
    soak,
    trades,
    ways,
)
from bench.cpu import Others
from bench.judging import NotTrue
from bench.premises import House
from bench.proving import prove
from bench.report import Row, how_quiet, keep, median, table
from bench.scale import Scale
from bench.shared import Shared, a_shared_house
from libs.embedded import CannotRun

# Each yields the rows of one round after the other.
Suite = Callable[[Scale, Progress], AsyncGenerator[list[Row], None]]
# How much is measured in the suite of a name.
Sized = Callable[[str], Scale]
# In this order on one house: the first want it new, the last one slows it down.
ON_ONE_HOUSE: dict[str, Callable[[Shared, Scale, Progress], AsyncGenerator[list[Row], None]]] = {
    "house": house.rounds,
    "trades": trades.rounds,
    "placing": placing.rounds,
    "bounds": bounds.rounds,
    "pressure": pressure.rounds,
}
APART: dict[str, Suite] = {
    "processes": processes.rounds,
    "ways": ways.rounds,
    "ledger": ledger.rounds,
    "matching": matching.rounds,
    "growth": growth.rounds,
    "soak": soak.rounds,
}
_BY_NAME_ALONE = {"growth", "soak", "processes"}  # long, or for machines with more cores

# The others are long, and have one. Of `trades` the load changes most from round to round.
_ROUNDS = {"trades": 3, "processes": 3, "ways": 2, "ledger": 2, "matching": 2}
_SECONDS = 3.0
_FEWER_SECONDS = {"ways": 2.0, "ledger": 2.0, "matching": 1.0}  # nothing has to get going there
_FILE_WIDTH = 140
_app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)


@_app.command()
def main(  # noqa: PLR0913 - its parameters are its options
    only: Annotated[
        list[str] | None,
        typer.Option(help="Suites to run; none: all but `growth`, `soak`, `processes`."),
    ] = None,
    seconds: Annotated[
        float | None,
        typer.Option(min=0.1, help="How long each figure is measured; none: 1 to 3."),
    ] = None,
    rounds: Annotated[
        int | None,
        typer.Option(min=1, help="How often, the median counts; none: 1 to 3, the long ones 1."),
    ] = None,
    accounts: Annotated[int, typer.Option(min=1_000, help="In the books.")] = 1_000_000,
    callers: Annotated[int, typer.Option(min=1, help="Who place a trade at a time each.")] = 256,
    rate: Annotated[
        float,
        typer.Option(min=0, help="Trades placed a second, come what may; 0: as fast as they go."),
    ] = 0.0,
    customers: Annotated[
        int, typer.Option(min=1_000, help="With money in the end, in `growth`.")
    ] = 100_000,
    history: Annotated[
        int, typer.Option(min=0, help="Old trades in the end, in `growth`.")
    ] = 200_000,
    minutes: Annotated[float, typer.Option(min=0, help="Of trading, in `soak`.")] = 10.0,
) -> None:
    """Measure, show a table per suite, and keep the figures in bench/results/."""
    # What the services log would stand in the table.
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger("error"))

    def sized(name: str) -> Scale:
        usual = _ROUNDS.get(name)
        return Scale(
            seconds=seconds or _FEWER_SECONDS.get(name, _SECONDS),
            rounds=(rounds or usual) if usual else 1,
            accounts=accounts,
            callers=callers,
            rate=rate,
            customers=customers,
            history=history,
            minutes=minutes,
        )

    console = Console()
    if not console.is_terminal:
        console = Console(width=_FILE_WIDTH)
    try:
        # One loop for all suites: gRPC still has things to tell of calls that one of them left.
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(_measured(named(only), sized, console))
    except (CannotRun, NotTrue) as error:
        raise SystemExit(f"bench: {error}") from None


def named(only: list[str] | None) -> list[str]:
    """In the order in which they are measured."""
    every = [*ON_ONE_HOUSE, *APART]
    if unknown := set(only or ()).difference(every):
        words = f"there is no {', '.join(sorted(unknown))}; there are {', '.join(every)}"
        raise typer.BadParameter(words, param_hint="--only")
    return [name for name in every if (name in only if only else name not in _BY_NAME_ALONE)]


async def _measured(names: list[str], sized: Sized, console: Console) -> None:
    """All of these."""
    if together := [name for name in names if name in ON_ONE_HOUSE]:
        console.print(f"a house for {', '.join(together)}")
        async with a_shared_house(sized(together[0])) as shared:
            for name in together:
                suite = partial(ON_ONE_HOUSE[name], shared)
                await _told(name, suite, sized(name), console, house=shared.desk.house)
    for name in names:
        if name in APART:
            await _told(name, APART[name], sized(name), console)


async def _told(
    name: str, suite: Suite, scale: Scale, console: Console, *, house: House | None = None
) -> None:
    """The rows of each round, and what others took of the CPU meanwhile, shown and kept.

    First that its `house` is whole: where it is not, nothing is shown. Raises NotTrue.
    """
    columns = TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn()
    showing = Progress(*columns, console=console, transient=True, refresh_per_second=1)
    found, shares, others = list[list[Row]](), list[float](), Others()
    with showing as progress:
        async for rows in suite(scale, progress):
            found.append(rows)
            shares.append(others.share())
            others = Others()
        if house is not None:
            await prove(house)
    title = f"{name}: medians of {len(found)} rounds; {how_quiet(shares)}"
    console.print(table(median(found), title=title))
    console.print(f"kept in {keep(name, found, shares)}")


if __name__ == "__main__":
    _app()
