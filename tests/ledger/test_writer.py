"""One process writes at a time, and another takes over when it is gone."""

import asyncio
import random
import signal
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from pathlib import Path

import grpc
import psycopg
import pytest

from libs.clock import SystemClock
from libs.postgres import migrate
from libs.reasons import Reason
from services.ledger.main import MIGRATIONS, Settings, house
from services.ledger.service import LEDGER, PORTFOLIO
from services.ledger.store import epochs
from services.ledger.tenure import Tenure
from services.ledger.writer import Writer
from stockbroker.ledger.v1.invariant_pb2 import GetInvariantsRequest
from tests.ledger import freezing
from tests.ledger.desk import Desk, a_hold, new_id
from tests.ledger.memory import ALICE, DONE, paid_in
from tests.ledger.test_access import refusal
from tests.support.keys import Keys, bearer
from tests.support.wait import until


class Stopped:
    """A clock that lets nobody go on: its process seems frozen, but for what it is told to do."""

    def __init__(self) -> None:
        self._clock = SystemClock()
        self.now = self._clock.now
        self.monotonic = self._clock.monotonic

    async def sleep(self, seconds: float) -> None:
        await self._clock.sleep(3600)


class Process:
    """As much of a ledger as writes."""

    def __init__(self, database_url: str, *, is_frozen: bool = False) -> None:
        self.turns: list[bool] = []
        clock = Stopped() if is_frozen else SystemClock()

        async def on_change(is_writer: bool) -> None:
            self.turns.append(is_writer)

        self.tenure = Tenure(database_url, clock=clock, on_change=on_change)
        self.writer = Writer(
            database_url, tenure=self.tenure, clock=SystemClock(), max_items=500, max_queued=20_000
        )

    async def close(self) -> None:
        await self.writer.close()
        await self.tenure.end()


@pytest.fixture
async def both(
    settings: Settings, postgres_url: str, keys: Keys
) -> AsyncIterator[tuple[Desk, Desk, AsyncExitStack]]:
    """Callers of two ledgers on the same books; the third ends the first ledger."""
    async with AsyncExitStack() as stack:
        first_end = await stack.enter_async_context(AsyncExitStack())
        rpc = await first_end.enter_async_context(house(settings))
        first = await stack.enter_async_context(Desk(rpc.address, postgres_url, keys))
        rpc = await stack.enter_async_context(house(settings))
        second = await stack.enter_async_context(
            Desk(rpc.address, postgres_url, keys, waits_for=PORTFOLIO)
        )
        yield first, second, first_end


@pytest.fixture
async def books(postgres_url: str, keys: Keys) -> Desk:
    """The tables alone: no ledger is there."""
    await migrate(postgres_url, MIGRATIONS)
    return Desk("", postgres_url, keys)


async def test_a_second_process_writes_nothing_and_says_so(
    both: tuple[Desk, Desk, AsyncExitStack],
) -> None:
    writer, other, _ = both
    names = (LEDGER, PORTFOLIO, "")
    assert [await writer.is_ready(name) for name in names] == [True, True, True]
    assert [await other.is_ready(name) for name in names] == [False, True, False]
    await writer.deposit(5)
    assert await refusal(other.deposit(7)) == (grpc.StatusCode.UNAVAILABLE, "UNAVAILABLE")
    assert await other.cash_of() == (5, 0)


async def test_who_follows_at_a_process_that_stands_by_is_told_of_what_is_written(
    both: tuple[Desk, Desk, AsyncExitStack],
) -> None:
    writer, other, _ = both
    stream = other.ledger.GetInvariants(
        GetInvariantsRequest(follow=True), metadata=bearer(other.keys.operator())
    )
    looks = aiter(stream)
    assert (await anext(looks)).transfer_seq == 0
    await writer.deposit(5)
    while (await anext(looks)).transfer_seq == 0:
        pass
    stream.cancel()


async def test_another_process_takes_over_when_the_writer_leaves(
    both: tuple[Desk, Desk, AsyncExitStack],
) -> None:
    writer, other, first_end = both
    deposit = new_id()
    balance = await writer.deposit(5, deposit=deposit)
    await first_end.aclose()

    await until(other.is_ready)
    assert await other.deposit(5, deposit=deposit) == balance
    (hold,) = await other.hold(a_hold(amount=3))
    assert hold.reason == DONE
    await other.assert_books_balance()


