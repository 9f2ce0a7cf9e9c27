"""The rule of the books: what a batch of operations comes to.

Operations are decided strictly in order, each on what those before it left, exactly as if each came
alone. Each is kept whole or not at all, and refusals are recorded like successes: the same id gives
the same answer for ever. Of several reasons to refuse, the first of this order is given:

1. EXISTS_DIFFERENT: the id is on record with other terms (the one refusal that is not recorded)
2. ALREADY_REVERSED: the transfer that it reverses or corrects was reversed or corrected before
3. HOLD_NOT_FOUND: there is no such hold on the account to be debited
4. HOLD_CLOSED: the hold was released
5. ACCOUNT_NOT_OPEN: an account named is frozen or closed. A frozen one still takes part in what a
   hold was placed for before, and in reversals and corrections
6. ACCOUNT_NOT_EMPTY: an account to be closed still holds something
7. HOLD_EXCEEDED: the legs draw, or the adjustment frees, more than what is left of the hold
8. leg by leg, INSUFFICIENT_FUNDS (of USD) or INSUFFICIENT_SHARES (of any other asset), then
   BALANCE_OVERFLOW
"""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import TypeVar

from msgspec.structs import replace

from libs.reasons import Reason
from services.ledger.domain.attempt import Attempt, CannotDo
from services.ledger.domain.books import (
    Account,
    AccountKey,
    AccountState,
    Balance,
    Entry,
    Hold,
    Recorded,
    Result,
    State,
    Transfer,
    Writes,
)
from services.ledger.domain.operations import Operation, Post, accounts_of, fingerprint

Key = TypeVar("Key")
Touched = TypeVar("Touched")

_DONE = Reason.REASON_UNSPECIFIED  # looked up once: an enum of a contract takes its time


def decide(
    state: State, operations: Sequence[Operation], *, at: datetime
) -> tuple[list[Result], Writes]:
    """The results, in the order of `operations`, and what has to be written for them.

    `state` holds, as far as they exist, all accounts, holds and recorded ids that the operations
    name. `at` is the time; should it lie before the latest record's, that one's is taken.
    """
    books = _Books(state, max(at, state.head.recorded_at or at))
    results = [books.take(operation) for operation in operations]
    return results, books.writes()


class _Books:
    """The state as the batch changes it."""

    def __init__(self, state: State, at: datetime) -> None:
        self._state = state
        self._at = at
        self._recorded = dict(state.recorded)
        self._transfers: list[Transfer] = []
        self._entries: list[Entry] = []
        self._accounts = dict(state.accounts)
        self._touched: dict[AccountKey, Account] = {}  # of these, those that changed
        self._holds = dict(state.holds)
        self._touched_holds: dict[str, Hold] = {}
        self._restraints: dict[str, AccountState] = {}
        self._reversed = set(state.reversed)
        self.last_account_id = state.head.account_id
        self.next_seq = state.head.transfer_seq + 1

    def account(self, key: AccountKey) -> Account | None:
        """As it stands now, if there is one."""
        return self._accounts.get(key)

    def hold(self, hold_id: str) -> Hold | None:
        """As it stands now, if there is one."""
        return self._holds.get(hold_id)

    def accounts_of(self, name: str) -> list[Account]:
        """All of that name, as they stand now."""
        return [account for key, account in self._accounts.items() if key.name == name]

    def state_of(self, name: str) -> AccountState:
        """Whether the accounts of that name may be used now."""
        state = self._restraints.get(name) or self._state.restraints.get(name)
        return state or AccountState.OPEN

    def is_reversed(self, transfer_id: str) -> bool:
        """Whether that transfer was reversed by now."""
        return transfer_id in self._reversed

    @property
    def are_all_open(self) -> bool:
        """Whether there is no restraint at all."""
        return not self._restraints and not self._state.restraints

    def take(self, operation: Operation) -> Result:
        """Decide one operation and keep what it changes."""
        terms = operation.terms()
        mark = fingerprint(terms)
        recorded = self._recorded.get(operation.id)
        if recorded is not None:
            if recorded.fingerprint == mark:
                return recorded.result
            return Result(operation.id, Reason.REASON_EXISTS_DIFFERENT)
        attempt = Attempt(self)
        try:
            amount, reason = attempt.make(operation), _DONE
        except CannotDo as fault:
            amount, reason = 0, fault.reason
            attempt = Attempt(self)
            if reason == Reason.REASON_HOLD_NOT_FOUND and isinstance(operation, Post):
                attempt.forbid_hold(operation)
        self._keep(attempt)
        result = Result(operation.id, reason, amount, self._balances(operation, attempt, reason))
        self._record(operation, result, mark, terms)
        return result

    def writes(self) -> Writes:
        """All that changed since the state was read."""
        before = self._state.head
        after = replace(
            before,
            transfer_seq=before.transfer_seq + len(self._transfers),
            account_id=self.last_account_id,
            recorded_at=self._at if self._transfers else before.recorded_at,
        )
        changed, opened = _parted(self._touched, self._state.accounts)
        drawn, placed = _parted(self._touched_holds, self._state.holds)
        return Writes(
            before=before,
            after=after,
            opened=opened,
            changed=changed,
            placed=placed,
            drawn=drawn,
            restraints=self._restraints,
            transfers=tuple(self._transfers),
            entries=tuple(self._entries),
        )

    def _keep(self, attempt: Attempt) -> None:
        self._accounts.update(attempt.accounts)
        self._touched.update(attempt.accounts)
        self.last_account_id = attempt.last_account_id
        self._holds.update(attempt.holds)
        self._touched_holds.update(attempt.holds)
        if attempt.restraints:
            self._restraints.update(attempt.restraints)
        self._entries += attempt.entries

    def _balances(
        self, operation: Operation, attempt: Attempt, reason: Reason.ValueType
    ) -> tuple[Balance, ...]:
        """The accounts the operation names, and that of its hold if it was its to draw on."""
        found: Mapping[AccountKey, Account | None] = attempt.accounts  # in the order it names them
        if not found:  # else it changed them all
            found = {key: self.account(key) for key in accounts_of(operation, self._accounts)}
        hold = self.hold(operation.hold_id) if operation.hold_id and not reason else None
        if hold is not None and hold.account not in found:
            found = {**found, hold.account: self.account(hold.account)}
        return tuple(
            [Balance(a.key, a.id, a.version, a.posted, a.held) for a in found.values() if a]
        )

    def _record(self, operation: Operation, result: Result, mark: bytes, terms: bytes) -> None:
        self._recorded[operation.id] = Recorded(mark, result)
        if operation.reverses and not result.reason and operation.kind.undoes:
            self._reversed.add(operation.reverses)
        needs_terms = result.reason or not operation.leaves_entries
        self.next_seq += 1
        self._transfers.append(
            Transfer(
                seq=self.next_seq - 1,
                kind=operation.kind,
                fingerprint=mark,
                result=result,
                hold_id=operation.hold_id,
                reverses=operation.reverses,
                reference=operation.reference,
                actor=operation.actor,
                terms=terms.decode() if needs_terms else None,
                effective_at=operation.effective_at or self._at,
                recorded_at=self._at,
            )
        )


def _parted(
    touched: Mapping[Key, Touched], known: Mapping[Key, Touched]
) -> tuple[tuple[Touched, ...], tuple[Touched, ...]]:
    """What was there before, and what is new."""
    before = tuple([each for key, each in touched.items() if key in known])
    if len(before) == len(touched):
        return before, ()
    return before, tuple([each for key, each in touched.items() if key not in known])
