"""A house whose months go by as a test wants them to.

Its parts run by a Python of their own, which goes by the file of a `Calendar`; as a program this is
that house.
"""

import contextlib
import os
import sys
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path

from libs.months import Month
from services.house.main import main
from tests.support.house import House, running_house

_AHEAD = Path(__file__).with_name("ahead")


class Calendar:
    """The order service's and the ledger's."""

    def __init__(self, folder: Path) -> None:
        self.month = Month.of(datetime.now(UTC))
        self._file = folder / "ahead"
        self._python = folder / "python"
        self._file.write_text("0")
        self._python.write_text(
            f'#!/bin/sh\nPYTHONPATH="{_AHEAD}:$PYTHONPATH" exec "{sys.executable}" "$@"\n'
        )
        self._python.chmod(0o755)

    def environment(self) -> Mapping[str, str]:
        """For whoever is to go by it."""
        return {
            "AHEAD_FILE": str(self._file),
            "AHEAD_PYTHON": str(self._python),
            "PYTHONPATH": str(_AHEAD),
        }

    def turn_to(self, month: Month) -> None:
        """Go on to some day in the middle of a month."""
        ahead = month.start + timedelta(days=14) - datetime.now(UTC)
        fresh = self._file.with_name("ahead.new")
        fresh.write_text(str(int(ahead.total_seconds())))
        fresh.replace(self._file)
        self.month = month


@contextlib.contextmanager
def later_house(folder: Path, **settings: str) -> Iterator[tuple[House, Calendar]]:
    """A house, and what it goes by."""
    calendar = Calendar(folder)
    data = folder / "house"
    data.mkdir()
    told = {name: value for name, value in calendar.environment().items() if name != "PYTHONPATH"}
    with running_house(data, "tests.support.later", environment=told, **settings) as house:
        yield house, calendar


if __name__ == "__main__":
    os.umask(0o077)
    sys.executable = os.environ["AHEAD_PYTHON"]
    sys.exit(main(sys.argv[1:]))
