"""Where the time of a trade goes: py-spy on every service while a door of the house is under load.

    make profile                            both doors, a few seconds of each service
    make profile OPTIONS="--door unary"

Kept in bench/results/profile-*/: per door and service the stacks, one a line with its count, as
flame graphs are made of; and what is on top printed, with the share of samples that do not idle.
"""

import asyncio
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Annotated

import structlog
import typer
import uvloop
from rich.console import Console

from bench.desk import Desk, a_desk
from bench.premises import House, running_house
from bench.report import RESULTS
from bench.scale import Scale

_DOORS = ("unary", "batches")
_SERVICES = ("order", "ledger", "execution", "exchange_gateway", "exchange_simulator")
_RATE = 200  # samples a second
_WARM_SECONDS = 1.0
_app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)


@_app.command()
def main(
    door: Annotated[list[str] | None, typer.Option(help="unary, batches; none: both.")] = None,
    seconds: Annotated[float, typer.Option(help="How long all are sampled.")] = 6.0,
    top: Annotated[int, typer.Option(help="Lines shown of each service.")] = 12,
) -> None:
    """Sample, keep, and show what is on top."""
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger("error"))
    folder = RESULTS / f"profile-{time.strftime('%Y%m%dT%H%M%S', time.gmtime())}"
    folder.mkdir(parents=True)
    scale = Scale(seconds=seconds + _WARM_SECONDS, rounds=1, accounts=0)
    with running_house() as house:
        uvloop.run(_sampled(house, scale, door or list(_DOORS), folder))
    console = Console()
    for path in sorted(folder.glob("*.stacks")):
        console.print(f"[bold]{path.stem}")
        for share, own, frame in _top(path.read_text(), top):
            console.print(f"  {share:4.0%} in and below, {own:4.0%} in  {frame}", highlight=False)
    console.print(f"kept in {folder}")


async def _sampled(house: House, scale: Scale, doors: list[str], folder: Path) -> None:
    async with a_desk(house, scale) as desk:
        await desk.endow()
        await desk.warm_up()
        for door in doors:
            loading = asyncio.create_task(_load(desk, door))
            await asyncio.sleep(_WARM_SECONDS)
            await asyncio.gather(
                *(
                    _sample(house.pids[name], folder / f"{door}-{name}.stacks", scale)
                    for name in _SERVICES
                )
            )
            await loading


async def _load(desk: Desk, door: str) -> None:
    await (desk.unary() if door == "unary" else desk.batches())


async def _sample(pid: int, path: Path, scale: Scale) -> None:
    """Only what the interpreter itself is at: who waits is left out."""
    options = ["--format", "raw", "--rate", str(_RATE), "--gil", "--nonblocking"]
    options += ["--duration", str(int(scale.seconds - _WARM_SECONDS)), "--output", str(path)]
    process = await asyncio.create_subprocess_exec(
        str(Path(sys.executable).with_name("py-spy")),
        "record",
        *options,
        "--pid",
        str(pid),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    words, _ = await process.communicate()
    if process.returncode:
        raise SystemExit(f"py-spy ended with {process.returncode}: {words.decode()}")


def _top(stacks: str, count: int) -> list[tuple[float, float, str]]:
    """The frames most samples are in: share in and below, share in the frame itself."""
    whole, own = Counter[str](), Counter[str]()
    total = 0
    for line in stacks.splitlines():
        stack, _, number = line.rpartition(" ")
        frames = stack.split(";")
        total += int(number)
        own[frames[-1]] += int(number)
        for frame in set(frames):
            whole[frame] += int(number)
    return [(n / total, own[frame] / total, frame) for frame, n in whole.most_common(count)]


if __name__ == "__main__":
    _app()
