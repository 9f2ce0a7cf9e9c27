"""Trades through a whole house while everything in it is killed, stopped, cut off and flooded.

    python -m services.chaos.main --seed 7 --minutes 2

Ends with 0 when every promise held, with 1 and a sentence when the drill could not be run, with 2
for wrong options, with 3 when a promise was broken, with 130 when interrupted.
"""

import argparse
import asyncio
import contextlib
import math
import os
import shutil
import signal
import sys
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path

import uvloop

from libs.arguments import whole_number
from libs.embedded import CannotRun
from services.chaos.board import Board
from services.chaos.domain.nemesis import FAMILIES, holds_stops
from services.chaos.report import Report
from services.chaos.run import Plan, Run

_BROKEN, _INTERRUPTED = 3, 130
_HOLDERS: Mapping[str, Callable[[int], bool]] = {
    "seed": holds_stops,
    "house": lambda _: True,
    "exchange": lambda _: False,
}


def main(arguments: list[str]) -> int:
    """Run one drill; the exit status."""
    options = _parse(arguments)
    plan = Plan(
        seed=options.seed,
        seconds=options.minutes * 60,
        workers=options.workers,
        rate=options.rate,
        customers=options.customers,
        families=options.faults,
        at_once=options.at_once,
        holds_stops=_HOLDERS[options.stops_held_by](options.seed),
    )
    folder = Path(tempfile.mkdtemp(prefix="stockbroker-chaos-"))
    folder.chmod(0o711)  # PostgreSQL may run as another user
    board = Board()
    is_clean = False
    try:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            report = runner.run(_unless_terminated(Run(plan, folder, board)))
        is_clean = not report.violations
        board.conclude(report)
        if options.report:
            report.write(options.report)
            board.say(f"report: {options.report}")
        return 0 if is_clean else _BROKEN
    except (CannotRun, OSError) as error:
        board.say(f"stockbroker: {error}")
        return 1
    except (KeyboardInterrupt, asyncio.CancelledError):
        is_clean = True
        return _INTERRUPTED
    finally:
        if is_clean and not options.keep:
            shutil.rmtree(folder, ignore_errors=True)
        else:
            board.say(f"its data and logs: {folder}")


async def _unless_terminated(run: Run) -> Report:
    """SIGTERM ends a drill as Ctrl-C does."""
    task = asyncio.current_task()
    assert task is not None
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)
    return await run.run()


def _parse(arguments: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="stockbroker chaos", description=__doc__.split("\n")[0])
    add = parser.add_argument
    add("--seed", type=int, default=1, help="what goes wrong follows from it")
    add("--minutes", type=_positive, default=2.0, help="how long trades are placed")
    add("--workers", type=int, choices=range(1, 9), default=2, help="of the execution service")
    add("--rate", type=_positive, default=20.0, help="orders per second of all customers together")
    add("--customers", type=whole_number, default=40, help="who trade")
    add("--faults", type=_families, default=tuple(FAMILIES), help=", ".join(FAMILIES))
    add("--at-once", type=int, choices=range(1, 9), default=1, help="faults in force at a time")
    add("--stops-held-by", choices=_HOLDERS, default="seed", help="who waits with stops")
    add("--report", type=Path, help="a file of JSON for what it came to")
    add("--keep", action="store_true", help="keep the data and logs also when all is well")
    return parser.parse_args(arguments)


def _positive(text: str) -> float:
    with contextlib.suppress(ValueError):
        if 0 < (number := float(text)) < math.inf:
            return number
    raise argparse.ArgumentTypeError("a number above zero")


def _families(text: str) -> tuple[str, ...]:
    chosen = tuple(filter(None, text.split(",")))
    if not set(chosen) <= set(FAMILIES):
        raise argparse.ArgumentTypeError(f"some of {', '.join(FAMILIES)}, separated by commas")
    return chosen


if __name__ == "__main__":
    os.umask(0o077)
    sys.exit(main(sys.argv[1:]))
