"""The books are looked at all the time, and what is broken by hand shows and alarms in seconds."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any
from unittest.mock import AsyncMock

import psycopg
import pytest
from prometheus_client import REGISTRY
from structlog.testing import capture_logs

from libs.clock import SystemClock
from libs.postgres import Pool
from services.ledger.auditor import Auditor
from services.ledger.kept import Kept
from services.ledger.store import invariants
from services.ledger.tenure import Tenure
from stockbroker.ledger.v1 import invariant_pb2 as pb
from tests.ledger.desk import USD, Desk, a_fill, a_hold, new_id
from tests.ledger.proofs import sealed
from tests.ledger.test_access import DENIED, refusal
from tests.support.keys import bearer
from tests.support.wait import until

NAMES = [f"I{number}" for number in range(1, 9)]
NOTHING_KEPT = Kept(None, public_key=b"")


class Watch:
    """Follows the invariants as an operator."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._metadata = bearer(desk.keys.operator())

    async def look(self, *, full: bool = False) -> pb.GetInvariantsResponse:
        """One look."""
        stream = self._desk.ledger.GetInvariants(
            pb.GetInvariantsRequest(full=full), metadata=self._metadata
        )
        (response,) = [response async for response in stream]
        return response

    async def broken(self) -> set[str]:
        """What the next looks show broken first: no look is asked for."""
        stream = self._desk.ledger.GetInvariants(
            pb.GetInvariantsRequest(follow=True), metadata=self._metadata
        )
        async for response in stream:
            broken = {i.id for i in response.invariants if not i.holds}
            if broken:
                stream.cancel()
                return broken
        raise AssertionError("the stream ended")


@pytest.fixture
async def watch(desk: Desk) -> Watch:
    """On books with a little of everything."""
    await desk.deposit(1_000 * USD)
    await desk.deposit(5, customer="bob")
    trade = new_id()
    await desk.hold(a_hold(trade=trade), a_hold())
    await desk.post(a_fill(trade, quantity=1))
    await sealed(desk)
    return Watch(desk)


@pytest.fixture
async def anybody(superuser_url: str) -> AsyncIterator[psycopg.AsyncConnection[Any]]:
    """Who may do anything, and whom no trigger stops."""
    async with await psycopg.AsyncConnection.connect(superuser_url, autocommit=True) as connection:
        await connection.execute("SET session_replication_role = replica")
        yield connection


async def test_all_invariants_hold_up_to_the_end_of_the_journal(desk: Desk, watch: Watch) -> None:
    response = await watch.look(full=True)
    assert [invariant.id for invariant in response.invariants] == NAMES
    assert all(invariant.holds and invariant.rule for invariant in response.invariants)
    assert response.transfer_seq == response.full_transfer_seq == 5
    await desk.deposit(1)
    response = await watch.look()
    assert (response.transfer_seq, response.full_transfer_seq) == (6, 5)


async def test_looks_follow_what_is_written(desk: Desk, watch: Watch) -> None:
    stream = desk.ledger.GetInvariants(
        pb.GetInvariantsRequest(follow=True), metadata=bearer(desk.keys.operator())
    )
    seqs: list[int] = []

    async def reaches(seq: int) -> None:
        while not seqs or seqs[-1] < seq:
            response = await stream.read()
            assert isinstance(response, pb.GetInvariantsResponse)
            seqs.append(response.transfer_seq)

    await reaches(5)
    await desk.deposit(1)
    await reaches(6)
    stream.cancel()


