"""The command line of the benchmarks: `python -m bench.main`."""

import asyncio
import tempfile
from collections.abc import AsyncGenerator, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
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
from libs.embedded import Postgres, Tuning

# Each yields the rows of one round after the other, told a place to work in and a server.
Suite = Callable[[Postgres, Scale, Progress], AsyncGenerator[list[Row], None]]
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
_FILE_WIDTH = 140
_app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)


@_app.command()
def main(  # noqa: PLR0913 - its parameters are its options
    only: Annotated[
        list[str] | None,
        typer.Option(help="Suites to run; none: all but `growth`, `soak`, `processes`."),
    ] = None,
    seconds: Annotated[float, typer.Option(help="How long each figure is measured.")] = 3.0,
    rounds: Annotated[int, typer.Option(help="How often; the median counts.")] = 3,
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
        seconds=seconds,
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
            with _server() as server:
                measuring = _measured(SUITES[name], server, replace(scale, rounds=most), console)
                found = runner.run(measuring)
            rows, others = [each for each, _ in found], [share for _, share in found]
            title = f"{name}: medians of {most} rounds; {how_quiet(others)}"
            console.print(table(median(rows), title=title))
            console.print(f"kept in {keep(name, rows, others)}")


@contextmanager
def _server() -> Iterator[Postgres]:
    """A durable PostgreSQL of its own."""
    with tempfile.TemporaryDirectory(prefix="stockbroker-bench-") as folder:
        Path(folder).chmod(0o755)  # under root, PostgreSQL is another user
        tuning = Tuning(shared_buffers_mb=1_024)
        with Postgres(Path(folder) / "postgres", tuning=tuning) as server:
            yield server


async def _measured(suite: Suite, server: Postgres, scale: Scale, console: Console) -> Found:
    """The rows of each round."""
    columns = TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn()
    showing = Progress(*columns, console=console, transient=True, refresh_per_second=1)
    found, others = [], Others()
    with showing as progress:
        async for rows in suite(server, scale, progress):
            found.append((rows, others.share()))
            others = Others()
    return found


if __name__ == "__main__":
    _app()
