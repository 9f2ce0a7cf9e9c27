"""The ledger on a real database does what the plainest telling of it does, whatever it is asked.

Batches of all kinds of deeds with ids used again, also within one batch, amounts at the edges, two
writers on one database, old batches told again; after each, every answer and every table is
compared. That this finds what is wrong is shown by faults planted in the ledger on purpose.
"""

from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any

import pytest
from hypothesis.errors import FlakyFailure
from msgspec.structs import replace

from libs.embedded import Postgres
from libs.reasons import Reason
from services.ledger import writer
from services.ledger.domain import attempt, corrections, decide, foresight
from services.ledger.domain.books import Account, AccountKey, Recorded, State
from services.ledger.domain.memory import Known
from services.ledger.domain.operations import Operation, PlaceHold
from services.ledger.store.journal import Journal
from tests.ledger.bench import a_bench
from tests.ledger.comparison import compare

SHARES = 4
EXAMPLES = 500
_MOST_ROUNDS = 4  # what examples there are depends on every constant of the code under test
DEEDS = {
    *["hold", "adjust", "release", "fill", "deposit", "withdraw", "transfer", "request"],
    *["reversal", "bust", "correct", "freeze", "unfreeze", "close", "stale"],
    *["bust again", "correct again"],  # of what is corrected already
}
WANTED = {
    Reason.REASON_UNSPECIFIED: DEEDS,
    Reason.REASON_INVALID_AMOUNT: {*["hold", "adjust", "fill", "deposit", "withdraw", "transfer"]},
    Reason.REASON_INVALID_QUANTITY: {"fill"},
    Reason.REASON_INVALID_PRICE: {"fill"},
    Reason.REASON_INVALID_ACCOUNT: {"transfer"},
    Reason.REASON_INVALID_REQUEST: {"transfer"},
    Reason.REASON_EXISTS_DIFFERENT: {
        *["hold", "adjust", "fill", "deposit", "withdraw", "transfer", "request"],
        *["bust", "correct"],
    },
    Reason.REASON_TRANSFER_NOT_FOUND: {"bust again", "correct again"},
    Reason.REASON_NOT_REVERSIBLE: {"bust", "correct", "bust again", "correct again"},
    Reason.REASON_ALREADY_REVERSED: {
        *["request", "reversal", "bust", "correct", "bust again", "correct again"]
    },
    Reason.REASON_HOLD_NOT_FOUND: {"adjust", "release", "fill", "transfer"},
    Reason.REASON_HOLD_CLOSED: {"hold", "adjust", "release", "fill", "transfer"},
    Reason.REASON_HOLD_EXCEEDED: {"adjust", "fill"},
    Reason.REASON_ACCOUNT_NOT_EMPTY: {"close"},
    Reason.REASON_INSUFFICIENT_FUNDS: {
        *["hold", "adjust", "transfer", "reversal", "bust", "correct"]
    },
    Reason.REASON_INSUFFICIENT_SHARES: {"hold", "withdraw", "reversal", "bust", "correct"},
}


@pytest.mark.timeout(600)
@pytest.mark.parametrize("share", range(SHARES))
def test_the_ledger_does_what_the_reference_does(
    postgres: Postgres, postgres_url: str, share: int
) -> None:
    wanted = {(deed, reason) for reason, deeds in WANTED.items() for deed in deeds}
    with a_bench(postgres, postgres_url) as bench:
        for more in range(_MOST_ROUNDS):
            compare(bench, examples=EXAMPLES, share=share + more * SHARES)
            if wanted <= set(bench.met):
                break
    assert wanted - set(bench.met) == set(), "never came up, so nothing was shown of it"
    assert Reason.REASON_ACCOUNT_NOT_OPEN in {reason for _, reason in bench.met}


Patch = pytest.MonkeyPatch
Decide = Callable[..., Any]


def deciding(patch: Patch, spoil: Callable[[State, Sequence[Operation]], State]) -> None:
    """The writer decides on what `spoil` makes of the books that were read."""

    def spoiled(state: State, operations: Sequence[Operation], *, at: datetime) -> Any:
        return decide.decide(spoil(state, operations), operations, at=at)

    patch.setattr(writer, "decide", spoiled)


def forget_why_a_hold_was_not_found(patch: Patch) -> None:
    """Whoever asks again after HOLD_NOT_FOUND hears that the terms are other ones."""

    def spoil(state: State, operations: Sequence[Operation]) -> State:
        found = {
            id_: Recorded(b"", known.result)
            if known.result.reason == Reason.REASON_HOLD_NOT_FOUND
            else known
            for id_, known in state.recorded.items()
        }
        return replace(state, recorded=found)

    deciding(patch, spoil)


