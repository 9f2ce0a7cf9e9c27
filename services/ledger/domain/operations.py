"""What may be asked of the books: four operations, of which everything else is made.

`Post` is a linked group of legs, all or none; it may draw on a hold and free the rest of it, and
with no legs at all it is a release, or a mere record. `PlaceHold` sets something aside,
`AdjustHold` more or less of it. `Restrain` says whether the accounts of a name may be used.
"""

import hashlib
from collections.abc import Iterable, Iterator
from datetime import datetime
from typing import Any

import msgspec

from services.ledger.domain.books import AccountKey, AccountState, Kind


class Leg(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """Moves `amount` (at least 1) from one account to another of the same asset; see `leg`."""

    debited: AccountKey
    credited: AccountKey
    amount: int
    from_hold: bool = False  # drawn from the hold of the post, instead of what is available
    # What it cost who gets it, for the cost basis; below zero, no more is taken off than there is.
    cost_micros: int = 0
    cost_given_micros: int | None = None  # what who gives it no longer counts; None: the average


def leg(amount: int, asset: str, *, source: str, target: str, from_hold: bool = False) -> Leg:
    """Moves `amount` of `asset` from the account called `source` to the one called `target`."""
    return Leg(
        debited=AccountKey(source, asset),
        credited=AccountKey(target, asset),
        amount=amount,
        from_hold=from_hold,
    )


class PlaceHold(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """Sets `amount` aside, or all that is available where it is 0. The hold bears the same id."""

    id: str
    account: AccountKey
    amount: int

    kind = Kind.HOLD
    reference = ""
    actor = ""
    effective_at = None
    reverses = None
    leaves_entries = True

    @property
    def hold_id(self) -> str:
        """Its own."""
        return self.id

    def accounts(self) -> Iterator[AccountKey]:
        """The accounts it names."""
        yield self.account

    def terms(self) -> bytes:
        """Everything that makes it this operation and no other, in one spelling."""
        return _spelled(self.kind, *self.account, self.amount)


class AdjustHold(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """Sets `amount` more aside, or frees as much where it is below zero. The hold stays open."""

    id: str
    hold_id: str
    amount: int

    kind = Kind.HOLD_ADJUSTMENT
    reference = ""
    actor = ""
    effective_at = None
    reverses = None
    leaves_entries = True

    def accounts(self) -> Iterator[AccountKey]:
        """None: that of its hold is not told."""
        return iter(())

    def terms(self) -> bytes:
        """Everything that makes it this operation and no other, in one spelling."""
        return _spelled(self.kind, self.hold_id, self.amount)


class Post(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """Moves every leg, in order, or none."""

    id: str
    kind: Kind
    legs: tuple[Leg, ...] = ()
    hold_id: str | None = None
    frees_rest: bool = False
    frees: int = 0  # of the hold, beside what the legs draw, as far as it is left
    reference: str = ""
    actor: str = ""
    effective_at: datetime | None = None  # None: when it is recorded
    reverses: str | None = None  # the transfer it reverses, or asks to reverse
    without_floor: tuple[str, ...] = ()  # names of accounts that it opens without one

    leaves_entries = True

    def accounts(self) -> Iterator[AccountKey]:
        """The accounts it names; that of its hold may be one more."""
        for leg in self.legs:
            yield leg.debited
            yield leg.credited

    def terms(self) -> bytes:
        """Everything that makes it this operation and no other, in one spelling.

        Not who asked and not when: the same fill told twice is the same fill.
        """
        legs = [msgspec.structs.astuple(leg) for leg in self.legs]
        terms = self.kind, self.hold_id, self.frees_rest, legs, self.reference
        if self.frees:
            return _spelled(*terms, self.reverses, self.without_floor, self.frees)
        if self.reverses or self.without_floor:
            return _spelled(*terms, self.reverses, self.without_floor)
        return _spelled(*terms)


class Restrain(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """Sets the state of all accounts of a name, those to come included."""

    id: str
    kind: Kind
    name: str
    state: AccountState
    reference: str = ""
    actor: str = ""

    hold_id = None
    effective_at = None
    reverses = None
    leaves_entries = False

    def accounts(self) -> Iterator[AccountKey]:
        """None by its asset: see `accounts_of`."""
        return iter(())

    def terms(self) -> bytes:
        """Everything that makes it this operation and no other, in one spelling."""
        return _spelled(self.kind, self.name, self.reference)


Operation = PlaceHold | AdjustHold | Post | Restrain


def accounts_of(operation: Operation, known: Iterable[AccountKey]) -> list[AccountKey]:
    """The accounts it names, each once; all of a name come out of those `known`."""
    if isinstance(operation, Restrain):
        return sorted(key for key in known if key.name == operation.name)
    return list(dict.fromkeys(operation.accounts()))


def fingerprint(terms: bytes) -> bytes:
    """16 bytes that differ where terms differ."""
    return hashlib.sha256(terms).digest()[:16]


def _spelled(*terms: Any) -> bytes:
    return msgspec.json.encode(terms)
