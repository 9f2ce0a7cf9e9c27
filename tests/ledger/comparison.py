"""A ledger on a real database beside the reference, asked the same: all of it is compared."""

from collections import Counter as Tally
from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, seed, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    rule,
    run_state_machine_as_test,
)

from libs.refusals import Unavailable
from services.ledger.domain.books import Result
from services.ledger.domain.forms import Malformed
from tests.ledger.asks import (
    BEGINNING,
    FIRST,
    LATEST,
    Trade,
    a_whole_trade,
    an_id,
    batches,
    corrections,
    customers,
    fresh_trades,
    other_ids,
)
from tests.ledger.bench import Bench
from tests.ledger.desk import BROKEN
from tests.ledger.reference import Answer, Decided, Reference
from tests.ledger.words import Asked, Move, fault_of

ACCOUNTS = "SELECT name, asset, has_floor, posted, held, cost_micros, version FROM account"
HOLDS = """
    SELECT h.id::text, a.name, a.asset, h.remaining, h.is_open
    FROM hold h LEFT JOIN account a ON a.id = h.account_id
"""
RESTRAINTS = "SELECT name, state FROM restraint"
COUNTS = "SELECT (SELECT count(*) FROM transfer), (SELECT count(*) FROM entry)"
STEPS = 6
KINDS = {
    "adjust": "hold_adjustment",
    "correct": "correction",
    "fill": "execution",
    "request": "reversal_request",
}


class Comparison(RuleBasedStateMachine):
    """One example: empty books and a fresh reference."""

    bench: Bench

    @initialize()
    def begin(self) -> None:
        self.reference = Reference()
        self.told: list[list[Asked]] = []
        self.compared = 0
        self.bench.begin()
        self.ask(BEGINNING, writer=0)

    def ask(self, batch: list[Asked], writer: int) -> None:
        self.told.append(batch)
        self.bench.give_turn(writer)
        expected = [self.reference.take(asked) for asked in batch]
        assert [answer_of(r) for r in self.bench.ask(batch, writer)] == expected
        for asked, answer in zip(batch, expected, strict=True):
            deed = f"{asked.deed} again" if asked.after else asked.deed
            self.bench.met[deed, answer.reason] += 1

    @rule(batch=batches, writer=st.integers(0, 1), is_stale=st.sampled_from([False] * 7 + [True]))
    def ask_one(self, batch: list[Asked], writer: int, is_stale: bool) -> None:
        if is_stale:
            self.ask_in_vain(batch, writer)
        else:
            self.ask(batch, writer)

    def ask_in_vain(self, batch: list[Asked], stale: int) -> None:
        """A stale writer changes nothing and notices: whatever it believes, the turn is over."""
        if all(map(fault_of, batch)):
            return  # nothing of it reaches the writer
        for writer in (stale, 1 - stale):
            self.bench.give_turn(writer)
        with pytest.raises(Unavailable):
            self.bench.ask(batch, stale)
        assert self.bench.turns[stale].epoch is None
        self.bench.met["stale", 0] += 1

    @rule(which=st.integers(0, 100), writer=st.integers(0, 1))
    def ask_again(self, which: int, writer: int) -> None:
        """An old batch is delivered once more."""
        if self.told:
            self.ask(self.told[which % len(self.told)], writer)

    @rule(which=st.integers(0, 30), who=customers, request=other_ids, batch=batches)
    def reverse(self, which: int, who: str, request: str, batch: list[Asked]) -> None:
        """Something of what was done is asked to be reversed, and is, amid other things."""
        done = [d for d in self.reference.decided.values() if can_be_reversed(d)]
        if not done:
            return
        found = done[which % len(done)]
        id_ = found.asked.recorded_id
        moves = self.bench.moves_back(id_)
        assert net(moves) == {k: -amount for k, amount in net_of_steps(found).items()}
        asked = [
            Asked("request", request, of=id_),
            Asked("reversal", request, who=f"approver of {who}", of=id_, moves=moves),
        ]
        middle = which % (len(batch) + 1)
        self.ask([*batch[:middle], *asked, *batch[middle:]], writer=which % 2)

    @rule(
        which=st.integers(0, 30),
        chain=st.lists(corrections, min_size=2, max_size=4),
        drained=st.sampled_from([0, 1, 1, 2, 3, 9]),
        fresh=fresh_trades,
        batch=batches,
    )
    def correct(
        self,
        which: int,
        chain: list[Asked],
        drained: int,
        fresh: Trade | None,
        batch: list[Asked],
    ) -> None:
        """The exchange takes back something of a fill, amid other things, and corrects itself.

        `drained`: before which of these all is held, so that nothing can be taken back.
        """
        if fresh is not None:
            self.ask(a_whole_trade(fresh, 10_000 + len(self.reference.decided)), writer=which % 2)
        fills = [d.asked for d in self.reference.decided.values() if d.asked.deed == "fill"]
        if not fills:
            return
        fill = fills[-1] if fresh is not None else fills[which % len(fills)]
        for number, asked in enumerate(chain):
            asked = asked._replace(who=fill.id, of=fill.recorded_id)
            asked = asked._replace(after=self.named(asked))
            again = asked._replace(id=f"{asked.id}/1")
            middle = which % (len(batch) + 1)
            held = self.all_held(fill.who, fill.asset) if number == drained else []
            told = [*held, asked, *batch[:middle], asked, again, *batch[middle:]]
            self.ask(told, writer=which % 2)
            batch = []

    def named(self, asked: Asked) -> str:
        """The correction that is meant by its place among those of the fill, by a name it has."""
        if asked.after not in (FIRST, LATEST):
            return asked.after
        line = self.reference.corrections_of(asked.of)
        if not line:
            return ""
        id_ = self.reference.decided[line[0 if asked.after == FIRST else -1]].asked.id
        return id_.partition("/")[0]

    def all_held(self, who: str, symbol: str) -> list[Asked]:
        """Holds of all that is available."""
        places = enumerate(("USD", symbol), 1_000 + len(self.reference.decided))
        return [Asked("hold", an_id(number), who, asset) for number, asset in places]

    @invariant()
    def all_tables_are_equal(self) -> None:
        if not hasattr(self, "reference"):
            return
        reference, decided = self.reference, [*self.reference.decided.values()]
        accounts, holds, states, counts = self.bench.select(ACCOUNTS, HOLDS, RESTRAINTS, COUNTS)
        assert {row[:2]: row[2:] for row in accounts} == {
            key: (p.has_floor, p.posted, p.held, p.cost, p.version)
            for key, p in reference.purses.items()
        }
        assert {row[0]: row[1:] for row in holds} == {
            id_: (h.who, h.asset, h.left, h.is_open) if h else (None, None, 0, False)
            for id_, h in reference.holds.items()
        }
        assert dict(states) == reference.states
        # History cannot change, so what was compared once stays equal.
        assert self.bench.journal(self.compared) == [
            row_of(decision) for decision in decided[self.compared :]
        ]
        self.compared = len(decided)
        assert counts == [(len(decided), sum(len(d.steps) for d in decided))]

    def teardown(self) -> None:
        for name, broken in zip(BROKEN, self.bench.select(*BROKEN.values()), strict=True):
            assert broken == [], name