async def test_however_often_the_turn_changes_there_is_one_set_of_books(
    both: tuple[Desk, Desk, AsyncExitStack],
) -> None:
    """Holds placed through both at once, each told again until it is answered."""
    first, second, _ = both
    await first.deposit(1_000)
    holds = [a_hold(amount=30, trade=new_id()) for _ in range(40)]
    changes = 0

    async def place(where: Desk, seed: int) -> dict[str, int]:
        reasons: dict[str, int] = {}
        for hold in random.Random(seed).sample(holds, len(holds)):
            while hold.hold_id not in reasons:
                try:
                    (result,) = await where.hold(hold)
                    reasons[hold.hold_id] = result.reason
                except grpc.aio.AioRpcError as error:
                    if error.code() != grpc.StatusCode.UNAVAILABLE:
                        raise
                    await asyncio.sleep(0.01)
        return reasons

    async def change_turns() -> None:
        nonlocal changes
        while True:
            await first.rows("UPDATE writer SET seen_at = '-infinity' RETURNING epoch")
            changes += 1
            await asyncio.sleep(0.5)

    nemesis = asyncio.create_task(change_turns())
    here, there = await asyncio.gather(place(first, 1), place(second, 2))
    nemesis.cancel()

    assert here == there
    assert changes >= 2
    # 33 holds of 30 fit into 1,000.
    assert list(here.values()).count(DONE) == 33
    assert await first.cash_of() == (10, 990)
    await first.assert_books_balance()


async def test_a_frozen_writer_loses_its_turn_and_its_late_batch_is_refused(
    books: Desk, postgres_url: str
) -> None:
    frozen, next_ = Process(postgres_url, is_frozen=True), Process(postgres_url)
    async with AsyncExitStack() as stack:
        for process in (frozen, next_):
            stack.push_async_callback(process.close)
        await frozen.tenure.begin()
        assert frozen.turns == [True]
        (done,) = await frozen.writer.take([paid_in(3, called=new_id())])
        assert done.reason == DONE

        await next_.tenure.begin()
        await until(lambda: next_.turns == [True], seconds=30)
        late, later = paid_in(5, called=new_id()), paid_in(7, called=new_id())
        assert frozen.tenure.epoch is not None  # it knows nothing yet
        with pytest.raises(Exception, match="another process writes the books"):
            await frozen.writer.take([late])
        assert frozen.turns == [True, False]
        (done,) = await next_.writer.take([later])
        assert done.balances[1].account == ALICE
        assert done.balances[1].posted == 3 + 7
        assert await books.rows("SELECT count(*) FROM transfer WHERE id = %s", late.id) == [(0,)]
    await books.assert_books_balance()


async def test_a_writer_frozen_within_a_batch_lets_go_of_the_books(
    books: Desk, postgres_url: str
) -> None:
    """A real process, stopped by SIGSTOP between the lock and the write of a batch."""
    frozen = await asyncio.create_subprocess_exec(
        sys.executable, "-m", freezing.__name__, postgres_url, stdout=asyncio.subprocess.PIPE
    )
    next_ = Process(postgres_url)
    try:
        await until(lambda: is_stopped(frozen.pid), seconds=30)
        await next_.tenure.begin()
        await until(lambda: next_.turns == [True], seconds=30)
        (done,) = await next_.writer.take([paid_in(7, called=new_id())])
        assert done.balances[1].posted == 3 + 7
        frozen.send_signal(signal.SIGCONT)
        told, _ = await frozen.communicate()
        assert "another process writes the books" in told.decode()
    finally:
        if frozen.returncode is None:
            frozen.kill()
        await next_.close()
    assert await books.rows("SELECT posted FROM account WHERE name = %s", ALICE.name) == [(10,)]
    await books.assert_books_balance()


async def test_who_takes_over_ends_nobody_who_is_in_a_copy_of_the_database(
    postgres_url: str, new_database: Callable[..., str]
) -> None:
    """Its tables have the same numbers."""
    async with (
        await psycopg.AsyncConnection.connect(new_database(MIGRATIONS)) as other,
        await psycopg.AsyncConnection.connect(postgres_url, autocommit=True) as connection,
    ):
        await other.execute("SELECT FROM journal_head FOR UPDATE")
        assert await epochs.take(connection, 0.0) == 1
        await other.execute("SELECT FROM journal_head")


def is_stopped(pid: int) -> bool:
    """Whether a signal stopped the process."""
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "T"


async def test_the_epoch_guards_the_write_itself(desk: Desk) -> None:
    """Whatever the process believes, a batch of another epoch changes no row."""
    await desk.deposit(1)
    before = await desk.rows("SELECT * FROM journal_head")
    await desk.rows("UPDATE journal_head SET writer_epoch = writer_epoch + 1 RETURNING 1")
    assert (await refusal(desk.deposit(2)))[1] == Reason.Name(Reason.REASON_UNAVAILABLE)[7:]
    (after,) = await desk.rows("SELECT transfer_seq, batch_seq FROM journal_head")
    assert after == (before[0][1], before[0][3]) == (1, 1)


async def test_who_was_seen_at_a_time_to_come_is_no_writer(books: Desk, postgres_url: str) -> None:
    """The database's clock was set back."""
    for hour in ("+1", "0"):
        seen = f"UPDATE writer SET seen_at = clock_timestamp() + interval '{hour} hour' RETURNING 1"
        await books.rows(seen)
        async with await psycopg.AsyncConnection.connect(postgres_url, autocommit=True) as mine:
            assert await epochs.take(mine, 30.0) == (1 if hour == "+1" else None)
