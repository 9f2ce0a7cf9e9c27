"""The life of a trade: one total table, (state, event) -> state. Whatever changes a trade asks it.

Events are the execution reports of FIX, states its order statuses; what is filled in part while a
request is on its way is a state of its own, so that each pair has one answer. A pair that cannot
happen has its reason instead, one that says nothing new REPEATED.
"""

from collections.abc import Mapping
from enum import Enum
from typing import Any

from msgspec.structs import replace

from services.order.domain.event import TradeEventKind
from services.order.domain.trade import Standing, TradeStatus


class State(Enum):
    """Where a trade stands: its status, whether some of it is filled, and OrdStatus (39)."""

    NOT_PLACED = (None, False, "")
    PLACED = (TradeStatus.PLACED, False, "A")
    IN_PROGRESS = (TradeStatus.IN_PROGRESS, False, "A, 0")
    PARTIALLY_FILLED = (TradeStatus.PARTIALLY_FILLED, True, "1")
    PENDING_CANCEL = (TradeStatus.PENDING_CANCEL, False, "6")
    PENDING_CANCEL_PARTIALLY_FILLED = (TradeStatus.PENDING_CANCEL, True, "6")
    PENDING_REPLACE = (TradeStatus.PENDING_REPLACE, False, "E")
    PENDING_REPLACE_PARTIALLY_FILLED = (TradeStatus.PENDING_REPLACE, True, "E")
    PENDING_CANCEL_AND_REPLACE = (TradeStatus.PENDING_CANCEL, False, "6", True)
    PENDING_CANCEL_AND_REPLACE_PARTIALLY_FILLED = (TradeStatus.PENDING_CANCEL, True, "6", True)
    FILLED = (TradeStatus.FILLED, True, "2")
    CANCELED = (TradeStatus.CANCELED, False, "4")
    REJECTED = (TradeStatus.REJECTED, False, "8")
    EXPIRED = (TradeStatus.EXPIRED, False, "C")

    __hash__ = object.__hash__  # each is one object: the names need not be hashed every time

    def __init__(
        self,
        status: TradeStatus | None,
        is_filled_in_part: bool,
        fix: str,
        is_over_replace: bool = False,
    ) -> None:
        self.status = status
        self.is_filled_in_part = is_filled_in_part
        self.ord_status = fix
        self.is_over_replace = is_over_replace


class Event(Enum):
    """What happens to a trade: the kind it is recorded as, and ExecType (150).

    A fill is two events, because what follows on it depends on whether something is left; so is a
    replace.
    """

    PLACED = (TradeEventKind.PLACED, "A")
    STARTED = (TradeEventKind.STARTED, "")
    ACCEPTED = (TradeEventKind.ACCEPTED, "0")
    FILLED_IN_PART = (TradeEventKind.EXECUTED, "F, some left")
    FILLED_WHOLE = (TradeEventKind.EXECUTED, "F, none left")
    REJECTED = (TradeEventKind.REJECTED, "8")
    CANCELED = (TradeEventKind.CANCELED, "4")
    EXPIRED = (TradeEventKind.EXPIRED, "C")
    IN_DOUBT = (TradeEventKind.IN_DOUBT, "")
    RESOLVED = (TradeEventKind.RESOLVED, "I")
    CANCEL_REQUESTED = (TradeEventKind.CANCEL_REQUESTED, "6")
    CANCEL_REJECTED = (TradeEventKind.CANCEL_REJECTED, "")
    REPLACE_REQUESTED = (TradeEventKind.REPLACE_REQUESTED, "E")
    REPLACED = (TradeEventKind.REPLACED, "5, some left")
    REPLACED_TO_FILLED = (TradeEventKind.REPLACED, "5, none left")
    REPLACE_REJECTED = (TradeEventKind.REPLACE_REJECTED, "")
    EXECUTION_BUSTED = (TradeEventKind.EXECUTION_BUSTED, "H")
    EXECUTION_CORRECTED = (TradeEventKind.EXECUTION_CORRECTED, "G")

    __hash__ = object.__hash__

    def __init__(self, kind: TradeEventKind, fix: str) -> None:
        self.kind = kind
        self.exec_type = fix