BREAKS: dict[str, tuple[str, set[str]]] = {
    "money made from nothing": (
        "UPDATE account SET posted = posted + 1 WHERE name = 'customer/bob'",
        {"I1", "I3"},
    ),
    "an entry that does not cancel out": (
        "UPDATE entry SET amount = amount + 1 WHERE transfer_seq = 2 AND amount > 0",
        {"I1", "I3"},
    ),
    "a balance below zero in the past": (
        "UPDATE entry SET held_after = balance_after + 1 WHERE transfer_seq = 2 AND amount > 0",
        {"I2", "I3"},
    ),
    "an account below zero": (
        "ALTER TABLE account DROP CONSTRAINT never_below_zero;"
        " UPDATE account SET held = posted + 1 WHERE name = 'customer/bob'",
        {"I2", "I3", "I4"},
    ),
    "a version that is gone": (
        "DELETE FROM entry WHERE transfer_seq = 2 AND amount > 0",
        {"I1", "I3"},
    ),
    "a balance out of thin air": (
        "UPDATE entry SET balance_after = 7 WHERE transfer_seq = 2 AND amount > 0",
        {"I3"},
    ),
    "two balances that hide each other": (
        "UPDATE account SET posted = posted + CASE name WHEN 'customer/bob' THEN 1 ELSE -1 END"
        " WHERE name IN ('customer/bob', 'house/deposits')",
        {"I3"},
    ),
    "a hold that shrank": (
        "UPDATE hold SET remaining = remaining - 1 WHERE is_open",
        {"I4"},
    ),
    "a fill under another name": (
        "UPDATE transfer SET reference = 'XSIM/other' WHERE kind = 'execution'",
        {"I5", "I6"},
    ),
    "a refusal that is gone": ("DELETE FROM transfer WHERE reason <> 0", {"I6"}),
    "an end that is gone": (
        "DELETE FROM transfer WHERE seq = 5",
        {"I6"},
    ),
    "a success made a refusal": (
        "UPDATE transfer SET reason = 1, terms = '[]' WHERE seq = 2",
        {"I6"},
    ),
    "words put in another's mouth": (
        "UPDATE transfer SET reference = 'other' WHERE seq = 2",
        {"I6"},
    ),
    "changes in another order": (
        "UPDATE batch SET recorded_at = recorded_at - interval '1 day' WHERE seq = 3",
        {"I6", "I7"},
    ),
    "an entry of an earlier transfer": (
        "UPDATE entry SET transfer_seq = 1 WHERE transfer_seq = 5 AND account_id ="
        " (SELECT id FROM account WHERE name = 'customer/alice' AND asset = 'USD')",
        {"I1", "I3", "I7"},
    ),
    "checkpoints that nobody signed": (
        "UPDATE checkpoint SET merkle_root = sha256(merkle_root)",
        {"I6", "I8"},
    ),
    "a history that is another": (
        "UPDATE batch SET hash = sha256(hash)",
        {"I6", "I8"},
    ),
}


# Alice's cash has its versions 1, 2 and 3 of the transfers 1, 3 and 5.
HERS = "(SELECT id FROM account WHERE name = 'customer/alice' AND asset = 'USD')"
BREAKS_OF_ENTRIES = {
    **{how: change for how, (change, _) in BREAKS.items()},
    "an account that is gone": f"DELETE FROM account WHERE id = {HERS}",
    "an account that stands behind": f"UPDATE account SET version = 2 WHERE id = {HERS}",
    "an account that stands ahead": f"UPDATE account SET version = 9 WHERE id = {HERS}",
    "an account with another's hash": f"UPDATE account SET hash = sha256('') WHERE id = {HERS}",
    "a first version that is gone": f"DELETE FROM entry WHERE account_id = {HERS} AND version = 1",
    "a latest version that is gone": f"DELETE FROM entry WHERE account_id = {HERS} AND version = 3",
    "a version left out": f"UPDATE entry SET version = 7 WHERE account_id = {HERS} AND version = 3",
    "more held than there was": f"UPDATE entry SET held_after = 2000000000"
    f" WHERE account_id = {HERS} AND version = 3",
    "a version after its time": f"UPDATE entry SET transfer_seq = 5"
    f" WHERE account_id = {HERS} AND version = 1",
    "a first balance out of thin air": f"UPDATE entry SET balance_after = 7"
    f" WHERE account_id = {HERS} AND version = 1",
}


async def test_nothing_that_is_wrong_with_entries_is_passed_over(
    watch: Watch, anybody: psycopg.AsyncConnection[Any]
) -> None:
    """One question tells whether the others are worth asking, wherever the look before ended."""
    assert all(invariant.holds for invariant in (await watch.look(full=True)).invariants)
    assert [await _answers(anybody, after) for after in range(5)] == [(False, False)] * 5
    wrong = set()
    for how, change in BREAKS_OF_ENTRIES.items():
        for after in range(5):
            async with anybody.transaction(force_rollback=True):
                await anybody.execute(change.encode())
                is_wrong, may_be_amiss = await _answers(anybody, after)
            assert may_be_amiss or not is_wrong, (how, after)
            if is_wrong:
                wrong.add(how)
    assert wrong >= BREAKS_OF_ENTRIES.keys() - BREAKS.keys()


async def _answers(connection: psycopg.AsyncConnection[Any], after: int) -> tuple[bool, bool]:
    """Whether any question of entries has an answer, and whether one may have."""
    bounds = {"after": after, "until": 5}
    found = []
    for questions in (*invariants.OF_ENTRIES.values(), (invariants.MAY_BE_AMISS,)):
        for question in questions:
            cursor = await connection.execute(question, bounds)
            found.append(bool(await cursor.fetchall()))
    return any(found[:-1]), found[-1]


