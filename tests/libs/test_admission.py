"""The rule of admission, against a batcher made up: what is let in is done in time."""

import random

import pytest

from libs.admission import ALWAYS, Admission, Tempo

LONGEST, MOST = 0.06, 500


class Line:
    """A batcher whose batches take `fixed` seconds and `item` for each item, more or less."""

    def __init__(self, fixed: float, item: float, *, noise: float = 0.0) -> None:
        self.admission = Admission(longest_seconds=LONGEST, max_items=MOST)
        self._fixed, self._item, self._noise = fixed, item, noise
        self._chance = random.Random(1)
        self.now, self.over_at = 0.0, 0.0
        self.queue: list[float] = []
        self.flight: list[float] = []
        self.waits: list[float] = []
        self.refused = 0

    def offer(self, items: int) -> None:
        """So many come at once."""
        room = int(min(items, max(0, self.admission.room(len(self.queue)))))
        self.queue += [self.now] * room
        self._go()
        if room < items:
            late = items - room
            assert self.admission.come_back(late, len(self.queue), now=self.now) > 0
            self.refused += late

    def pass_by(self, seconds: float) -> None:
        """Time passes, and batches run."""
        until = self.now + seconds
        while self.flight and self.over_at <= until:
            self._end()
        self.now = until

    def _go(self) -> None:
        if self.queue and not self.flight:
            self.flight, self.queue = self.queue[:MOST], self.queue[MOST:]
            self.admission.begins(len(self.flight))
            takes = self._fixed + self._item * len(self.flight)
            self.over_at = self.now + takes * self._chance.uniform(1 - self._noise, 1 + self._noise)
            self.began = self.now

    def _end(self) -> None:
        self.now = self.over_at
        self.waits += [self.now - came for came in self.flight]
        self.flight = []
        self.admission.ends(took=self.now - self.began)
        self._go()


COSTS = [(fixed, item) for fixed in (0.0005, 0.004, 0.012) for item in (0.00004, 0.0001, 0.0004)]


@pytest.mark.parametrize("times", [2, 10])
@pytest.mark.parametrize("cost", COSTS)
def test_beyond_capacity_what_is_let_in_is_done_in_time_and_the_rate_is_kept(
    cost: tuple[float, float], times: int
) -> None:
    fixed, item = cost
    line = Line(fixed, item, noise=0.1)
    at_once = max(ALWAYS, min(MOST, int((LONGEST / 3 - fixed) / item)))
    capacity = at_once / (fixed + item * at_once)
    for _ in range(300):
        line.offer(max(1, round(times * capacity * 0.002)))
        line.pass_by(0.002)

    assert line.refused
    waits = sorted(line.waits[len(line.waits) // 4 :])
    least = 2 * (fixed + item * ALWAYS)  # what is always let in may take longer
    assert waits[int(len(waits) * 0.99)] <= 1.2 * max(LONGEST, least)
    assert len(waits) >= 0.5 * capacity * line.now


@pytest.mark.parametrize("burst", [1, 50, ALWAYS])
@pytest.mark.parametrize("cost", COSTS)
def test_an_idle_house_takes_a_burst(cost: tuple[float, float], burst: int) -> None:
    line = Line(*cost)
    for _ in range(20):
        line.offer(1)
        line.pass_by(1.0)
    line.offer(burst)
    assert not line.refused


def test_once_what_was_too_much_is_done_everything_is_taken_again() -> None:
    line = Line(0.005, 0.0001)
    for _ in range(200):
        line.offer(100)
        line.pass_by(0.001)
    assert line.refused
    line.refused = 0
    line.pass_by(0.2)
    line.offer(ALWAYS)
    assert not line.refused


def test_a_house_whose_every_batch_takes_long_is_slow_and_not_overloaded() -> None:
    line = Line(2.0, 0.001)
    for _ in range(300):
        line.offer(2)
        line.pass_by(0.05)
    assert not line.refused


def test_whoever_is_refused_is_given_a_later_moment_than_those_before() -> None:
    admission = Admission(longest_seconds=LONGEST, max_items=MOST)
    admission.begins(MOST)
    moments = [admission.come_back(1, 400, now=0.0) for _ in range(1_000)]
    assert moments == sorted(moments)
    assert moments[0] < moments[-1] <= 5.0


def test_the_line_goes_on_by_batches_of_what_is_always_let_in_however_long_each_takes() -> None:
    admission = Admission(longest_seconds=LONGEST, max_items=MOST)
    for items in range(10, 300, 10):
        admission.begins(items)
        admission.ends(took=0.05 + 0.0001 * items)
    admission.begins(ALWAYS)
    # Two batches are before it, and it is one itself.
    batch = 0.05 + 0.0001 * ALWAYS
    assert admission.come_back(ALWAYS, ALWAYS, now=0.0) == pytest.approx(3 * batch, rel=0.2)


def test_one_batch_that_was_held_up_says_little() -> None:
    tempo = Tempo()
    for items in range(10, 300, 10):
        tempo.note(items, 0.005 + 0.0001 * items)
    assert tempo.seconds(200) == pytest.approx(0.025, rel=0.1)
    tempo.note(250, 60.0)
    for items in range(10, 300, 20):
        tempo.note(items, 0.005 + 0.0001 * items)
    assert tempo.seconds(200) == pytest.approx(0.025, rel=0.4)


def test_batches_that_took_no_time_by_the_clock_leave_room_for_more() -> None:
    """As those that fail at once do, before the database is there."""
    admission = Admission(longest_seconds=LONGEST, max_items=MOST)
    for _ in range(3):
        admission.begins(1)
        admission.ends(took=0.0)
        assert admission.room(1) > MOST
        assert admission.come_back(1, 1, now=0.0) > 0
