"""What is done about an order or a replace without an answer, once the venue was asked for it."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum, auto

from services.exchange_gateway.domain.orders import State
from services.exchange_gateway.domain.reports import REPLACE_ANSWERS, Report, told_by


class Step(Enum):
    """What is done: nothing but to wait, nothing any more, or it is sent again.

    The last two: the session logs on again, for what is missing on either side.
    """

    WAIT = auto()
    FORGET = auto()
    SEND_AGAIN = auto()
    FETCH_REPORTS = auto()
    BRING_COMMANDS = auto()


@dataclass(frozen=True, slots=True)
class Reach:
    """How far the session has come: commands kept there, the next report (its number) here."""

    kept_seq: int
    next_venue_seq: int


def about_order(command_seq: int, said: Sequence[Report] | None, reach: Reach) -> Step:
    """Of an order sent as `command_seq`; `said`: the venue's reports of it, None: unknown there."""
    if said is None:
        return Step.SEND_AGAIN if command_seq <= reach.kept_seq else Step.BRING_COMMANDS
    return Step.FETCH_REPORTS if _are_missing(said, reach) else Step.WAIT


def about_replace(command_seq: int, said: Sequence[Report] | None, reach: Reach) -> Step:
    """Of a replace sent as `command_seq`; `said`: the venue's reports of its order.

    It is sent again when the venue has the command and the order works, but nothing came of it.
    """
    if said is None or not said:
        return Step.WAIT
    if command_seq > reach.kept_seq:
        return Step.BRING_COMMANDS
    if _are_missing(said, reach):
        return Step.FETCH_REPORTS
    answers = (r for r in said if r.kind in REPLACE_ANSWERS and r.command_seq == command_seq)
    is_open = next(answers, None) is None and told_by(said) == State.ACCEPTED
    return Step.SEND_AGAIN if is_open else Step.FORGET


def _are_missing(said: Sequence[Report], reach: Reach) -> bool:
    return any(report.venue_seq >= reach.next_venue_seq for report in said)