@pytest.mark.parametrize("how", BREAKS)
async def test_what_is_broken_by_hand_shows_and_alarms_in_seconds(
    how: str, watch: Watch, anybody: psycopg.AsyncConnection[Any]
) -> None:
    change, expected = BREAKS[how]
    assert all(invariant.holds for invariant in (await watch.look(full=True)).invariants)
    with capture_logs() as lines:
        await anybody.execute(change.encode())
        await anybody.close()  # what it did is counted at once
        found = await watch.broken()

        async def all_found() -> bool:
            found.update(i.id for i in (await watch.look()).invariants if not i.holds)
            return found >= expected

        await until(all_found, what=f"{expected} of {found}")
    assert found == expected
    alarms = {line["invariant"] for line in lines if line["event"] == "invariant_broken"}
    assert alarms >= expected
    for name in NAMES:
        value = REGISTRY.get_sample_value("ledger_invariant_broken", {"invariant": name})
        assert value == (name in expected), name
    response = await watch.look()
    for invariant in response.invariants:
        assert bool(invariant.breaches) == (invariant.id in expected)
        assert invariant.HasField("broken_since") == (invariant.id in expected)


async def test_what_is_mended_is_seen_by_a_full_look(
    watch: Watch, anybody: psycopg.AsyncConnection[Any]
) -> None:
    await anybody.execute("UPDATE hold SET remaining = remaining - 1 WHERE is_open")
    first = (await watch.look()).invariants[3]
    assert not first.holds
    await anybody.execute("UPDATE hold SET remaining = remaining + 1 WHERE is_open")
    later = (await watch.look()).invariants[3]
    assert not later.holds
    assert later.broken_since == first.broken_since
    assert (await watch.look(full=True)).invariants[3].holds


class SlowClock(SystemClock):
    """Whatever is looked at takes a second."""

    def __init__(self) -> None:
        self.seconds = 0.0

    def monotonic(self) -> float:
        self.seconds += 1
        return self.seconds


class HastyClock(SlowClock):
    """And nobody waits."""

    async def sleep(self, seconds: float) -> None:
        await super().sleep(0.01)


@asynccontextmanager
async def an_auditor(postgres_url: str, clock: SystemClock) -> AsyncIterator[Auditor]:
    """One that has looked at everything once."""
    pool = Pool(postgres_url)
    await pool.open()
    tenure = Tenure(postgres_url, clock=clock, on_change=AsyncMock())
    auditor = Auditor(pool, kept=NOTHING_KEPT, tenure=tenure, clock=clock)
    await auditor.look()
    yield auditor
    await pool.close()


async def test_what_grows_with_customers_is_looked_at_a_fiftieth_of_the_time(
    desk: Desk, watch: Watch, anybody: psycopg.AsyncConnection[Any], postgres_url: str
) -> None:
    """All accounts and holds; what was written since is looked at every time."""
    clock = SlowClock()
    async with an_auditor(postgres_url, clock) as auditor:
        await anybody.execute("UPDATE hold SET remaining = remaining - 1 WHERE is_open")
        await desk.deposit(1)
        soon = await auditor.look(in_turn=True)
        clock.seconds += 50
        await desk.deposit(1)
        later = await auditor.look(in_turn=True)

    assert (soon.transfer_seq, later.transfer_seq) == (6, 7)
    assert not soon.findings["I4"].breaches
    assert later.findings["I4"].breaches


async def test_everything_is_looked_at_from_time_to_time(
    desk: Desk, watch: Watch, postgres_url: str
) -> None:
    clock = HastyClock()
    async with an_auditor(postgres_url, clock) as auditor:
        clock.seconds += 100_000
        await desk.deposit(1)
        auditor.begin()
        look = await auditor.next_look()
        await auditor.end()
    assert look.full_transfer_seq == 6


async def test_what_a_look_found_that_failed_is_found_by_the_next(
    desk: Desk, watch: Watch, anybody: psycopg.AsyncConnection[Any], postgres_url: str
) -> None:
    clock = SlowClock()
    async with an_auditor(postgres_url, clock) as auditor:
        await anybody.execute(BREAKS["two balances that hide each other"][0].encode())
        soon = await auditor.look(in_turn=True)
        assert not soon.findings["I3"].breaches  # it is not time for all accounts

        await desk.hold(a_hold(customer="carol"))  # refused: it leads to no account
        clock.seconds += 50
        await anybody.execute("ALTER TABLE batch RENAME TO missing")
        with pytest.raises(psycopg.errors.UndefinedTable):
            await auditor.look(in_turn=True)
        await anybody.execute("ALTER TABLE missing RENAME TO batch")
        clock.seconds += 50
        later = await auditor.look(in_turn=True)
    assert later.findings["I3"].breaches


async def test_only_operators_look(desk: Desk) -> None:
    for token in (desk.keys.customer("alice"), desk.keys.service("execution")):
        stream = desk.ledger.GetInvariants(pb.GetInvariantsRequest(), metadata=bearer(token))
        assert await refusal(stream.read()) == DENIED
