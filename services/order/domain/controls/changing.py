"""The rules of setting a control."""

from collections.abc import Mapping
from datetime import datetime

import msgspec
from msgspec.structs import replace

from libs.auth import SUBJECT
from services.order import refusals
from services.order.domain.controls.setting import Action, Control, Scope, Terms
from services.order.domain.placing import MAX_QUANTITY, check_symbol

_MAX_REASON_CHARACTERS = 500
_DEFAULT_PRICE_SECONDS = 60
_DAY = 86_400


class Bounds(msgspec.Struct, frozen=True):
    """What a control's limit and seconds may be when it is set, and which scopes it knows."""

    limit: tuple[int, int] = (0, 0)
    seconds: tuple[int, int] = (0, 0)
    needs_price: bool = False
    by_customer: bool = True
    by_symbol: bool = True


BOUNDS: Mapping[Control, Bounds] = {
    Control.MAX_QUANTITY: Bounds((1, MAX_QUANTITY)),
    Control.MAX_NOTIONAL: Bounds((1, 2**63 - 1), (1, _DAY), needs_price=True),
    Control.PRICE_COLLAR: Bounds((1, 1_000_000), (1, _DAY), needs_price=True),
    Control.DUPLICATE_ORDER: Bounds(seconds=(1, _DAY)),
    Control.CUSTOMER_RATE: Bounds((1, 1_000_000), (1, _DAY), by_symbol=False),
    Control.SYMBOL_RATE: Bounds((1, 1_000_000), (1, _DAY), by_customer=False),
    Control.RESTRICTED_SYMBOL: Bounds(),
    Control.SELF_TRADE: Bounds(),
}


class Change(msgspec.Struct, frozen=True, kw_only=True):
    """A setting that is asked for."""

    terms: Terms
    effective_at: datetime
    actor: str
    reason_text: str
    recorded_at: datetime


def check_change(change: Change) -> Change:
    """The change meant. Raises Invalid."""
    if not change.reason_text.strip() or len(change.reason_text) > _MAX_REASON_CHARACTERS:
        raise refusals.invalid_request(
            "reason_text", f"must be 1 to {_MAX_REASON_CHARACTERS} characters"
        )
    if "\0" in change.reason_text:
        raise refusals.invalid_request("reason_text", "must be plain text")
    if change.effective_at < change.recorded_at:
        raise refusals.invalid_request("effective_at", "must not be in the past")
    return replace(change, terms=_check_terms(change.terms))


def check_scope(scope: Scope) -> None:
    """Raise Invalid unless such a customer and symbol can exist."""
    if scope.symbol:
        check_symbol(scope.symbol)
    if scope.customer_id and not SUBJECT.fullmatch(scope.customer_id):
        raise refusals.invalid_customer()


def _check_terms(terms: Terms) -> Terms:
    bounds = BOUNDS[terms.control]
    check_scope(terms.scope)
    _check_scope_fits(terms, bounds)
    if terms.action is not Action.SET:
        bounds = Bounds()
    elif bounds.needs_price and not terms.seconds:
        terms = replace(terms, seconds=_DEFAULT_PRICE_SECONDS)
    for field, (least, most) in (("limit", bounds.limit), ("seconds", bounds.seconds)):
        if not least <= getattr(terms, field) <= most:
            words = f"must be {least} to {most} for this control" if most else "is not wanted here"
            raise refusals.invalid_request(field, words)
    if terms.passes_without_price and not bounds.needs_price:
        raise refusals.invalid_request("passes_without_price", "is not wanted here")
    return terms


def _check_scope_fits(terms: Terms, bounds: Bounds) -> None:
    scope = terms.scope
    if terms.control is Control.RESTRICTED_SYMBOL and not scope.symbol:
        raise refusals.invalid_request("scope", "must name the symbol")
    if scope.customer_id and not bounds.by_customer:
        raise refusals.invalid_request("scope", "must not name a customer for this control")
    if scope.symbol and not bounds.by_symbol:
        raise refusals.invalid_request("scope", "must not name a symbol for this control")
