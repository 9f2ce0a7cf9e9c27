"""What became of trades by their events alone: whether the story holds (I15), and how it ended.

Written without the services' rules, as all of the invariants.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from libs.reasons import Reason
from simulation.database import Database
from simulation.world import Violation

_PLACED, _WORKS, _PARTLY, _FILLED, _CANCELING = 1, 2, 3, 4, 5  # statuses
_CANCELED, _REJECTED, _EXPIRED = 7, 8, 9
_ENDED = (_FILLED, _CANCELED, _REJECTED, _EXPIRED)
_STARTED, _ACCEPTED, _EXECUTED, _ASKED, _REFUSED = 2, 3, 4, 10, 11  # kinds of events
_CLOSING = {5: _REJECTED, 6: _CANCELED, 7: _EXPIRED}


@dataclass(frozen=True, slots=True)
class Line:
    """One event of a trade."""

    kind: int
    status: int
    filled: int
    reason: int
    refusal: int
    in_doubt: bool


def stories(order: Database) -> Mapping[str, list[Line]]:
    """Every trade's events, oldest first."""
    found = defaultdict(list)
    for trade_id, *line in order.rows(
        "SELECT trade_id::text, kind, status, filled_quantity, reason, refusal, in_doubt"
        " FROM trade_event ORDER BY customer_id, seq"
    ):
        found[trade_id].append(Line(*line))
    return found


def check_story(trade_id: str, lines: Sequence[Line]) -> None:
    """Each event follows from those before it. Raises Violation."""
    is_asked, has_started, filled, end = False, False, 0, 0
    for line in lines:
        where = f"I15: {trade_id}, event {line.kind} in status {line.status}:"
        _must(not end or line.kind == _REFUSED, f"{where} it had ended")
        has_started = has_started or line.kind == _STARTED
        if line.kind == _EXECUTED:
            _must(line.filled > filled, f"{where} nothing more is filled")
            filled = line.filled
        elif line.kind == _ASKED:
            _must(not is_asked, f"{where} it was asked for before")
            is_asked = True
        elif line.kind == _REFUSED:
            _must(is_asked and line.refusal, f"{where} nobody asked")
            is_asked = False
        _must(line.filled == filled, f"{where} {line.filled} are filled, {filled} were")
        end = line.status if line.status in _ENDED else 0
        expected = _CLOSING.get(line.kind) or end or _standing(has_started, is_asked, filled)
        _must(line.status == expected, f"{where} expected {expected}")
        is_asked = is_asked and (not end or end == _FILLED)
    _must(not (end and is_asked), f"I15: {trade_id}: a cancel was never answered")


def _standing(has_started: bool, is_asked: bool, filled: int) -> int:
    if not has_started:
        return _PLACED
    if is_asked:
        return _CANCELING
    return _PARTLY if filled else _WORKS


def outcome(lines: Sequence[Line]) -> str:
    """How a race was decided, in words."""
    kinds = [line.kind for line in lines]
    last = lines[-1]
    asked = [line for line in lines if line.kind == _ASKED]
    words = "asked in doubt, " if any(line.in_doubt for line in asked) else ""
    if last.status == _FILLED:
        return words + ("filled, too late to cancel" if asked else "filled before it was asked")
    if last.status == _CANCELED and last.reason == Reason.REASON_CANCELED_BY_CUSTOMER:
        return words + _canceled(kinds, last.filled)
    if last.status == _REJECTED:
        return words + f"rejected {Reason.Name(Reason.ValueType(last.reason))[7:]}"
    return words + f"status {last.status}"


def _canceled(kinds: Sequence[int], filled: int) -> str:
    if _ASKED not in kinds:
        return "canceled while it waited"
    if filled:
        return "canceled after a fill in part"
    return "canceled at the exchange" if _ACCEPTED in kinds else "canceled before it was sent"


def _must(holds: object, words: str) -> None:
    if not holds:
        raise Violation(words)
