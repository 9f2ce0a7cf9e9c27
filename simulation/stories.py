"""What became of trades by their events alone: whether the story holds (I15), and how it ended.

Written without the services' rules, as all of the invariants.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from libs.reasons import Reason
from simulation.database import Database
from simulation.world import Violation

_PLACED, _WORKS, _PARTLY, _FILLED, _CANCELING, _REPLACING = 1, 2, 3, 4, 5, 6  # statuses
_CANCELED, _REJECTED, _EXPIRED = 7, 8, 9
_ENDED = (_FILLED, _CANCELED, _REJECTED, _EXPIRED)
_STARTED, _ACCEPTED, _EXECUTED, _ASKED, _REFUSED = 2, 3, 4, 10, 11  # kinds of events
_REVISE, _REVISED, _KEPT = 12, 13, 14  # a replace is asked for, done, refused
_BUSTED, _CORRECTED = 15, 16
_AFTER_END = (_REFUSED, _KEPT, _BUSTED, _CORRECTED)
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


@dataclass(slots=True)
class _Story:
    """What the events so far come to."""

    has_started: bool = False
    is_asked: bool = False
    is_revised: bool = False
    filled: int = 0
    end: int = 0

    def take(self, line: Line, where: str) -> None:
        """The next event. Raises Violation."""
        _must(not self.end or line.kind in _AFTER_END, f"{where} it had ended")
        _must(not self.end or line.status == self.end, f"{where} it had ended as {self.end}")
        _must(not (line.kind in (_REFUSED, _KEPT) and not line.refusal), f"{where} and no reason")
        if line.kind == _STARTED:
            self.has_started = True
        elif line.kind == _EXECUTED:
            _must(line.filled > self.filled, f"{where} nothing more is filled")
            self.filled = line.filled
        elif line.kind in (_BUSTED, _CORRECTED):
            _must(self.end, f"{where} it works")
            _must(line.kind == _CORRECTED or line.filled < self.filled, f"{where} as before")
            self.filled = line.filled
        self._ask(line.kind, where)
        _must(line.filled == self.filled, f"{where} {line.filled} are filled, not {self.filled}")
        self.end = line.status if line.status in _ENDED else 0
        expected = _CLOSING.get(line.kind) or self.end or self._status()
        _must(line.status == expected, f"{where} expected {expected}")
        if self.end and self.end != _FILLED:
            self.is_asked = False  # the end is the answer

    def _ask(self, kind: int, where: str) -> None:
        """What is asked for is not asked for again before it is answered, and answered once."""
        if kind in (_ASKED, _REFUSED):
            _must(self.is_asked is (kind == _REFUSED), f"{where} asked before, or never")
            self.is_asked = kind == _ASKED
        elif kind == _REVISED and not self.has_started:
            _must(not self.is_revised, f"{where} it waits")
        elif kind in (_REVISE, _REVISED, _KEPT):
            _must(self.is_revised is (kind != _REVISE), f"{where} asked before, or never")
            self.is_revised = kind == _REVISE

    def _status(self) -> int:
        if not self.has_started:
            return _PLACED
        if self.is_asked:
            return _CANCELING
        if self.is_revised:
            return _REPLACING
        return _PARTLY if self.filled else _WORKS


def check_story(trade_id: str, lines: Sequence[Line]) -> None:
    """Each event follows from those before it. Raises Violation."""
    story = _Story()
    for line in lines:
        story.take(line, f"I15: {trade_id}, event {line.kind} in status {line.status}:")
    is_open = story.is_asked or story.is_revised
    _must(not (story.end and is_open), f"I15: {trade_id}: a request was never answered")


def outcome(lines: Sequence[Line], *, is_replaced: bool) -> str:
    """How a race was decided, in words; `is_replaced`: other terms were asked for in it."""
    asked = [line for line in lines if line.kind in (_ASKED, _REVISE)]
    words = [_replacing(lines)] if is_replaced else []
    words += ["asked in doubt"] if any(line.in_doubt for line in asked) else []
    return ", ".join([*words, _ending(lines, is_replaced=is_replaced)])


def _ending(lines: Sequence[Line], *, is_replaced: bool) -> str:
    kinds, last = [line.kind for line in lines], lines[-1]
    if last.status == _FILLED:
        if _ASKED in kinds:
            return "filled, too late to cancel"
        by_replace = next(line for line in lines if line.status == _FILLED).kind == _REVISED
        return (
            "filled by it" if by_replace else "filled" * is_replaced or "filled before it was asked"
        )
    if last.status == _CANCELED and last.reason == Reason.REASON_CANCELED_BY_CUSTOMER:
        return _canceled(kinds, last.filled)
    if last.status == _REJECTED:
        return f"rejected {_name(last.reason)}"
    return {_WORKS: "rests", _PARTLY: "filled in part"}.get(last.status, f"status {last.status}")


def _replacing(lines: Sequence[Line]) -> str:
    kinds = [line.kind for line in lines]
    refused = [f"refused {_name(line.refusal)}" for line in lines if line.kind == _KEPT]
    done = ["replaced" if _REVISE in kinds else "replaced while it waited"] * (_REVISED in kinds)
    return " and ".join([*done, *refused]) or "refused at the door"


def _name(reason: int) -> str:
    return Reason.Name(Reason.ValueType(reason)).removeprefix("REASON_")


def _canceled(kinds: Sequence[int], filled: int) -> str:
    if _ASKED not in kinds:
        return "canceled while it waited"
    if filled:
        return "canceled after a fill in part"
    return "canceled at the exchange" if _ACCEPTED in kinds else "canceled before it was sent"


def _must(holds: object, words: str) -> None:
    if not holds:
        raise Violation(words)