def place_a_hold_again(patch: Patch) -> None:
    """A hold that is on record, and is asked for again, is taken for a new one."""

    def spoil(state: State, operations: Sequence[Operation]) -> State:
        again = {o.id for o in operations if isinstance(o, PlaceHold)}
        known = {id_: r for id_, r in state.recorded.items() if id_ not in again}
        return replace(state, recorded=known)

    deciding(patch, spoil)


def look_past_the_batch_before(patch: Patch) -> None:
    """What a batch that is being written does to accounts and holds, the next does not see."""

    def spoiled(state: State, decided: Any, operations: Sequence[Operation]) -> State:
        ahead = foresight.foreseen(state, decided, operations)
        return replace(ahead, accounts=state.accounts, holds=state.holds)

    patch.setattr(writer, "foreseen", spoiled)


def look_past_the_batch(patch: Patch) -> None:
    """What earlier operations of a batch did to an account, later ones do not see."""

    def account(self: Any, key: AccountKey) -> Account | None:
        before: Account | None = self._state.accounts.get(key)
        return before or self._accounts.get(key)

    patch.setattr(decide._Books, "account", account)


def free_too_much(patch: Patch) -> None:
    """The rest of a hold is freed as if nothing had been drawn this time."""
    draw = attempt.Attempt._draw

    def spoiled(self: Any, hold: Any, post: Any) -> int:
        rest = draw(self, hold, post)
        return hold.remaining if rest else rest

    patch.setattr(attempt.Attempt, "_draw", spoiled)


def free_nothing_beside_the_cost(patch: Patch) -> None:
    """What a fill saves stays held."""
    draw = attempt.Attempt._draw

    def spoiled(self: Any, hold: Any, post: Any) -> int:
        return draw(self, hold, replace(post, frees=0))

    patch.setattr(attempt.Attempt, "_draw", spoiled)


def let_an_adjustment_free_what_is_left(patch: Patch) -> None:
    """An adjustment by more than what is left frees that, instead of nothing."""
    adjust = attempt.Attempt._adjust

    def spoiled(self: Any, adjustment: Any) -> int:
        hold = self._books.hold(adjustment.hold_id)
        least = -hold.remaining if hold is not None else adjustment.amount
        return adjust(self, replace(adjustment, amount=max(adjustment.amount, least)))

    patch.setattr(attempt.Attempt, "_adjust", spoiled)


def correct_twice(patch: Patch) -> None:
    """What was corrected or reversed is forgotten."""
    patch.setattr(decide._Books, "is_reversed", lambda self, id_: False)


def correct_what_was_told_first(patch: Patch) -> None:
    """What is corrected again is taken for what it was before it was corrected."""
    moved = corrections._moved

    def spoiled(standing: Sequence[Any]) -> Any:
        return moved(standing[:1])

    patch.setattr(corrections, "_moved", spoiled)


def keep_half_a_group(patch: Patch) -> None:
    """A group that fails at its later leg keeps what its first did."""
    make = attempt.Attempt.make

    def spoiled(self: Any, operation: Operation) -> int:
        try:
            return make(self, operation)
        except attempt.CannotDo:
            if self.entries:
                return 0
            raise

    patch.setattr(attempt.Attempt, "make", spoiled)


def write_whoever_has_the_turn(patch: Patch) -> None:
    """A writer whose turn is over takes the epoch of whoever is the writer now for its own."""
    read = Journal.read

    async def spoiled(
        self: Any, operations: Sequence[Operation], known: Known, *, locks: bool
    ) -> State:
        cursor = await self._connection.execute("SELECT writer_epoch FROM journal_head")
        ((self.epoch,),) = await cursor.fetchall()
        return await read(self, operations, known, locks=locks)

    patch.setattr(Journal, "read", spoiled)


def trust_what_is_known(patch: Patch) -> None:
    """A writer never looks whether somebody else wrote after it."""
    patch.setattr(Known, "is_true_of", lambda self, head, before: True)


@pytest.mark.timeout(600)
@pytest.mark.parametrize(
    "plant",
    [
        trust_what_is_known,
        forget_why_a_hold_was_not_found,
        place_a_hold_again,
        look_past_the_batch,
        look_past_the_batch_before,
        free_too_much,
        free_nothing_beside_the_cost,
        let_an_adjustment_free_what_is_left,
        correct_twice,
        correct_what_was_told_first,
        keep_half_a_group,
        write_whoever_has_the_turn,
    ],
)
def test_a_planted_fault_is_found(
    postgres: Postgres, postgres_url: str, monkeypatch: Patch, plant: Callable[[Patch], None]
) -> None:
    plant(monkeypatch)
    # Some faults show only where two batches meet: found once, perhaps not when told again.
    found = (AssertionError, pytest.fail.Exception, FlakyFailure)
    with a_bench(postgres, postgres_url) as bench, pytest.raises(found):
        compare(bench, examples=EXAMPLES, share=0, shrinks=False)
    assert bench.examples <= EXAMPLES
