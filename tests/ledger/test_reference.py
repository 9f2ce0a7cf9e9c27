"""The ledger on a real database does what the plainest telling of it does, whatever it is asked.

Batches of all kinds of deeds with ids used again, also within one batch, through two writers on one
database, old batches told again; after each, every answer and every table is compared.
"""

import asyncio
from collections import Counter as Tally
from collections.abc import Callable
from typing import Any, NamedTuple

import psycopg
import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule
from msgspec.structs import replace

from libs.clock import SystemClock
from libs.embedded import Postgres
from libs.embedded.postgres import SUPERUSER
from libs.postgres import migrate
from libs.reasons import Reason
from libs.refusals import Unavailable
from services.ledger.domain import deeds
from services.ledger.domain.books import Kind, Result
from services.ledger.domain.operations import Operation, Post, leg
from services.ledger.main import MIGRATIONS
from services.ledger.tenure import Tenure
from services.ledger.writer import Writer
from tests.ledger.desk import BROKEN
from tests.ledger.reference import Answer, Asked, Reference

NAMES = {"clearing": "house/clearing", "deposits": "house/deposits"}
EMPTY = """
    SET LOCAL session_replication_role = replica;
    TRUNCATE account, hold, transfer, entry, batch;
    UPDATE journal_head SET transfer_seq = 0, account_id = 0, recorded_at = NULL, batch_seq = 0,
        batch_hash = decode(repeat('00', 32), 'hex')
"""
TAKE_TURN = "UPDATE journal_head SET writer_epoch = writer_epoch + 1 RETURNING writer_epoch"


def an_id(number: int) -> str:
    return f"01935f00-0000-7000-8000-{number:012d}"


def operation_of(asked: Asked) -> Operation:
    """The same deed in the ledger's own words."""
    if asked.deed == "hold":
        return deeds.place_hold(
            hold_id=asked.id, customer_id=asked.who, asset=asked.asset, amount=asked.amount
        )
    if asked.deed == "release":
        return deeds.release(asked.id)
    if asked.deed == "fill":
        return deeds.execution(
            deeds.Execution(
                venue="XSIM",
                execution_id=asked.id,
                trade_id=asked.hold,
                customer_id=asked.who,
                side={"BUY": deeds.BUY, "SELL": deeds.SELL}[asked.side],
                symbol=asked.asset,
                quantity=asked.amount,
                price_micros=asked.price,
                executed_at=None,
                releases_rest=asked.last,
            )
        )
    # Larger than the door lets in, to reach the ends of the range.
    received = leg(
        asked.amount, asked.asset, source="house/deposits", target=f"customer/{asked.who}"
    )
    return Post(
        id=asked.id,
        kind=Kind.DEPOSIT if asked.asset == "USD" else Kind.DEPOSIT_SHARES,
        legs=(replace(received, cost_micros=asked.price),),
    )


def answer_of(result: Result) -> Answer:
    """A result in the reference's words."""
    seen = tuple(
        (b.account.name.removeprefix("customer/"), b.account.asset, b.version, b.posted, b.held)
        for b in result.balances
        if b.account.name.startswith("customer/")
    )
    return Answer(result.reason, result.amount, seen)


class Trade(NamedTuple):
    id: str
    who: str
    side: str
    symbol: str


ids = [an_id(number) for number in range(1, 16)]
customers = st.sampled_from(["alice", "bob"])
sides = st.sampled_from(["BUY", "SELL"])
symbols = st.sampled_from(["AAPL", "MSFT"])
small = st.integers(1, 9)
large = st.sampled_from([2**63 - 1, 2**63 - 300])
trades = st.one_of(
    # Most deeds are about the same few trades, so that they meet.
    st.sampled_from(
        [
            Trade(ids[0], "alice", "BUY", "AAPL"),
            Trade(ids[1], "alice", "SELL", "AAPL"),
            Trade(ids[2], "alice", "BUY", "MSFT"),
            Trade(ids[3], "bob", "BUY", "AAPL"),
        ]
    ),
    st.builds(Trade, st.sampled_from(ids[:5]), customers, sides, symbols),
)


