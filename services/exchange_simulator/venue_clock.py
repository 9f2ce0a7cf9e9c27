"""The time it is on the floor: the real one, or one that an operator has set."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from libs.clock import Clock

MOST_RATE_MILLIS = 1_000 * 86_400  # a day a second
_MICRO = timedelta(microseconds=1)
FIRST, LAST = datetime(1990, 1, 1, tzinfo=UTC), datetime(2200, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Reckoning:
    """When it was `real_at` it was `venue_at` on the floor, and time runs at this rate since then.

    `rate_millis` is in thousandths of real time: 0 stands still.
    """

    real_at: datetime
    venue_at: datetime
    rate_millis: int

    def now(self, real_now: datetime) -> datetime:
        """The time on the floor, from FIRST to LAST, where it stands still."""
        elapsed = (real_now - self.real_at) // _MICRO * self.rate_millis // 1000
        first, last = ((end - self.venue_at) // _MICRO for end in (FIRST, LAST))
        return self.venue_at + max(first, min(elapsed, last)) * _MICRO


class VenueClock:
    """Tells the time on the floor. Waits and durations are real ones."""

    def __init__(self, real: Clock) -> None:
        self._real = real
        self.reckoning: Reckoning | None = None  # None: it is the real time

    @property
    def rate_millis(self) -> int:
        """How fast it runs, in thousandths of real time."""
        return 1_000 if self.reckoning is None else self.reckoning.rate_millis

    def now(self) -> datetime:
        """The wall clock of the floor."""
        return self.by(self.reckoning)

    def by(self, reckoning: Reckoning | None) -> datetime:
        """What time it is now by that reckoning; None: the real time."""
        real_now = self._real.now()
        return real_now if reckoning is None else reckoning.now(real_now)

    def monotonic(self) -> float:
        """Real seconds."""
        return self._real.monotonic()

    async def sleep(self, seconds: float) -> None:
        """Wait for real."""
        await self._real.sleep(seconds)

    def reckon(self, at: datetime, rate_millis: int) -> Reckoning:
        """That it is `at` from now on."""
        return Reckoning(self._real.now(), at, rate_millis)
