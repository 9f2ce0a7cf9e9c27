"""What this house does with money and shares, made of the four operations.

Every function checks the form of what it is given and raises Malformed.
"""

import hashlib
from datetime import datetime
from functools import lru_cache

import msgspec
from msgspec.structs import replace

from libs.reasons import Reason
from services.ledger.domain import forms
from services.ledger.domain.attempt import MOST
from services.ledger.domain.books import (
    CASH,
    CUSTOMER,
    HOUSE,
    AccountKey,
    AccountState,
    Kind,
)
from services.ledger.domain.operations import AdjustHold, Leg, PlaceHold, Post, Restrain, leg

CLEARING = f"{HOUSE}clearing"  # what the exchange owes the house, and the house the exchange
DEPOSITS = f"{HOUSE}deposits"  # what came in from outside, as a debt to the outside
WITHDRAWALS = f"{HOUSE}withdrawals"  # what went out to the outside

BUY, SELL = 1, 2
_CLEARING_CASH = AccountKey(CLEARING, CASH)


class Execution(msgspec.Struct, frozen=True, kw_only=True):
    """A fill as it is told."""

    venue: str
    execution_id: str
    trade_id: str
    customer_id: str
    side: int
    symbol: str
    quantity: int
    price_micros: int
    executed_at: datetime | None
    releases_rest: bool
    released_micros: int = 0


class Terms(msgspec.Struct, frozen=True, kw_only=True):
    """What a fill comes to."""

    customer: str  # the name of the accounts
    symbol: str
    is_buy: bool
    quantity: int
    notional_micros: int


class Crossing(msgspec.Struct, frozen=True, kw_only=True):
    """Cash or shares that an operator brings in from outside, or takes out."""

    id: str
    customer_id: str
    amount: int
    reference: str
    operator: str


def account_of(customer_id: str) -> str:
    """The name of a customer's accounts."""
    return CUSTOMER + forms.a_customer(customer_id)


def place_hold(*, hold_id: str, customer_id: str, asset: str, amount: int) -> PlaceHold:
    """Set `amount` aside for the trade `hold_id`; 0: all that is available."""
    hold_id = forms.an_id(hold_id, field="hold_id")
    account = AccountKey(account_of(customer_id), forms.an_asset(asset))
    forms.an_amount(amount, field="amount", least=0, most=MOST)
    return PlaceHold(id=hold_id, account=account, amount=amount)


def adjust_hold(*, adjustment_id: str, hold_id: str, amount: int) -> AdjustHold:
    """Set `amount` more aside, or free as much where it is below zero."""
    adjustment_id = forms.an_id(adjustment_id, field="adjustment_id")
    hold_id = forms.an_id(hold_id, field="hold_id")
    forms.an_amount(abs(amount), field="amount", most=MOST)
    return AdjustHold(id=adjustment_id, hold_id=hold_id, amount=amount)


def release(hold_id: str) -> Post:
    """Free what is left of a hold."""
    hold_id = forms.an_id(hold_id, field="hold_id")
    return Post(id=derived("release", hold_id), kind=Kind.RELEASE, hold_id=hold_id, frees_rest=True)


def execution(fill: Execution) -> Post:
    """Book a fill: BUY pays out of the hold and receives shares, SELL the reverse."""
    venue, execution_id = forms.an_execution(fill.venue, fill.execution_id)
    trade_id = forms.an_id(fill.trade_id, field="trade_id")
    terms = Terms(
        customer=account_of(fill.customer_id),
        symbol=forms.a_symbol(fill.symbol),
        is_buy=fill.side == BUY,
        quantity=fill.quantity,
        notional_micros=forms.a_notional(fill.quantity, fill.price_micros),
    )
    if fill.side not in (BUY, SELL):
        raise forms.Malformed(Reason.REASON_INVALID_SIDE, "side", "side must be BUY or SELL")
    most = MOST if terms.is_buy else 0
    forms.an_amount(fill.released_micros, field="released_micros", least=0, most=most)
    return Post(
        id=id_of_execution(venue, execution_id),
        kind=Kind.EXECUTION,
        legs=legs_of(terms, from_hold=True),
        hold_id=trade_id,
        frees_rest=fill.releases_rest,
        frees=fill.released_micros,
        reference=f"{venue}/{execution_id}",
        effective_at=fill.executed_at,
    )


def id_of_execution(venue: str, execution_id: str) -> str:
    """Under which its booking is on record."""
    return derived("execution", venue, execution_id)