def a_hold(trade: Trade, amount: int) -> Asked:
    asset = "USD" if trade.side == "BUY" else trade.symbol
    return Asked("hold", trade.id, trade.who, asset, amount)


def a_fill(execution: str, trade: Trade, quantity: int, price: int, last: bool) -> Asked:
    return Asked(
        "fill",
        execution,
        trade.who,
        trade.symbol,
        quantity,
        price,
        side=trade.side,
        hold=trade.id,
        last=last,
    )


executions = st.sampled_from([f"E{number}" for number in range(12)])
holds = st.builds(
    a_hold,
    trades,
    st.one_of(st.integers(0, 40), st.integers(10, 80), st.just(2**63 - 1)),
)
fills = st.builds(
    a_fill,
    executions,
    trades,
    small,
    st.one_of(small, small, small, st.just(2**53)),
    st.booleans(),
)
releases = st.builds(lambda trade: Asked("release", trade.id), trades)
cash = st.builds(
    lambda deposit, who, amount: Asked("deposit", deposit, who, "USD", amount),
    st.sampled_from(ids[4:]),  # one of them is the id of a trade
    customers,
    st.one_of(st.integers(1, 99), st.integers(1, 99), st.integers(1, 99), large),
)
shares = st.builds(
    lambda deposit, who, symbol, amount, cost: Asked("deposit", deposit, who, symbol, amount, cost),
    st.sampled_from(ids[4:]),
    customers,
    symbols,
    small,
    st.one_of(st.integers(0, 99), st.integers(0, 99), large),
)
asks = st.one_of(holds, holds, fills, fills, fills, releases, cash, shares)
Fill = tuple[int, int]


def a_story(
    trade: Trade, amount: int, numbers: list[str], fills: list[Fill], is_filled: bool
) -> list[Asked]:
    """A trade from end to end, last fill and release both."""
    story = [a_hold(trade, amount)]
    for number, (quantity, price) in zip(numbers, fills, strict=True):
        is_last = is_filled and number == numbers[-1]
        story.append(a_fill(number, trade, quantity, price, is_last))
    return [*story, Asked("release", trade.id)]


few = st.integers(1, 4)
many = st.integers(4, 9)
batches = st.one_of(
    st.lists(asks, min_size=1, max_size=12),
    st.builds(
        a_story,
        trades,
        st.integers(10, 30),
        st.lists(executions, min_size=2, max_size=2, unique=True),
        st.lists(st.tuples(few, few), min_size=2, max_size=2),
        st.booleans(),
    ),
    # Fills that are more than what was held.
    st.builds(
        a_story,
        trades,
        st.integers(1, 9),
        st.lists(executions, min_size=2, max_size=2, unique=True),
        st.lists(st.tuples(many, many), min_size=2, max_size=2),
        st.booleans(),
    ),
)
FIRST = [
    Asked("deposit", an_id(91), "alice", "USD", 300),
    Asked("deposit", an_id(92), "bob", "USD", 100),
    Asked("deposit", an_id(93), "alice", "AAPL", 30, 1000),
]


WANTED = {
    *((deed, Reason.REASON_UNSPECIFIED) for deed in ("hold", "release", "fill", "deposit")),
    *((deed, Reason.REASON_EXISTS_DIFFERENT) for deed in ("hold", "fill", "deposit")),
    *((deed, Reason.REASON_HOLD_NOT_FOUND) for deed in ("release", "fill")),
    *((deed, Reason.REASON_HOLD_CLOSED) for deed in ("hold", "release", "fill")),
    ("fill", Reason.REASON_HOLD_EXCEEDED),
    ("hold", Reason.REASON_INSUFFICIENT_FUNDS),
    ("hold", Reason.REASON_INSUFFICIENT_SHARES),
    ("deposit", Reason.REASON_BALANCE_OVERFLOW),
    ("stale", 0),
}


class Turn(Tenure):
    """A writer's turn that is given by hand."""

    def __init__(self, database_url: str) -> None:
        async def on_change(is_writer: bool) -> None:
            pass

        super().__init__(database_url, clock=SystemClock(), on_change=on_change)


