"""The form of what operators ask. What is wrong is refused with its reason."""

import re
from collections.abc import Iterable, Sequence
from datetime import date

from libs.reasons import Reason
from libs.refusals import Invalid, NotFound
from services.reconciliation.domain.break_class import BreakClass
from services.reconciliation.store.breaks import BreakState

_UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_DATE = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
_MOST_WORDS = 500
_PAGE_SIZE = 50
_MOST_PAGE_SIZE = 1_000


def a_break_id(text: str) -> str:
    """Raises Invalid."""
    if not _UUID.fullmatch(text):
        raise Invalid(
            Reason.REASON_INVALID_ID, "break_id must be a UUID in lower case", field="break_id"
        )
    return text


def words(text: str) -> str:
    """Why, without blanks around it. Raises Invalid."""
    text = text.strip()
    if not 1 <= len(text) <= _MOST_WORDS or not text.isprintable():
        raise Invalid(
            Reason.REASON_INVALID_REQUEST,
            f"reason_text must be 1 to {_MOST_WORDS} printable characters",
            field="reason_text",
        )
    return text


def a_date(text: str) -> date:
    """Raises Invalid."""
    try:
        if _DATE.fullmatch(text):
            return date.fromisoformat(text)
    except ValueError:
        pass
    raise Invalid(
        Reason.REASON_INVALID_REQUEST, "trade_date must be YYYY-MM-DD", field="trade_date"
    )


def page_size(size: int) -> int:
    """The size meant. Raises Invalid."""
    if not 0 <= size <= _MOST_PAGE_SIZE:
        raise Invalid(
            Reason.REASON_INVALID_PAGE_SIZE,
            f"page_size must be 0 to {_MOST_PAGE_SIZE}",
            field="page_size",
        )
    return size or _PAGE_SIZE


def states(numbers: Iterable[int]) -> Sequence[int]:
    """The states meant; of none: those that are not over. Raises Invalid."""
    asked = sorted(set(numbers))
    if not set(asked) <= {int(state) for state in BreakState}:
        raise Invalid(Reason.REASON_INVALID_REQUEST, "no such state", field="states")
    return asked or [int(BreakState.OPEN), int(BreakState.EXPLAINED)]


def classes(numbers: Iterable[int]) -> Sequence[int]:
    """The classes meant; of none: all. Raises Invalid."""
    known = sorted(int(each) for each in BreakClass)
    asked = sorted(set(numbers))
    if not set(asked) <= set(known):
        raise Invalid(Reason.REASON_INVALID_REQUEST, "no such class", field="classes")
    return asked or known


def break_not_found() -> NotFound:
    """No break has that id."""
    return NotFound(Reason.REASON_BREAK_NOT_FOUND, "no break has that id")


def day_not_sealed() -> NotFound:
    """That day is not sealed."""
    return NotFound(Reason.REASON_DAY_NOT_SEALED, "that day is not sealed")
