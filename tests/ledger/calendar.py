"""A ledger whose months go by as a test wants them to."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta

import pytest

from libs.auth import Verifier
from libs.clock import Clock, SystemClock
from libs.months import Month
from services.ledger import main, tenure


class Calendar(SystemClock):
    """The machine's time, some months on."""

    def __init__(self) -> None:
        self._ahead = timedelta()

    def now(self) -> datetime:
        return super().now() + self._ahead

    def turn_to(self, month: Month, *, day: int = 15) -> None:
        """Go on to a day of a month."""
        self._ahead = month.start + timedelta(days=day - 1) - super().now()

    @property
    def month(self) -> Month:
        """The present one."""
        return Month.of(self.now())


def by_the_machine(settings: main.Settings, clock: Clock) -> Verifier:
    """Tokens know the machine's time alone, whatever a ledger's clock says."""
    return Verifier(settings.jwks_file)


@contextmanager
def calendar_of_ledgers() -> Iterator[Calendar]:
    """The clock of all ledgers that are opened meanwhile; tokens know the machine's time alone.

    As if the database's went with it.
    """
    calendar = Calendar()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(main, "SystemClock", lambda: calendar)
        patch.setattr(tenure, "MOST_AHEAD", timedelta.max)
        patch.setattr(main.Settings, "verifier", by_the_machine)
        yield calendar