class Still(Enum):
    """Why a pair leads nowhere; in words for the record. All but REPEATED are impossible."""

    REPEATED = "nothing new: it happened before, or what happened since was the answer"
    UNKNOWN = "there is no such trade"
    KNOWN = "it was placed before"
    NOT_SENT = "it was never sent to the exchange"
    HAS_FILLS = "a trade with fills cannot be rejected any more"
    NO_FILLS = "there is no fill that could be taken back"
    OVER = "the trade has ended before"

    @property
    def is_impossible(self) -> bool:
        """Whether it cannot be true of the trade."""
        return self is not Still.REPEATED


Next = State | Still


def _row(otherwise: Next, **cells: Next) -> Mapping[Event, Next]:
    """A row by the names of its events; those not named lead to `otherwise`."""
    named = {Event[name]: then for name, then in cells.items()}
    return {event: named.get(event, otherwise) for event in Event}


def _open(here: State, part: State, **cells: Next) -> Mapping[Event, Next]:
    """A row of a trade whose turn has come; `part`: where a fill of some of it leads."""
    common: dict[str, Next] = {
        "PLACED": Still.KNOWN,
        "STARTED": Still.REPEATED,
        "ACCEPTED": here,
        "FILLED_IN_PART": part,
        "FILLED_WHOLE": State.FILLED,
        "REJECTED": Still.HAS_FILLS if here.is_filled_in_part else State.REJECTED,
        "CANCELED": State.CANCELED,
        "EXPIRED": State.EXPIRED,
        "IN_DOUBT": here,
        "RESOLVED": here,
        "CANCEL_REJECTED": Still.REPEATED,
        "EXECUTION_BUSTED": here if here.is_filled_in_part else Still.NO_FILLS,
        "EXECUTION_CORRECTED": here if here.is_filled_in_part else Still.NO_FILLS,
    }
    return _row(Still.REPEATED, **(common | cells))


def _ended(here: State, **cells: Next) -> Mapping[Event, Next]:
    """A row of a trade that is over: what is told of it again is no news.

    Its end answers a replace that came too late: recorded with the end, and never alone. A fill
    that the exchange takes back afterwards does not open it again.
    """
    common: dict[str, Next] = {
        "PLACED": Still.KNOWN,
        "STARTED": Still.REPEATED,
        "ACCEPTED": Still.REPEATED,
        "IN_DOUBT": Still.REPEATED,
        "RESOLVED": Still.REPEATED,
        "CANCEL_REJECTED": Still.REPEATED,
        "REPLACE_REJECTED": here,
        "EXECUTION_BUSTED": here,
        "EXECUTION_CORRECTED": here,
    }
    return _row(Still.OVER, **(common | cells))


