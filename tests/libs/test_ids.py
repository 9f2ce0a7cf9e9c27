import uuid
from datetime import UTC, datetime

from libs.clock import SystemClock
from libs.ids import SystemIds


class _StoppedClock(SystemClock):
    def now(self) -> datetime:
        return datetime(2026, 11, 21, tzinfo=UTC)


def test_ids_are_uuids_of_version_7_at_the_clocks_time() -> None:
    made = uuid.UUID(SystemIds(_StoppedClock()).new())
    assert made.version == 7
    assert made.variant == uuid.RFC_4122
    assert made.int >> 80 == int(_StoppedClock().now().timestamp() * 1000)


def test_ids_rise_even_when_the_clock_stands_still() -> None:
    ids = SystemIds(_StoppedClock())
    made = [ids.new() for _ in range(10_000)]
    assert made == sorted(set(made))
