"""Each control by itself: a pure function of a case and of what is set for it."""

from collections.abc import Callable
from enum import IntEnum

import msgspec

from libs.money import format_dollars
from libs.reasons import Reason
from services.order.domain.controls.facts import NO_FACTS, UNKNOWN, Case, Facts
from services.order.domain.controls.setting import Action, Control, Setting

BASIS_POINTS = 10_000


class Outcome(IntEnum):
    """What came of a check; numbers of the contract."""

    PASSED = 1
    FAILED = 2
    NOT_LIMITED = 3
    NOT_APPLICABLE = 4
    PASSED_WITHOUT_PRICE = 5


class Check(msgspec.Struct, frozen=True, kw_only=True):
    """What one control came to. `observed` is what is held against the setting's limit.

    `reason` is why it failed, `facts` are those that it looked at, and nothing else.
    """

    control: Control
    outcome: Outcome
    reason: int = 0
    text: str = ""
    observed: int = 0
    setting: Setting | None = None
    facts: Facts = NO_FACTS


def look(control: Control, case: Case) -> Check:
    """What this control says of the case."""
    setting = case.settings.get(control)
    if setting is None:
        return _NOTHING_SET[control]
    if setting.terms.action is Action.EXEMPT:
        return Check(control=control, outcome=Outcome.NOT_LIMITED, setting=setting)
    return _CHECKS[control](case, setting)


def notional_micros(case: Case) -> int:
    """What the order is worth at its own price, else at the last one; 0: nobody knows."""
    terms = case.terms
    price = terms.limit_price_micros or terms.stop_price_micros or case.facts.last_price_micros
    return price * terms.quantity


def _max_quantity(case: Case, setting: Setting) -> Check:
    quantity, limit = case.terms.quantity, setting.terms.limit
    if quantity <= limit:
        return _passed(setting, quantity)
    text = f"{quantity:,} shares are more than the {limit:,} an order may have"
    return _failed(setting, Reason.REASON_ORDER_QUANTITY_LIMIT, text, observed=quantity)


def _max_notional(case: Case, setting: Setting) -> Check:
    terms = case.terms
    facts = NO_FACTS
    if not (terms.limit_price_micros or terms.stop_price_micros):
        facts = _price_of(case)
        if not _is_fresh(facts, setting):
            return _without_price(setting, facts)
    worth, limit = notional_micros(case), setting.terms.limit
    if worth <= limit:
        return _passed(setting, worth, facts)
    text = f"{format_dollars(worth)} is more than the {format_dollars(limit)} an order may be worth"
    return _failed(setting, Reason.REASON_ORDER_NOTIONAL_LIMIT, text, observed=worth, facts=facts)