def legs_of(terms: Terms, *, from_hold: bool) -> tuple[Leg, Leg]:
    """What a fill moves: first what the customer gives, then what they get."""
    symbol, quantity, notional = terms.symbol, terms.quantity, terms.notional_micros
    cash, shares = AccountKey(terms.customer, CASH), AccountKey(terms.customer, symbol)
    if terms.is_buy:
        return (
            Leg(debited=cash, credited=_CLEARING_CASH, amount=notional, from_hold=from_hold),
            Leg(debited=_clearing(symbol), credited=shares, amount=quantity, cost_micros=notional),
        )
    return (
        Leg(debited=shares, credited=_clearing(symbol), amount=quantity, from_hold=from_hold),
        Leg(debited=_CLEARING_CASH, credited=cash, amount=notional),
    )


@lru_cache(1024)
def _clearing(asset: str) -> AccountKey:
    return AccountKey(CLEARING, asset)


def deposit(crossing: Crossing) -> Post:
    """Bring cash in; `amount` in micros."""
    amount = forms.an_amount(crossing.amount, field="amount_micros")
    return _incoming(crossing, Kind.DEPOSIT, CASH, amount, cost_micros=0)


def deposit_shares(crossing: Crossing, *, symbol: str, cost_micros: int) -> Post:
    """Bring shares in; `amount` in shares, which cost `cost_micros` in all."""
    symbol = forms.a_symbol(symbol)
    quantity = forms.an_amount(crossing.amount, field="quantity")
    cost_micros = forms.an_amount(cost_micros, field="cost_micros", least=0)
    return _incoming(crossing, Kind.DEPOSIT_SHARES, symbol, quantity, cost_micros=cost_micros)


def withdraw(crossing: Crossing) -> Post:
    """Pay cash out; `amount` in micros."""
    amount = forms.an_amount(crossing.amount, field="amount_micros")
    return _outgoing(crossing, Kind.WITHDRAW, CASH, amount)


def withdraw_shares(crossing: Crossing, *, symbol: str) -> Post:
    """Deliver shares; `amount` in shares."""
    quantity = forms.an_amount(crossing.amount, field="quantity")
    return _outgoing(crossing, Kind.WITHDRAW_SHARES, forms.a_symbol(symbol), quantity)


class Restraint(msgspec.Struct, frozen=True, kw_only=True):
    """What an operator says of the accounts of a name."""

    id: str
    account: str
    reference: str
    operator: str


def freeze(restraint: Restraint) -> Restrain:
    """Let the accounts only end what they began."""
    return _restrained(restraint, Kind.FREEZE, AccountState.FROZEN, field="freeze_id")


def unfreeze(restraint: Restraint) -> Restrain:
    """End a freeze."""
    return _restrained(restraint, Kind.UNFREEZE, AccountState.OPEN, field="unfreeze_id")


def close(restraint: Restraint) -> Restrain:
    """Close the accounts for ever; they must be empty. Those that the world goes through stay."""
    if restraint.account in (CLEARING, DEPOSITS, WITHDRAWALS):
        text = "without it nothing is bought, sold, brought in or taken out"
        raise forms.Malformed(Reason.REASON_INVALID_ACCOUNT, "account", text)
    return _restrained(restraint, Kind.CLOSE, AccountState.CLOSED, field="close_id")


def _restrained(asked: Restraint, kind: Kind, state: AccountState, *, field: str) -> Restrain:
    return Restrain(
        id=forms.an_id(asked.id, field=field),
        kind=kind,
        name=forms.an_account(asked.account, field="account"),
        state=state,
        reference=forms.a_reason(asked.reference),
        actor=asked.operator,
    )


def _incoming(incoming: Crossing, kind: Kind, asset: str, amount: int, *, cost_micros: int) -> Post:
    received = leg(amount, asset, source=DEPOSITS, target=account_of(incoming.customer_id))
    return Post(
        id=forms.an_id(incoming.id, field="deposit_id"),
        kind=kind,
        legs=(replace(received, cost_micros=cost_micros),),
        reference=forms.a_reason(incoming.reference),
        actor=incoming.operator,
    )


def _outgoing(outgoing: Crossing, kind: Kind, asset: str, amount: int) -> Post:
    return Post(
        id=forms.an_id(outgoing.id, field="withdrawal_id"),
        kind=kind,
        legs=(leg(amount, asset, source=account_of(outgoing.customer_id), target=WITHDRAWALS),),
        reference=forms.a_reason(outgoing.reference),
        actor=outgoing.operator,
    )


def derived(*names: str) -> str:
    """A UUID (version 8, RFC 9562) that follows from `names`: always the same for the same."""
    digest = hashlib.sha256(b"".join([len(n).to_bytes(2, "big") + n.encode() for n in names]))
    text = digest.hexdigest()
    variant = "89ab"[int(text[16], 16) & 3]
    return f"{text[:8]}-{text[8:12]}-8{text[13:16]}-{variant}{text[17:20]}-{text[20:32]}"
