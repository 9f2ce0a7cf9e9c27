"""Books in memory, and operations on them, for tests of the rule alone."""

from dataclasses import dataclass, field
from datetime import UTC, datetime

from msgspec.structs import replace

from libs.reasons import Reason
from services.ledger.domain.books import (
    CASH,
    Account,
    AccountKey,
    AccountState,
    Head,
    Hold,
    Kind,
    Recorded,
    Result,
    State,
    Writes,
)
from services.ledger.domain.decide import decide
from services.ledger.domain.operations import AdjustHold, Leg, Operation, PlaceHold, Post, leg

NOON = datetime(2026, 11, 20, 12, tzinfo=UTC)
ALICE = AccountKey("customer/alice", CASH)
SHARES = AccountKey("customer/alice", "AAPL")
CLEARING = "house/clearing"
DONE = Reason.REASON_UNSPECIFIED


@dataclass
class Books:
    """The books in memory: what a store would keep."""

    head: Head = field(default_factory=Head)
    accounts: dict[AccountKey, Account] = field(default_factory=dict)
    holds: dict[str, Hold] = field(default_factory=dict)
    recorded: dict[str, Recorded] = field(default_factory=dict)
    restraints: dict[str, AccountState] = field(default_factory=dict)
    reversed: frozenset[str] = frozenset()
    writes: list[Writes] = field(default_factory=list)

    def take(self, *operations: Operation, at: datetime = NOON) -> list[Result]:
        state = State(
            head=self.head,
            accounts=self.accounts,
            holds=self.holds,
            recorded=self.recorded,
            restraints=self.restraints,
            reversed=self.reversed,
        )
        results, writes = decide(state, operations, at=at)
        self.head = writes.after
        self.accounts |= {a.key: a for a in (*writes.opened, *writes.changed)}
        self.holds |= {h.id: h for h in (*writes.placed, *writes.drawn)}
        self.recorded |= {t.result.id: Recorded(t.fingerprint, t.result) for t in writes.transfers}
        self.restraints |= writes.restraints
        self.reversed |= {
            t.reverses
            for t in writes.transfers
            if t.reverses and t.kind.undoes and not t.result.reason
        }
        self.writes.append(writes)
        return results

    def reasons(self, *operations: Operation) -> list[Reason.ValueType]:
        return [result.reason for result in self.take(*operations)]

    def set_state(self, key: AccountKey, state: AccountState) -> None:
        self.restraints[key.name] = state


def paid_in(amount: int, key: AccountKey = ALICE, *, called: str = "", cost: int = 0) -> Post:
    move = leg(amount, key.asset, source="house/deposits", target=key.name)
    kind = Kind.DEPOSIT if key.asset == CASH else Kind.DEPOSIT_SHARES
    return Post(id=called or f"in {amount}", kind=kind, legs=(replace(move, cost_micros=cost),))


def paid_out(amount: int, key: AccountKey = ALICE, *, called: str = "out") -> Post:
    return group(leg(amount, key.asset, source=key.name, target=CLEARING), called=called)


def group(*legs: Leg, called: str = "group", hold: str | None = None, rest: bool = False) -> Post:
    return Post(id=called, kind=Kind.EXECUTION, legs=legs, hold_id=hold, frees_rest=rest)


def drawn(amount: int, key: AccountKey = ALICE) -> Leg:
    return leg(amount, key.asset, source=key.name, target=CLEARING, from_hold=True)


def held(amount: int = 0, key: AccountKey = ALICE, *, called: str = "hold") -> PlaceHold:
    return PlaceHold(id=called, account=key, amount=amount)


def adjusted(amount: int, *, called: str = "adjustment", hold: str = "hold") -> AdjustHold:
    return AdjustHold(id=called, hold_id=hold, amount=amount)


def released(hold: str = "hold", *, called: str = "release") -> Post:
    return Post(id=called, kind=Kind.RELEASE, hold_id=hold, frees_rest=True)


def opened(*operations: Operation) -> Books:
    books = Books()
    assert set(books.reasons(*operations)) == {DONE}
    return books
