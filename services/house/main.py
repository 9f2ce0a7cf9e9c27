"""Runs the whole house on this machine: `make up`.

Ends with 0 after Ctrl-C or SIGTERM, with 1 and a sentence when something cannot run, with 2 and a
sentence for a wrong setting.
"""

import argparse
import asyncio
import os
import signal
import sys
import time
from collections.abc import Coroutine
from pathlib import Path
from typing import Any

from libs.clock import SystemClock
from libs.embedded import CannotRun
from libs.settings import load_or_exit
from libs.tasks import end
from services.house.demo.tour import Tour, TourFailed
from services.house.folder import DataFolder
from services.house.parts import Part
from services.house.ports import SERVICES
from services.house.renewal import renew_tokens
from services.house.screen import Screen
from services.house.settings import Settings
from services.house.supervisor import Change, Supervisor
from services.house.wiring import House


def main(arguments: list[str]) -> int:
    """Run until told to stop; the exit status."""
    options = _parse(arguments)
    settings = load_or_exit(Settings)
    _forget_other_databases()
    screen = Screen()
    folder = DataFolder(Path(settings.data_folder))
    try:
        with folder.locked():
            return asyncio.run(_Run(settings, folder, screen, options).run())
    except CannotRun as error:
        screen.refuse(f"{error}.")
    except OSError as error:
        screen.refuse(f"{error.filename or 'this machine'}: {error.strerror or error}.")
    return 1


def _forget_other_databases() -> None:
    """What PGSSLMODE and its like say is of other databases than ours; libpq would heed it."""
    for name in [name for name in os.environ if name.startswith("PG")]:
        del os.environ[name]


def _parse(arguments: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="make up", description="Runs the whole house.")
    parser.add_argument("--no-demo", action="store_true", help="start without showing trades")
    parser.add_argument("--exit-after-demo", action="store_true", help="show trades, then stop")
    # When the person asked, in seconds since 1970: the first fill is timed from then.
    parser.add_argument("--began-at", type=float, default=time.time(), help=argparse.SUPPRESS)
    return parser.parse_args(arguments)


class _Run:
    """One run of the house, from the first part's start to the last one's end."""

    def __init__(
        self,
        settings: Settings,
        folder: DataFolder,
        screen: Screen,
        options: argparse.Namespace,
    ) -> None:
        self._settings = settings
        self._folder = folder
        self._screen = screen
        self._options = options
        self._stop = asyncio.Event()

    async def run(self) -> int:
        """Everything. Raises CannotRun, with nothing left running."""
        self._folder.remove_house()
        self._folder.rotate_logs()
        self._folder.make_keys()
        self._folder.write_tokens(SERVICES)
        self._screen.say(f"The house starts; its data is in {self._folder.path}")
        house = House(self._settings, self._folder)
        house.ports.check()
        stages = house.stages()

        def report(part: Part, change: Change, seconds: float, words: str) -> None:
            self._screen.report(part, change, seconds, words)
            if change in (Change.STARTING, Change.READY) and words:
                self._tell_others(house.describe(stages))

        supervisor = Supervisor(
            stages,
            report=report,
            clock=SystemClock(),
            start_seconds=self._settings.start_seconds,
        )
        self._hear_signals(supervisor)
        try:
            if await self._unless_stopped(supervisor.start()):
                self._folder.write_house(house.describe(stages))
                return await self._serve(house)
            return 0
        finally:
            self._screen.settle()
            self._screen.heading("Stopping")
            await supervisor.stop()
            self._folder.remove_house()

    async def _serve(self, house: House) -> int:
        """The demonstration, then nothing but the supervisor at work."""
        renewal = asyncio.create_task(
            renew_tokens(self._folder, clock=SystemClock(), tell=self._screen.say)
        )
        try:
            if not self._options.no_demo:
                tour = Tour(
                    public=house.ports.address("public"),
                    operators=house.ports.address("operators"),
                    signer=self._folder.signer(),
                    screen=self._screen,
                    began_at=self._options.began_at,
                )
                try:
                    await self._unless_stopped(tour.run())
                except TourFailed as error:
                    self._screen.refuse(f"{error}.")
                    if self._options.exit_after_demo:
                        return 1
                if not self._stop.is_set():
                    tour.tell_what_next()
            if not self._options.exit_after_demo and not self._stop.is_set():
                self._screen.say("\nCtrl-C stops the house; its data stays.")
                await self._stop.wait()
            return 0
        finally:
            await end(renewal)

    def _tell_others(self, house: dict[str, Any]) -> None:
        """Of a change in the run; on a full disk they hear of the next one."""
        try:
            self._folder.write_house(house)
        except OSError as error:
            self._screen.say(f"  house.json could not be written: {error.strerror}")

    async def _unless_stopped(self, work: Coroutine[Any, Any, None]) -> bool:
        """Do `work` until it is done (true) or somebody wants us to stop."""
        task, stopped = asyncio.create_task(work), asyncio.create_task(self._stop.wait())
        await asyncio.wait({task, stopped}, return_when=asyncio.FIRST_COMPLETED)
        await end(stopped)
        if not task.done():
            await end(task)
            return False
        await task
        return True

    def _hear_signals(self, supervisor: Supervisor) -> None:
        def hear() -> None:
            if self._stop.is_set():  # asked twice
                supervisor.kill()
            self._stop.set()

        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, hear)
        if signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:  # else `nohup` was asked for
            loop.add_signal_handler(signal.SIGHUP, hear)


if __name__ == "__main__":
    os.umask(0o077)
    sys.exit(main(sys.argv[1:]))
