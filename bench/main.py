"""The command line of the benchmarks: `python -m bench.main`."""

import asyncio
from collections.abc import AsyncGenerator, Callable
from typing import Annotated

import structlog
import typer
import uvloop
from msgspec.structs import replace
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

from bench import (
    bounds,
    growth,
    house,
    ledger,
    matching,
    pressure,
    processes,
    soak,
    trades,
    ways,
)
from bench.cpu import Others
from bench.report import Row, how_quiet, keep, median, table
from bench.scale import Scale

# Each yields the rows of one round after the other.
Suite = Callable[[Scale, Progress], AsyncGenerator[list[Row], None]]
# Rows of a round, and what others took of the CPU meanwhile.
Found = list[tuple[list[Row], float]]
SUITES: dict[str, Suite] = {
    "trades": trades.rounds,
    "pressure": pressure.rounds,
    "house": house.rounds,
    "bounds": bounds.rounds,
    "ways": ways.rounds,
    "processes": processes.rounds,
    "ledger": ledger.rounds,
    "matching": matching.rounds,
    "growth": growth.rounds,
    "soak": soak.rounds,
}

_MOST_ROUNDS = {"pressure": 1, "house": 1, "bounds": 1, "growth": 1, "soak": 1}  # they are long
_BY_NAME_ALONE = {"growth", "soak", "processes"}  # longer still, or for machines with more cores
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
    rounds: Annotated[int, typer.Option(min=1, help="How often; the median counts.")] = 3,
    accounts: Annotated[int, typer.Option(help="Accounts in the books.")] = 1_000_000,
    callers: Annotated[int, typer.Option(help="Who place a trade at a time each.")] = 256,
    rate: Annotated[
        float, typer.Option(help="Trades placed a second, come what may; 0: as fast as they go.")
    ] = 0.0,
    customers: Annotated[int, typer.Option(help="With money in the end, in `growth`.")] = 100_000,
    history: Annotated[int, typer.Option(help="Old trades in the end, in `growth`.")] = 200_000,
    minutes: Annotated[float, typer.Option(help="Of trading, in `soak`.")] = 10.0,
) -> None:
    """Measure, show a table per suite, and keep the figures in bench/results/."""
    # What the services log would stand in the table.
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger("error"))
    scale = Scale(
        seconds=seconds or _SECONDS,
        rounds=rounds,
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
    # One loop for all suites: gRPC still has things to tell of calls that one of them left.
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        for name in only or [suite for suite in SUITES if suite not in _BY_NAME_ALONE]:
            most = min(rounds, _MOST_ROUNDS.get(name, rounds))
            long = seconds or _FEWER_SECONDS.get(name, _SECONDS)
            its = replace(scale, rounds=most, seconds=long)
            found = runner.run(_measured(SUITES[name], its, console))
            rows, others = [each for each, _ in found], [share for _, share in found]
            title = f"{name}: medians of {most} rounds; {how_quiet(others)}"
            console.print(table(median(rows), title=title))
            console.print(f"kept in {keep(name, rows, others)}")


async def _measured(suite: Suite, scale: Scale, console: Console) -> Found:
    """The rows of each round."""
    columns = TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn()
    showing = Progress(*columns, console=console, transient=True, refresh_per_second=1)
    found, others = [], Others()
    with showing as progress:
        async for rows in suite(scale, progress):
            found.append((rows, others.share()))
            others = Others()
    return found


if __name__ == "__main__":
    _app()
