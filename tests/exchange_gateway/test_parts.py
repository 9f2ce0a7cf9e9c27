"""The small parts a session is made of."""

import asyncio
from dataclasses import dataclass

import pytest

from libs.clock import SystemClock
from services.exchange_gateway.domain import Command
from services.exchange_gateway.session.tail import Tail, Watermark
from services.exchange_gateway.session.together import together
from services.exchange_gateway.session.unanswered import Unanswered


@dataclass(frozen=True)
class Entry:
    """Something numbered."""

    seq: int


class Journal:
    """A stored journal that says what was read of it."""

    def __init__(self, head: int) -> None:
        self.reads: list[tuple[int, int]] = []
        self.tail = Tail(self._load, head=head, keep=5)

    async def _load(self, start: int, end: int) -> list[Entry]:
        self.reads.append((start, end))
        return [Entry(seq) for seq in range(start, end)]

    async def read(self, start: int, most: int = 100) -> list[int]:
        """Numbers of what is read."""
        return [entry.seq for entry in await self.tail.read(start, most)]


async def test_what_was_just_written_is_read_from_memory() -> None:
    journal = Journal(head=1)
    journal.tail.announce(4, [Entry(1), Entry(2), Entry(3)])

    assert await journal.read(1, most=2) == [1, 2]
    assert await journal.read(3) == [3]
    assert journal.reads == []


async def test_what_is_not_in_memory_is_loaded_and_then_memory_goes_on() -> None:
    journal = Journal(head=3)
    journal.tail.announce(5, [Entry(3), Entry(4)])

    assert await journal.read(1, most=2) == [1, 2]
    assert await journal.read(3) == [3, 4]
    assert journal.reads == [(1, 3)]


async def test_entries_that_are_only_announced_are_loaded() -> None:
    journal = Journal(head=1)
    journal.tail.announce(3, [Entry(1), Entry(2)])
    journal.tail.announce(4)
    journal.tail.announce(5, [Entry(4)])

    assert await journal.read(1, most=3) == [1, 2, 3]
    assert await journal.read(4) == [4]


async def test_memory_is_bounded() -> None:
    journal = Journal(head=1)
    journal.tail.announce(11, [Entry(seq) for seq in range(1, 11)])

    assert await journal.read(1, most=4) == [1, 2, 3, 4]
    assert await journal.read(6) == [6, 7, 8, 9, 10]
    assert journal.reads == [(1, 5)]


async def test_a_reader_waits_for_the_first_entry() -> None:
    journal = Journal(head=1)
    reading = asyncio.create_task(journal.read(1))
    await asyncio.sleep(0)
    assert not reading.done()

    journal.tail.announce(2, [Entry(1)])

    assert await reading == [1]


async def test_a_watermark_only_rises() -> None:
    mark = Watermark(5)

    mark.raise_to(3)

    assert mark.value == 5
    assert await mark.beyond(4) == 5


async def test_when_one_part_fails_the_others_are_ended_and_its_failure_is_raised() -> None:
    ended = []

    async def works() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            ended.append(True)

    async def fails() -> None:
        raise ConnectionError

    with pytest.raises(ConnectionError):
        await together(works(), fails(), works())
    assert ended == [True, True]


async def test_told_to_end_in_the_moment_a_part_fails_it_ends() -> None:
    failing = asyncio.Event()

    async def works() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            failing.set()
            await asyncio.sleep(0)

    async def fails() -> None:
        raise ConnectionError

    both = asyncio.create_task(together(works(), fails()))
    await failing.wait()
    both.cancel()

    with pytest.raises(asyncio.CancelledError):
        await both


class ClockAt(SystemClock):
    """Stands where it is set."""

    seconds = 0.0

    def monotonic(self) -> float:
        return self.seconds


def test_what_is_sent_again_has_waited_since_it_was_sent_first() -> None:
    clock = ClockAt()
    waiting = Unanswered([], clock)
    waiting.add([Command(1, "t", b"")])
    clock.seconds = 7.0

    waiting.add([Command(2, "t", b"")])

    assert waiting.oldest_seconds == 7.0
    assert not waiting.before(6.0, most=10), "but is not asked about before its time"
