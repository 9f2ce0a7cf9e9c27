"""Controls, settings and checks in a person's words."""

from libs.money import format_dollars
from services.cli.amounts import format_shares
from services.cli.wire import date_time, reason_word
from stockbroker.order.v1 import control_pb2 as pb

SETTING_HEADINGS = (">version", "control", "for", "limit", "from (UTC)", "by", "why")
CHECK_HEADINGS = ("control", "came to", "observed", "limit", "why")
_SECONDS_OF_PRICE = (pb.CONTROL_MAX_NOTIONAL, pb.CONTROL_PRICE_COLLAR)
_RATES = (pb.CONTROL_CUSTOMER_RATE, pb.CONTROL_SYMBOL_RATE)
_NOT_MEASURED = (pb.CONTROL_DUPLICATE_ORDER, pb.CONTROL_RESTRICTED_SYMBOL, pb.CONTROL_SELF_TRADE)


def setting_cells(setting: pb.ControlSetting) -> tuple[str, ...]:
    """A setting as a row under SETTING_HEADINGS."""
    return (
        str(setting.version),
        _control_word(setting.control),
        _scope_words(setting.scope),
        _limit_words(setting),
        date_time(setting.effective_at),
        setting.actor,
        setting.reason_text,
    )


def check_cells(check: pb.ControlCheck) -> tuple[str, ...]:
    """A check as a row under CHECK_HEADINGS."""
    outcome = pb.ControlOutcome.Name(check.outcome).removeprefix("CONTROL_OUTCOME_")
    limit = ""
    if check.HasField("setting"):
        setting = check.setting
        limit = f"{_limit_words(setting)} ({_scope_words(setting.scope)}, v{setting.version})"
    measured = check.observed and check.control not in _NOT_MEASURED
    why = [reason_word(check.reason), check.reason_text]
    return (
        _control_word(check.control),
        outcome.lower().replace("_", " "),
        _amount(check.control, check.observed) if measured else "",
        limit,
        ": ".join(part for part in why if part),
    )


def _control_word(control: pb.Control.ValueType) -> str:
    """As it is typed.

    >>> _control_word(pb.CONTROL_MAX_QUANTITY)
    'max-quantity'
    """
    return pb.Control.Name(control).removeprefix("CONTROL_").lower().replace("_", "-")


def _scope_words(scope: pb.ControlScope) -> str:
    if not scope.customer_id:
        return f"symbol {scope.symbol}" if scope.symbol else "firm"
    return f"customer {scope.customer_id}" + (f" in {scope.symbol}" if scope.symbol else "")


def _limit_words(setting: pb.ControlSetting) -> str:
    if setting.action == pb.CONTROL_ACTION_EXEMPT:
        return "exempt"
    if setting.action == pb.CONTROL_ACTION_WITHDRAW:
        return "withdrawn"
    if setting.control in _RATES:
        return f"{setting.limit:,} in {setting.seconds} s"
    if setting.control == pb.CONTROL_DUPLICATE_ORDER:
        return f"{setting.seconds} s"
    if not setting.limit:
        return "on"
    words = _amount(setting.control, setting.limit)
    if setting.control in _SECONDS_OF_PRICE:
        words += f", price at most {setting.seconds} s old"
        words += ", else passes" if setting.passes_without_price else ""
    return words


def _amount(control: pb.Control.ValueType, amount: int) -> str:
    if control == pb.CONTROL_MAX_NOTIONAL:
        return format_dollars(amount)
    if control == pb.CONTROL_PRICE_COLLAR:
        return f"{amount // 100}.{amount % 100:02d} %"
    return format_shares(amount)