class Comparison(RuleBasedStateMachine):
    """One example: a fresh database and a fresh reference."""

    run: Callable[[Any], Any]
    writers: list[Writer]
    turns: list[Turn]
    connection: psycopg.Connection
    met: Tally[tuple[str, int]]

    @initialize()
    def begin(self) -> None:
        self.reference = Reference()
        self.told: list[list[Asked]] = []
        self.holder = -1
        with self.connection.transaction():
            self.connection.execute(EMPTY)
        self.ask(FIRST, writer=0)

    @rule(batch=batches, writer=st.integers(0, 1))
    def ask(self, batch: list[Asked], writer: int) -> None:
        self.told.append(batch)
        self.give_turn(writer)
        expected = [self.reference.take(asked) for asked in batch]
        results = self.run(self.writers[writer].take([operation_of(asked) for asked in batch]))
        assert [answer_of(result) for result in results] == expected
        for asked, answer in zip(batch, expected, strict=True):
            self.met[asked.deed, answer.reason] += 1

    def give_turn(self, writer: int) -> None:
        """The other one does not know that its turn is over."""
        if self.holder != writer:
            row = self.connection.execute(TAKE_TURN).fetchone()
            assert row is not None
            self.turns[writer].epoch, self.holder = row[0], writer

    @rule(batch=batches, stale=st.integers(0, 1))
    def ask_a_stale_writer(self, batch: list[Asked], stale: int) -> None:
        """It changes nothing and notices: whatever it believes, the turn is another's."""
        for writer in (stale, 1 - stale):
            self.give_turn(writer)
        with pytest.raises(Unavailable):
            self.run(self.writers[stale].take([operation_of(asked) for asked in batch]))
        assert self.turns[stale].epoch is None
        self.met["stale", 0] += 1

    @rule(which=st.integers(0, 100), writer=st.integers(0, 1))
    def ask_again(self, which: int, writer: int) -> None:
        if self.told:
            self.ask(self.told[which % len(self.told)], writer)

    @invariant()
    def tables_are_equal(self) -> None:
        if not hasattr(self, "reference"):
            return
        accounts = self.connection.execute(
            "SELECT name, asset, posted, held, cost_micros, version FROM account"
        ).fetchall()
        assert {tuple(row[:2]): tuple(row[2:]) for row in accounts} == {
            (NAMES.get(who, f"customer/{who}"), asset): (p.posted, p.held, p.cost, p.version)
            for (who, asset), p in self.reference.purses.items()
        }
        holds = self.connection.execute("SELECT id::text, remaining, is_open FROM hold").fetchall()
        assert {row[0]: tuple(row[1:]) for row in holds} == {
            hold_id: (hold.left, hold.is_open) if hold else (0, False)
            for hold_id, hold in self.reference.holds.items()
        }
        counts = self.connection.execute(
            "SELECT (SELECT count(*) FROM transfer), (SELECT count(*) FROM entry)"
        ).fetchone()
        assert counts == (len(self.reference.answers), self.reference.entries)

    def teardown(self) -> None:
        for name, query in BROKEN.items():
            assert self.connection.execute(query.encode()).fetchall() == [], name


@pytest.mark.timeout(600)
def test_the_ledger_does_what_the_reference_does(postgres: Postgres, postgres_url: str) -> None:
    superuser_url = postgres.url(postgres_url.rpartition("/")[2], SUPERUSER)
    with (
        asyncio.Runner() as runner,
        psycopg.connect(superuser_url, autocommit=True) as connection,
    ):
        runner.run(migrate(postgres_url, MIGRATIONS))
        turns = [Turn(postgres_url) for _ in range(2)]
        writers = [
            Writer(postgres_url, tenure=turn, clock=SystemClock(), max_items=100, max_queued=100)
            for turn in turns
        ]

        class Here(Comparison):
            pass

        Here.run = staticmethod(runner.run)
        Here.writers, Here.turns = writers, turns
        Here.connection = connection
        Here.met = Tally()
        try:
            Here.TestCase.settings = settings(
                max_examples=150,
                derandomize=True,
                stateful_step_count=12,
                deadline=None,
                suppress_health_check=list(HealthCheck),
            )
            Here.TestCase("runTest").debug()
        finally:
            for writer in writers:
                runner.run(writer.close())
    assert WANTED - set(Here.met) == set(), "never came up, so nothing was shown of it"