def _price_collar(case: Case, setting: Setting) -> Check:
    price, facts = case.terms.limit_price_micros, _price_of(case)
    if not price:
        control, outcome = setting.terms.control, Outcome.NOT_APPLICABLE
        return Check(control=control, outcome=outcome, setting=setting)
    if not _is_fresh(facts, setting):
        return _without_price(setting, facts)
    last, limit = facts.last_price_micros, setting.terms.limit
    distance = abs(price - last) * BASIS_POINTS
    observed = -(-distance // last)
    if distance <= limit * last:
        return _passed(setting, observed, facts)
    text = (
        f"the limit price {format_dollars(price)} is more than {_percent(limit)} away from the "
        f"last price {format_dollars(last)}"
    )
    return _failed(setting, Reason.REASON_PRICE_COLLAR, text, observed=observed, facts=facts)


def _duplicate_order(case: Case, setting: Setting) -> Check:
    facts = Facts(duplicate_of=case.facts.duplicate_of)
    if not facts.duplicate_of:
        return _passed(setting)
    text = (
        f"the same order was placed less than {setting.terms.seconds} s ago under another "
        f"client_order_id: trade {facts.duplicate_of}"
    )
    return _failed(setting, Reason.REASON_DUPLICATE_ORDER, text, facts=facts)


def _restricted_symbol(case: Case, setting: Setting) -> Check:
    text = f"trading in {case.terms.symbol} is restricted for {setting.terms.scope.words}"
    return _failed(setting, Reason.REASON_SYMBOL_RESTRICTED, text)


def _self_trade(case: Case, setting: Setting) -> Check:
    facts = Facts(crosses=case.facts.crosses)
    if not facts.crosses:
        return _passed(setting)
    text = f"it could trade against the customer's own order: trade {facts.crosses}"
    return _failed(setting, Reason.REASON_SELF_TRADE, text, facts=facts)


def _customer_rate(case: Case, setting: Setting) -> Check:
    left = case.facts.customer_rate_left
    return _rate(setting, left, Facts(customer_rate_left=left))


def _symbol_rate(case: Case, setting: Setting) -> Check:
    left = case.facts.symbol_rate_left
    return _rate(setting, left, Facts(symbol_rate_left=left))


def _rate(setting: Setting, left: int, facts: Facts) -> Check:
    terms = setting.terms
    if left > UNKNOWN:
        return _passed(setting, terms.limit - left, facts)
    text = f"more than {terms.limit:,} orders in {terms.seconds} s"
    return _failed(
        setting, Reason.REASON_ORDER_RATE_LIMIT, text, observed=terms.limit + 1, facts=facts
    )


def _price_of(case: Case) -> Facts:
    facts = case.facts
    return Facts(last_price_micros=facts.last_price_micros, price_age_ms=facts.price_age_ms)


def _is_fresh(facts: Facts, setting: Setting) -> bool:
    return bool(facts.last_price_micros) and facts.price_age_ms <= setting.terms.seconds * 1000


def _without_price(setting: Setting, facts: Facts) -> Check:
    text = "no last price is known"
    if facts.last_price_micros:
        text = f"the last price was heard {facts.price_age_ms / 1000:.1f} s ago, which is too long"
    if not setting.terms.passes_without_price:
        return _failed(setting, Reason.REASON_LAST_PRICE_UNKNOWN, text, facts=facts)
    return Check(
        control=setting.terms.control,
        outcome=Outcome.PASSED_WITHOUT_PRICE,
        text=text,
        setting=setting,
        facts=facts,
    )


def _passed(setting: Setting, observed: int = 0, facts: Facts = NO_FACTS) -> Check:
    return Check(
        control=setting.terms.control,
        outcome=Outcome.PASSED,
        observed=observed,
        setting=setting,
        facts=facts,
    )


def _failed(
    setting: Setting,
    reason: int,
    text: str,
    *,
    observed: int = 0,
    facts: Facts = NO_FACTS,
) -> Check:
    return Check(
        control=setting.terms.control,
        outcome=Outcome.FAILED,
        reason=reason,
        text=text,
        observed=observed,
        setting=setting,
        facts=facts,
    )


def _percent(basis_points: int) -> str:
    """For a person.

    >>> _percent(500), _percent(25)
    ('5 %', '0.25 %')
    """
    whole, part = divmod(basis_points, 100)
    return (f"{whole}.{part:02d}".rstrip("0") if part else f"{whole}") + " %"


_CHECKS: dict[Control, Callable[[Case, Setting], Check]] = {
    Control.MAX_QUANTITY: _max_quantity,
    Control.MAX_NOTIONAL: _max_notional,
    Control.PRICE_COLLAR: _price_collar,
    Control.DUPLICATE_ORDER: _duplicate_order,
    Control.CUSTOMER_RATE: _customer_rate,
    Control.SYMBOL_RATE: _symbol_rate,
    Control.RESTRICTED_SYMBOL: _restricted_symbol,
    Control.SELF_TRADE: _self_trade,
}
_NOTHING_SET = {control: Check(control=control, outcome=Outcome.NOT_LIMITED) for control in Control}
