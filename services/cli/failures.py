"""How the command line says that something did not work: one sentence and an exit code.

The codes are a contract with scripts:

    0    done; `place`: filled whole
    1    this machine: a file, a port, a fault of the command line itself
    2    the command or a setting is wrong
    3    the house refused; the sentence holds the stable reason
    4    the house does not run, or does not answer
    5    the trade ended without being filled whole
    6    the trade was still open when the wait was over
    7    an export, a statement or a rule of the books is broken
    130  interrupted
"""

import re
from enum import IntEnum


class ExitCode(IntEnum):
    """What the process ends with."""

    DONE = 0
    FAULT = 1
    USAGE = 2
    REFUSED = 3
    UNREACHABLE = 4
    UNFILLED = 5
    STILL_OPEN = 6
    BROKEN = 7
    INTERRUPTED = 130


class Failure(Exception):
    """A command ends here; the text is a sentence that says what to do."""

    def __init__(self, text: str, exit_code: ExitCode) -> None:
        super().__init__(text)
        self.text = text
        self.exit_code = exit_code


# What to do about a refusal, by its reason.
_ADVICE = {
    "ACCOUNT_NOT_OPEN": "an operator ends a freeze with `stockbroker unfreeze`",
    "CLIENT_ORDER_ID_REUSED": "choose another --client-order-id",
    "EXISTS_DIFFERENT": "choose another --id",
    "HISTORY_ARCHIVED": "the operator has them in files",
    "INSUFFICIENT_FUNDS": "`stockbroker portfolio` shows what is available",
    "INSUFFICIENT_SHARES": "`stockbroker portfolio` shows what is available",
    "INTERNAL": "the service's log holds the cause",
    "MARKET_CLOSED": "`stockbroker market hours` says when it opens",
    "NOT_IMPLEMENTED": "this version does not offer it",
    "NOT_REVERSIBLE": "`stockbroker transfers show` tells what it was",
    "PERMISSION_DENIED": "operators' commands need an operator's token",
    "SAME_OPERATOR": "name another with --operator",
    "TRADE_NOT_FOUND": "`stockbroker trades` lists a customer's trades, --as says whose",
    "UNAUTHENTICATED": "see `stockbroker token --help`, and STOCKBROKER_TOKEN if you set it",
    "UNKNOWN_SYMBOL": "`stockbroker market` lists the symbols",
}


_A_TIME = "write it like 2026-11-20 or 2026-11-20T09:30:00, in UTC"
_A_DATE = "write it like 2026-11-20"
_AN_HOUR = "write it like 14:30, in UTC"
_NO_OPTION = re.compile(r"No such option: (-\.?\d.*)")
_NO_TIME = re.compile(r"(.*) does not match the formats (.*)", re.DOTALL)


def plainer(message: str) -> str:
    """What the parser of arguments says of a wrong one, in a person's words.

    >>> plainer("No such option: -5")
    '-5 is below zero: amounts and quantities are given without a sign'
    >>> plainer("Value error, 'noon' does not match the formats '%H:%M'.")
    "'noon' is not a time: write it like 14:30, in UTC"
    """
    message = message.replace("Value error, ", "")
    if found := _NO_OPTION.fullmatch(message):
        return f"{found[1]} is below zero: amounts and quantities are given without a sign"
    if found := _NO_TIME.fullmatch(message):
        has_date, has_hours = "%Y" in found[2], "%H" in found[2]
        advice = _A_TIME if has_date and has_hours else _A_DATE if has_date else _AN_HOUR
        return f"{found[1]} is not a time: {advice}"
    return message


def refused(reason: str, text: str, retry_after_seconds: float | None = None) -> Failure:
    """The house's refusal with its stable `reason`, and what to do about it."""
    sentence = f"refused ({reason}): {text.rstrip('.')}"
    if retry_after_seconds is not None:
        advice = f"try again in {retry_after_seconds:.3g} s"
    else:
        advice = _ADVICE.get(reason, "")
    return Failure(f"{sentence}; {advice}" if advice else sentence, ExitCode.REFUSED)


def unavailable(text: str) -> Failure:
    """The door answers, the service behind it does not."""
    return Failure(
        f"{text.rstrip('.')}; `stockbroker status` shows what runs", ExitCode.UNREACHABLE
    )


def unreachable(what: str, why: str) -> Failure:
    """Nobody answers, or not in time."""
    return Failure(
        f"{what} does not answer ({why}); `make up` starts the house, "
        "`stockbroker status` shows what runs",
        ExitCode.UNREACHABLE,
    )
