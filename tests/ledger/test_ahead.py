"""What goes wrong while the next batch is decided already costs nothing and changes no answer."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import psycopg
import pytest
from structlog.testing import capture_logs

from libs.clock import SystemClock
from libs.postgres import migrate
from services.ledger.domain.books import AccountKey, AccountState, Kind, Result
from services.ledger.domain.operations import Operation, Post, Restrain, leg
from services.ledger.main import MIGRATIONS
from services.ledger.tenure import Tenure
from services.ledger.writer import Writer
from tests.ledger.desk import Desk, new_id
from tests.ledger.memory import ALICE, DONE, Books, drawn, group, held, paid_in, paid_out, released
from tests.ledger.wire_cutter import WireCutter
from tests.support.keys import Keys

BOB = AccountKey("customer/bob", "USD")
# The commits that are told to fail do so at their very end, whoever makes them; a number that was
# drawn is gone even so.
FAILING_COMMITS = """
    CREATE SEQUENCE commits;
    CREATE FUNCTION fail() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        IF nextval('commits') IN (2, 5, 6, 11) THEN
            RAISE EXCEPTION 'no commit';
        END IF;
        RETURN NULL;
    END
    $$;
    CREATE CONSTRAINT TRIGGER fails AFTER INSERT ON batch
        DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION fail();
"""


@asynccontextmanager
async def a_writer(database_url: str) -> AsyncIterator[Writer]:
    """Small batches, so that one call is many of them, each decided ahead."""

    async def on_change(is_writer: bool) -> None:
        pass

    clock = SystemClock()
    tenure = Tenure(database_url, clock=clock, on_change=on_change)
    writer = Writer(database_url, tenure=tenure, clock=clock, max_items=3, max_queued=1_000)
    await tenure.begin()
    try:
        yield writer
    finally:
        await writer.close()
        await tenure.end()


def a_day() -> list[Operation]:
    """Operations each of which comes out as it does because of those before it."""
    day: list[Operation] = []
    for amount in range(1, 13):
        hold, fill = new_id(), new_id()
        key = (ALICE, BOB)[amount % 2]
        day += [
            paid_in(amount, key, called=new_id()),
            held(0, key, called=hold),  # all that is there
            paid_out(1, key, called=new_id()),  # of which nothing is left
            group(drawn(1, key), called=fill, hold=hold),
            group(drawn(1, key), called=fill, hold=hold),
            released(hold, called=new_id()),
            released(hold, called=new_id()),
        ]
    return day


def set_to(state: AccountState) -> Restrain:
    """The accounts of alice."""
    kind = Kind.FREEZE if state is AccountState.FROZEN else Kind.UNFREEZE
    return Restrain(id=new_id(), kind=kind, name=ALICE.name, state=state)


def taken_back(amount: int, deposit: str) -> Post:
    back = leg(amount, ALICE.asset, source=ALICE.name, target="house/deposits")
    return Post(id=new_id(), kind=Kind.REVERSAL, legs=(back,), reverses=deposit)


def a_day_of_operators() -> list[Operation]:
    """The same of freezes and reversals; 13 at a time, so that batches of three end anywhere."""
    day: list[Operation] = []
    for amount in range(1, 13):
        deposit = new_id()
        day += [
            paid_in(amount, called=deposit),
            set_to(AccountState.FROZEN),
            *[paid_in(1, called=new_id()) for _ in range(6)],
            taken_back(1_000, deposit),
            set_to(AccountState.OPEN),
            taken_back(amount, deposit),
            taken_back(amount, deposit),
            paid_in(2, called=new_id()),
        ]
    return day


def as_told(results: list[Result]) -> list[tuple[object, ...]]:
    return [(r.id, r.reason, r.amount, r.balances) for r in results]


@pytest.fixture
async def books(postgres_url: str, keys: Keys) -> Desk:
    """The tables alone: no ledger is there."""
    await migrate(postgres_url, MIGRATIONS)
    return Desk("", postgres_url, keys)


async def assert_all_is_there(books: Desk, day: list[Operation], results: list[Result]) -> None:
    """Each operation once, answered as if each had come alone and nothing had happened."""
    expected = Books()
    assert as_told(results) == as_told([expected.take(operation)[0] for operation in day])
    ids = await books.rows("SELECT id::text FROM transfer ORDER BY seq")
    assert [id_ for (id_,) in ids] == list(dict.fromkeys(o.id for o in day))
    for key in expected.accounts.keys() & {ALICE, BOB}:
        rows = await books.rows("SELECT posted, held FROM account WHERE name = %s", key.name)
        assert rows == [(expected.accounts[key].posted, expected.accounts[key].held)]
    await books.assert_books_balance()


@pytest.mark.parametrize("a_day", [a_day, a_day_of_operators])
async def test_batches_that_overlap_come_to_the_same_as_one_operation_after_the_other(
    books: Desk, postgres_url: str, a_day: Callable[[], list[Operation]]
) -> None:
    day = a_day()
    async with a_writer(postgres_url) as writer:
        with capture_logs() as log:
            results = await writer.take(day)
        await assert_all_is_there(books, day, results)
        assert {line["event"] for line in log} == {"batch"}
        assert as_told(await writer.take(day)) == as_told(results)


async def test_a_commit_that_fails_while_the_next_batch_is_decided_loses_nothing(
    books: Desk, postgres_url: str
) -> None:
    async with await psycopg.AsyncConnection.connect(postgres_url, autocommit=True) as connection:
        await connection.execute(FAILING_COMMITS)
    day = a_day()
    async with a_writer(postgres_url) as writer:
        with capture_logs() as log:
            results = await writer.take(day)
        await assert_all_is_there(books, day, results)
    assert [line["event"] for line in log].count("batch_not_kept") >= 2


async def test_a_commit_whose_answer_is_lost_while_the_next_batch_is_decided_is_made_once(
    books: Desk, postgres_url: str
) -> None:
    day, results = a_day(), list[Result]()
    async with WireCutter(postgres_url) as cutter, a_writer(cutter.url) as writer:
        for start in range(0, len(day), 21):
            cutter.cut_after_commit()
            results += await writer.take(day[start : start + 21])
        await assert_all_is_there(books, day, results)
    assert cutter.cuts == len(day) // 21


async def test_the_turn_that_ends_while_the_next_batch_is_decided_ends_both(
    books: Desk, postgres_url: str
) -> None:
    """What was answered is there, what was not may be asked of the next writer."""
    day = a_day()
    async with a_writer(postgres_url) as writer:
        (first,) = await writer.take(day[:1])
        assert first.reason == DONE
        calls = [asyncio.create_task(writer.take(day[n : n + 1])) for n in range(1, len(day))]
        await books.rows("UPDATE journal_head SET writer_epoch = writer_epoch + 1 RETURNING 1")
        outcomes = await asyncio.gather(*calls, return_exceptions=True)
    answered = [o[0].id for o in outcomes if not isinstance(o, BaseException)]
    there = {id_ for (id_,) in await books.rows("SELECT id::text FROM transfer")}
    assert set(answered) <= there
    assert any(isinstance(outcome, BaseException) for outcome in outcomes)
    await books.assert_books_balance()
    await books.rows("UPDATE writer SET seen_at = '-infinity' RETURNING 1")
    async with a_writer(postgres_url) as writer:
        await assert_all_is_there(books, day, await writer.take(day))
