"""What is about an execution that was booked: what the exchange takes back of it, and by whom else
it is corrected.
"""

import re
from collections import Counter
from collections.abc import Sequence
from datetime import datetime

import msgspec

from libs.reasons import Reason
from services.ledger.domain import forms
from services.ledger.domain.books import CASH, CUSTOMER, AccountKey, Kind, Result
from services.ledger.domain.deeds import Terms, derived, id_of_execution, legs_of
from services.ledger.domain.forms import Malformed
from services.ledger.domain.operations import Leg, Post
from services.ledger.domain.transfers import Moved, legs_back

BUST, CORRECT = 1, 2

# What an operator's transfer says first to compensate for a fill that is booked wrong, or not.
_COMPENSATION = re.compile(r"break ([A-Za-z0-9_.-]{1,32})/([!-~]{1,128})( .*)?")

_RETRIED = re.compile(r"[ /][0-9]+$")


class Correction(msgspec.Struct, frozen=True, kw_only=True):
    """A bust or a correction as it is told."""

    correction_id: str
    execution_id: str
    venue: str
    kind: int
    quantity: int
    price_micros: int
    effective_at: datetime | None
    previous_correction_id: str = ""  # which it corrects in its turn
    retries: int = 0  # a refusal is the answer for ever, to this try

    @property
    def name(self) -> str:
        """Its own for ever: no exchange gives an id with a space."""
        return f"{self.correction_id} {self.retries}" if self.retries else self.correction_id


class Booking(msgspec.Struct, frozen=True, kw_only=True):
    """How an execution was booked, or a correction of it. Refused: it moved nothing."""

    id: str
    kind: str
    reference: str
    is_refused: bool
    moved: Sequence[Moved] | None  # None: it is archived, and not known here any more


class Answered(msgspec.Struct, frozen=True):
    """What a correction came to when it was told before."""

    kind: str
    corrects: str | None  # the id of the booking that it moved back
    reason: Reason.ValueType


def execution_corrected(asked: Correction) -> str:
    """The id of the fill it is about. Checks the form of all of it and raises Malformed."""
    forms.an_execution(asked.venue, asked.correction_id)
    if asked.previous_correction_id:
        forms.an_execution(asked.venue, asked.previous_correction_id)
    venue, execution_id = forms.an_execution(asked.venue, asked.execution_id)
    if asked.retries < 0:
        raise Malformed(Reason.REASON_INVALID_REQUEST, "retries", "retries is negative")
    if asked.kind == CORRECT:
        forms.a_notional(asked.quantity, asked.price_micros)
    elif asked.kind != BUST:
        raise Malformed(Reason.REASON_INVALID_REQUEST, "kind", "kind must be BUST or CORRECT")
    elif asked.quantity:
        raise Malformed(Reason.REASON_INVALID_QUANTITY, "quantity", "a bust has no quantity")
    elif asked.price_micros:
        raise Malformed(Reason.REASON_INVALID_PRICE, "price_micros", "a bust has no price")
    return id_of_execution(venue, execution_id)


def id_of_correction(asked: Correction) -> str:
    """The id under which it is on record."""
    return derived("correction", asked.venue, asked.name)


def as_before(asked: Correction, bookings: Sequence[Booking], before: Answered) -> Result:
    """What it came to when it was told before.

    Its figures cannot be compared: they went into what it moved, and what was moved before is
    archived. Raises Malformed.
    """
    same = _kind_of(asked), _standing(asked, bookings)[-1].id
    is_same = (before.kind, before.corrects) == same
    reason = before.reason if is_same else Reason.REASON_EXISTS_DIFFERENT
    return Result(id_of_correction(asked), reason)


def correction(asked: Correction, bookings: Sequence[Booking]) -> Post:
    """Move back what the fill and its corrections moved and, unless it is busted, move what is
    right instead. `bookings`: the fill and the corrections of it that were booked, in order.

    First what the customer gets, then what they give: so they need no more than the difference.
    Raises Malformed, also where the books have nothing to correct.
    """
    execution_corrected(asked)
    standing = _standing(asked, bookings)
    moved = _moved(standing)
    legs = legs_back(moved)
    if asked.kind == CORRECT:
        legs += legs_of(_terms(asked, moved), from_hold=False)
    return Post(
        id=id_of_correction(asked),
        kind=_kind_of(asked),
        legs=tuple(sorted(legs, key=_is_given)),
        reverses=standing[-1].id,
        reference=f"{asked.venue}/{asked.name}",
        effective_at=asked.effective_at,
    )


