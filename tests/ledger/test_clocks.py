"""A clock that leaps ahead leaves no time on record that is still to come."""

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta

import grpc
import pytest

from libs.clock import SystemClock
from libs.refusals import Unavailable
from services.ledger import main
from services.ledger.main import Settings, house
from services.ledger.tenure import Tenure
from services.ledger.writer import Writer
from tests.ledger.calendar import by_the_machine
from tests.ledger.desk import Desk, new_id
from tests.ledger.memory import DONE, paid_in
from tests.ledger.test_access import refusal
from tests.support.keys import Keys
from tests.support.wait import until

LEAP = timedelta(days=3)


class Leaping(SystemClock):
    """The machine's time, and how far it has leapt."""

    def __init__(self) -> None:
        self.by = timedelta()

    def now(self) -> datetime:
        return super().now() + self.by


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Leaping:
    """That of the ledger alone; tokens go by the machine's time."""
    clock = Leaping()
    monkeypatch.setattr(main, "SystemClock", lambda: clock)
    monkeypatch.setattr(main.Settings, "verifier", by_the_machine)
    return clock


@pytest.fixture
async def desk(
    settings: Settings, postgres_url: str, keys: Keys, clock: Leaping
) -> AsyncIterator[Desk]:
    async with house(settings) as rpc, Desk(rpc.address, postgres_url, keys) as desk:
        yield desk


async def test_nothing_is_recorded_at_a_time_that_is_still_to_come(
    desk: Desk, clock: Leaping
) -> None:
    deposit = new_id()
    await desk.deposit(5)
    clock.by = LEAP
    assert await refusal(desk.deposit(7, deposit=deposit)) == (
        grpc.StatusCode.UNAVAILABLE,
        "UNAVAILABLE",
    )
    await until(lambda: _is_unready(desk))
    clock.by = timedelta()
    await until(desk.is_ready)
    await desk.deposit(7, deposit=deposit)
    assert await desk.cash_of() == (12, 0)
    ((latest,),) = await desk.rows("SELECT max(recorded_at) FROM batch")
    assert latest <= datetime.now(UTC)


async def _is_unready(desk: Desk) -> bool:
    return not await desk.is_ready()


async def test_books_that_are_ahead_already_go_on(desk: Desk) -> None:
    """What an older ledger has left is no reason to stand still until then."""
    await desk.deposit(5)
    await desk.rows("UPDATE journal_head SET recorded_at = now() + interval '1 day' RETURNING 1")
    await desk.deposit(7)
    assert await desk.cash_of() == (12, 0)


async def test_a_process_whose_clock_is_right_takes_over(postgres_url: str) -> None:
    async def nobody(_: bool) -> None:
        pass

    clocks = Leaping(), Leaping()
    turns = [Tenure(postgres_url, clock=clock, on_change=nobody) for clock in clocks]
    writers = [
        Writer(postgres_url, tenure=turn, clock=clock, max_items=500, max_queued=20_000)
        for turn, clock in zip(turns, clocks, strict=True)
    ]
    for turn in turns:
        await turn.begin()
    assert [turn.epoch is not None for turn in turns] == [True, False]
    clocks[0].by = LEAP
    with pytest.raises(Unavailable):
        await writers[0].take([paid_in(3, called=new_id())])
    await until(lambda: turns[1].epoch is not None)
    (result,) = await writers[1].take([paid_in(3, called=new_id())])
    assert result.reason == DONE
    assert turns[0].epoch is None
    await asyncio.gather(*(writer.close() for writer in writers))
    await asyncio.gather(*(turn.end() for turn in turns))
