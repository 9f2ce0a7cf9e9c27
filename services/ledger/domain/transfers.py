"""Transfers between any accounts, and their reversals.

Every function checks the form of what it is given and raises Malformed.
"""

from collections.abc import Iterable, Sequence
from datetime import datetime

import msgspec

from libs.reasons import Reason
from services.ledger.domain import forms
from services.ledger.domain.attempt import MOST
from services.ledger.domain.books import CUSTOMER, AccountKey, Kind
from services.ledger.domain.deeds import derived
from services.ledger.domain.forms import Malformed
from services.ledger.domain.operations import Leg, Post

# What was done by these can be undone by moving it back.
REVERSIBLE = frozenset(
    {
        Kind.EXECUTION,
        Kind.DEPOSIT,
        Kind.DEPOSIT_SHARES,
        Kind.WITHDRAW,
        Kind.WITHDRAW_SHARES,
        Kind.TRANSFER,
    }
)


class AskedLeg(msgspec.Struct, frozen=True, kw_only=True):
    """A leg as it is told."""

    debit_account: str
    credit_account: str
    asset: str
    amount: int
    from_hold: bool = False
    cost_micros: int = 0


class AskedTransfer(msgspec.Struct, frozen=True, kw_only=True):
    """A linked group of legs as it is told."""

    id: str
    legs: Sequence[AskedLeg]
    without_floor: Iterable[str] = ()
    hold_id: str = ""
    releases_rest: bool = False
    reference: str = ""
    actor: str = ""
    effective_at: datetime | None = None


class Moved(msgspec.Struct, frozen=True):
    """What a transfer changed in one account."""

    account: AccountKey
    amount: int
    cost_micros: int


def transfer(asked: AskedTransfer) -> Post:
    """Move every leg, in order, or none."""
    id_ = forms.an_id(asked.id, field="transfer_id")
    hold_id = forms.an_id(asked.hold_id, field="hold_id") if asked.hold_id else None
    _check_shape(asked)
    return Post(
        id=id_,
        kind=Kind.TRANSFER,
        legs=tuple(map(_leg, asked.legs)),
        hold_id=hold_id,
        frees_rest=asked.releases_rest,
        reference=forms.a_reason(asked.reference),
        actor=asked.actor,
        effective_at=asked.effective_at,
        without_floor=tuple(sorted(set(map(_without_floor, asked.without_floor)))),
    )


def reversal_request(*, request_id: str, transfer_id: str, reference: str, operator: str) -> Post:
    """Ask that a transfer be reversed: a record that moves nothing."""
    return Post(
        id=forms.an_id(request_id, field="request_id"),
        kind=Kind.REVERSAL_REQUEST,
        reverses=forms.an_id(transfer_id, field="transfer_id"),
        reference=forms.a_reason(reference),
        actor=operator,
    )


def reversal(
    request_id: str, *, transfer_id: str, legs: Sequence[Leg], reference: str, operator: str
) -> Post:
    """Move back what a transfer moved. Each operator's word on a request is one operation."""
    return Post(
        id=id_of_reversal(request_id, operator=operator),
        kind=Kind.REVERSAL,
        legs=tuple(legs),
        reverses=transfer_id,
        reference=forms.a_reason(reference),
        actor=operator,
    )


def id_of_reversal(request_id: str, *, operator: str) -> str:
    """The id of an operator's word on a request."""
    return derived("reversal", request_id, operator)


def legs_back(moved: Iterable[Moved]) -> list[Leg]:
    """Legs that undo `moved`, which cancels out per asset; shares take their cost along."""
    rest = {m.account: m for m in moved if m.amount}
    legs = []
    for asset in sorted({key.asset for key in rest}):
        givers = [m for key, m in rest.items() if key.asset == asset and m.amount > 0]
        takers = [m for key, m in rest.items() if key.asset == asset and m.amount < 0]
        legs += _paired(givers, takers)
    return legs


def _paired(givers: list[Moved], takers: list[Moved]) -> list[Leg]:
    """Legs from those who got something to those who gave it."""
    legs = []
    while givers and takers:
        giver, taker = givers.pop(), takers.pop()
        amount = min(giver.amount, -taker.amount, MOST)  # what no floor bounds may be more
        given = giver.cost_micros if amount == giver.amount else 0
        taken = -taker.cost_micros if amount == -taker.amount else 0
        legs.append(
            Leg(
                debited=giver.account,
                credited=taker.account,
                amount=amount,
                cost_micros=taken,
                cost_given_micros=given,
            )
        )
        if amount < giver.amount:
            givers.append(Moved(giver.account, giver.amount - amount, giver.cost_micros))
        if amount < -taker.amount:
            takers.append(Moved(taker.account, taker.amount + amount, taker.cost_micros))
    return legs


def _check_shape(asked: AskedTransfer) -> None:
    releases = bool(asked.hold_id) and asked.releases_rest
    if len(asked.legs) > forms.MOST_LEGS or not (asked.legs or releases):
        raise Malformed(
            Reason.REASON_INVALID_REQUEST, "legs", f"a transfer has 1 to {forms.MOST_LEGS} legs"
        )
    draws = asked.releases_rest or any(leg.from_hold for leg in asked.legs)
    if draws != bool(asked.hold_id):
        raise Malformed(
            Reason.REASON_INVALID_REQUEST,
            "hold_id",
            "hold_id goes with legs from_hold or with releases_rest",
        )


def _leg(asked: AskedLeg) -> Leg:
    asset = forms.an_asset(asked.asset)
    debited = forms.an_account(asked.debit_account, field="debit_account")
    credited = forms.an_account(asked.credit_account, field="credit_account")
    if debited == credited:
        raise Malformed(
            Reason.REASON_INVALID_ACCOUNT, "credit_account", "a leg goes to another account"
        )
    return Leg(
        debited=AccountKey(debited, asset),
        credited=AccountKey(credited, asset),
        amount=forms.an_amount(asked.amount, field="amount", most=MOST),
        from_hold=asked.from_hold,
        cost_micros=forms.an_amount(asked.cost_micros, field="cost_micros", least=0),
    )


def _without_floor(name: str) -> str:
    name = forms.an_account(name, field="accounts")
    if name.startswith(CUSTOMER):
        raise Malformed(
            Reason.REASON_INVALID_ACCOUNT, "accounts", "a customer's account may not go below zero"
        )
    return name