TABLE: Mapping[State, Mapping[Event, Next]] = {
    State.NOT_PLACED: _row(Still.UNKNOWN, PLACED=State.PLACED),
    State.PLACED: _row(
        Still.NOT_SENT,
        REPLACED=State.PLACED,
        PLACED=Still.KNOWN,
        STARTED=State.IN_PROGRESS,
        REJECTED=State.REJECTED,
        CANCELED=State.CANCELED,
        EXPIRED=State.EXPIRED,
    ),
    State.IN_PROGRESS: _open(
        State.IN_PROGRESS,
        State.PARTIALLY_FILLED,
        CANCEL_REQUESTED=State.PENDING_CANCEL,
        REPLACE_REQUESTED=State.PENDING_REPLACE,
    ),
    State.PARTIALLY_FILLED: _open(
        State.PARTIALLY_FILLED,
        State.PARTIALLY_FILLED,
        CANCEL_REQUESTED=State.PENDING_CANCEL_PARTIALLY_FILLED,
        REPLACE_REQUESTED=State.PENDING_REPLACE_PARTIALLY_FILLED,
    ),
    State.PENDING_CANCEL: _open(
        State.PENDING_CANCEL,
        State.PENDING_CANCEL_PARTIALLY_FILLED,
        CANCEL_REQUESTED=Still.REPEATED,
        CANCEL_REJECTED=State.IN_PROGRESS,
    ),
    State.PENDING_CANCEL_PARTIALLY_FILLED: _open(
        State.PENDING_CANCEL_PARTIALLY_FILLED,
        State.PENDING_CANCEL_PARTIALLY_FILLED,
        CANCEL_REQUESTED=Still.REPEATED,
        CANCEL_REJECTED=State.PARTIALLY_FILLED,
    ),
    State.PENDING_REPLACE: _open(
        State.PENDING_REPLACE,
        State.PENDING_REPLACE_PARTIALLY_FILLED,
        CANCEL_REQUESTED=State.PENDING_CANCEL_AND_REPLACE,
        REPLACED=State.IN_PROGRESS,
        REPLACE_REJECTED=State.IN_PROGRESS,
    ),
    State.PENDING_REPLACE_PARTIALLY_FILLED: _open(
        State.PENDING_REPLACE_PARTIALLY_FILLED,
        State.PENDING_REPLACE_PARTIALLY_FILLED,
        CANCEL_REQUESTED=State.PENDING_CANCEL_AND_REPLACE_PARTIALLY_FILLED,
        REPLACED=State.PARTIALLY_FILLED,
        REPLACED_TO_FILLED=State.FILLED,
        REPLACE_REJECTED=State.PARTIALLY_FILLED,
    ),
    State.PENDING_CANCEL_AND_REPLACE: _open(
        State.PENDING_CANCEL_AND_REPLACE,
        State.PENDING_CANCEL_AND_REPLACE_PARTIALLY_FILLED,
        CANCEL_REQUESTED=Still.REPEATED,
        CANCEL_REJECTED=State.PENDING_REPLACE,
        REPLACED=State.PENDING_CANCEL,
        REPLACE_REJECTED=State.PENDING_CANCEL,
    ),
    State.PENDING_CANCEL_AND_REPLACE_PARTIALLY_FILLED: _open(
        State.PENDING_CANCEL_AND_REPLACE_PARTIALLY_FILLED,
        State.PENDING_CANCEL_AND_REPLACE_PARTIALLY_FILLED,
        CANCEL_REQUESTED=Still.REPEATED,
        CANCEL_REJECTED=State.PENDING_REPLACE_PARTIALLY_FILLED,
        REPLACED=State.PENDING_CANCEL_PARTIALLY_FILLED,
        REPLACED_TO_FILLED=State.FILLED,
        REPLACE_REJECTED=State.PENDING_CANCEL_PARTIALLY_FILLED,
    ),
    # The last fill answers a cancel that came too late: recorded with it, and never alone. An order
    # that was replaced down to what is filled is ended by the exchange: that is no news.
    State.FILLED: _ended(State.FILLED, CANCEL_REJECTED=State.FILLED, CANCELED=Still.REPEATED),
    State.CANCELED: _ended(
        State.CANCELED, CANCELED=Still.REPEATED, CANCEL_REQUESTED=Still.REPEATED
    ),
    State.REJECTED: _ended(
        State.REJECTED,
        REJECTED=Still.REPEATED,
        EXECUTION_BUSTED=Still.NO_FILLS,
        EXECUTION_CORRECTED=Still.NO_FILLS,
    ),
    State.EXPIRED: _ended(State.EXPIRED, EXPIRED=Still.REPEATED),
}


def _states() -> Mapping[tuple[TradeStatus, bool], State]:
    """States by status and whether something is filled; what is at the exchange by the latter."""
    found = {
        (state.status, state.is_filled_in_part): state
        for state in State
        if state.status and not state.is_over_replace
    }
    found |= {
        (status, is_filled): next(state for state in State if state.status is status)
        for status in TradeStatus
        for is_filled in (False, True)
        if (status, is_filled) not in found
    }
    found[TradeStatus.IN_PROGRESS, True] = State.PARTIALLY_FILLED
    found[TradeStatus.PARTIALLY_FILLED, False] = State.IN_PROGRESS
    return found


_STATES = _states()
_OVER_REPLACE = {state.is_filled_in_part: state for state in State if state.is_over_replace}


def state_of(standing: Standing | None) -> State:
    """The state of a trade that stands like this; None: there is no trade."""
    if standing is None:
        return State.NOT_PLACED
    is_filled = standing.filled_quantity + standing.taken_back > 0
    if standing.replace is not None and standing.status is TradeStatus.PENDING_CANCEL:
        return _OVER_REPLACE[is_filled]
    return _STATES[standing.status, is_filled]


def follow(standing: Standing | None, event: Event) -> Next:
    """Where an event leads, or why it leads nowhere."""
    return TABLE[state_of(standing)][event]


def after(standing: Standing | None, event: Event, **changes: Any) -> Standing:
    """How a trade stands after an event, `changes` being what it says beside the status.

    Raises ValueError where the event leads nowhere: who asks has looked before.
    """
    then = follow(standing, event)
    if isinstance(then, Still) or then.status is None:
        raise ValueError(f"{state_of(standing).name} has no {event.name}: {then}")
    return replace(standing or Standing(), status=then.status, **changes)