def answer_of(result: Result | Malformed) -> Answer:
    """A result in the reference's words."""
    if isinstance(result, Malformed):
        return Answer(result.reason)
    seen = tuple((*b.account, b.version, b.posted, b.held) for b in result.balances)
    return Answer(result.reason, result.amount, seen)


def row_of(decided: Decided) -> tuple[Any, ...]:
    """What the journal must have of it."""
    asked, answer, steps, _ = decided
    kind = KINDS.get(asked.deed, asked.deed)
    if asked.deed in ("deposit", "withdraw") and asked.asset != "USD":
        kind = f"{asked.deed}_shares"
    hold_id = asked.id if asked.deed == "hold" else asked.hold or None
    id_, of = asked.recorded_id, decided.of or None
    return id_, kind, answer.reason, answer.amount, hold_id, of, sorted(steps)


def can_be_reversed(decided: Decided) -> bool:
    has_moved = any(net_of_steps(decided).values())
    return has_moved and decided.asked.deed in ("fill", "deposit", "withdraw", "transfer")


def net_of_steps(decided: Decided) -> Tally[tuple[str, str]]:
    moved: Tally[tuple[str, str]] = Tally()
    for who, asset, _, amount, *_ in decided.steps:
        moved[who, asset] += amount
    return Tally({key: amount for key, amount in moved.items() if amount})


def net(moves: Sequence[Move]) -> Tally[tuple[str, str]]:
    """By how much moves change each purse."""
    moved: Tally[tuple[str, str]] = Tally()
    for move in moves:
        moved[move.source, move.asset] -= move.amount
        moved[move.target, move.asset] += move.amount
    return moved


def compare(bench: Bench, *, examples: int, share: int, shrinks: bool = True) -> None:
    """Raises when the ledger and the reference differ, with the shortest way to it.

    Each `share` has examples of its own, always the same.
    """

    @seed(share)
    class Here(Comparison):
        pass

    Here.bench = bench
    phases = [Phase.generate, Phase.shrink] if shrinks else [Phase.generate]
    run_state_machine_as_test(
        Here,
        settings=settings(
            max_examples=examples,
            stateful_step_count=STEPS,
            deadline=None,
            database=None,
            phases=phases,
            report_multiple_bugs=False,
            suppress_health_check=list(HealthCheck),
        ),
    )