def _standing(asked: Correction, bookings: Sequence[Booking]) -> Sequence[Booking]:
    """Those that made the fill what it is corrected from. Raises Malformed."""
    if not bookings:
        raise Malformed(
            Reason.REASON_TRANSFER_NOT_FOUND, "execution_id", "no such execution is booked"
        )
    if bookings[0].is_refused:
        raise Malformed(Reason.REASON_NOT_REVERSIBLE, "execution_id", "its booking was refused")
    if not asked.previous_correction_id:
        return bookings[:1]
    field = "previous_correction_id"
    place = _place_of(asked, bookings)
    if place is None:
        words = "no such correction of that execution is booked"
        raise Malformed(Reason.REASON_TRANSFER_NOT_FOUND, field, words)
    if bookings[place].kind == Kind.BUST:
        raise Malformed(Reason.REASON_NOT_REVERSIBLE, field, "it busted the execution")
    return bookings[: place + 1]


def _place_of(asked: Correction, bookings: Sequence[Booking]) -> int | None:
    """Of the correction that is corrected: asked for once or again.

    What was asked again once had a slash before its number: so may an id that an exchange gives.
    """
    name = f"{asked.venue}/{asked.previous_correction_id}"
    once = [each.reference for each in bookings]
    again = [_RETRIED.sub("", reference) for reference in once]
    return next((names.index(name, 1) for names in (once, again) if name in names[1:]), None)


def _moved(standing: Sequence[Booking]) -> list[Moved]:
    """What these moved in all. Raises Malformed."""
    amounts: Counter[AccountKey] = Counter()
    costs: Counter[AccountKey] = Counter()
    for booking in standing:
        if booking.moved is None:
            raise Malformed(
                Reason.REASON_HISTORY_ARCHIVED, "execution_id", "what its booking moved is archived"
            )
        for each in booking.moved:
            amounts[each.account] += each.amount
            costs[each.account] += each.cost_micros
    return [Moved(account, amount, costs[account]) for account, amount in amounts.items()]


def _kind_of(asked: Correction) -> Kind:
    return Kind.CORRECTION if asked.kind == CORRECT else Kind.BUST


def _terms(asked: Correction, moved: Sequence[Moved]) -> Terms:
    """The fill's own but for quantity and price."""
    mine = [m for m in moved if m.account.name.startswith(CUSTOMER)]
    (shares,) = (m for m in mine if m.account.asset != CASH)
    return Terms(
        customer=shares.account.name,
        symbol=shares.account.asset,
        is_buy=shares.amount > 0,
        quantity=asked.quantity,
        notional_micros=forms.a_notional(asked.quantity, asked.price_micros),
    )


def _is_given(leg: Leg) -> bool:
    """Whether the customer gives it."""
    return leg.debited.name.startswith(CUSTOMER)


def execution_named(*, kind: str, reference: str) -> tuple[str, str] | None:
    """Venue and execution id of a fill or a compensating transfer; None: it is about none.

    >>> execution_named(kind="execution", reference="XSIM/XSIM-1-7")
    ('XSIM', 'XSIM-1-7')
    >>> execution_named(kind="transfer", reference="break XSIM/XSIM-1-7 the fill of Monday")
    ('XSIM', 'XSIM-1-7')
    >>> execution_named(kind="transfer", reference="rent")
    """
    if kind == Kind.EXECUTION:
        venue, _, execution_id = reference.partition("/")
        return (venue, execution_id)
    found = _COMPENSATION.fullmatch(reference) if kind == Kind.TRANSFER else None
    return (found[1], found[2]) if found else None


def correction_named(reference: str) -> str:
    """The exchange's id of the bust or correction that is booked under this reference.

    >>> correction_named("XSIM/XSIM-1-9 2")
    'XSIM-1-9'
    """
    return reference.partition("/")[2].partition(" ")[0]
