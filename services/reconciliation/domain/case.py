"""From differences to breaks: what to note, open and close for one execution."""

from collections.abc import Mapping
from datetime import date, datetime
from enum import IntEnum

import msgspec

from services.reconciliation.domain.break_class import BreakClass
from services.reconciliation.domain.sighting import Key, Sighting
from services.reconciliation.domain.verdict import judge

ANY_CLASS = 0


class End(IntEnum):
    """How a break came to its end. The numbers are those of the contract."""

    AGREED = 1
    COMPENSATED = 2


class Opening(msgspec.Struct, frozen=True, kw_only=True):
    """A break to be opened."""

    key: Key
    break_class: BreakClass
    trade_id: str
    trade_date: date
    told: tuple[Sighting, ...]
    noticed_at: datetime


class Closing(msgspec.Struct, frozen=True):
    """A break that is over."""

    break_id: str
    end: End


class Case(msgspec.Struct, frozen=True, kw_only=True):
    """What is known of one execution. `open_breaks` are ids by class.

    `noticed`: since when it is a suspect, by class; `ANY_CLASS`: of whatever class.
    """

    key: Key
    sightings: tuple[Sighting, ...]
    noticed: Mapping[int, datetime]
    open_breaks: dict[BreakClass, str]


class Ruling(msgspec.Struct, frozen=True, kw_only=True):
    """What is to be done about it. `stays`: open breaks that are as they were, but told anew.

    `suspected`: classes that are no breaks yet, and since when.
    """

    key: Key
    suspected: Mapping[BreakClass, datetime]
    openings: tuple[Opening, ...] = ()
    closings: tuple[Closing, ...] = ()
    stays: tuple[str, ...] = ()

    @property
    def is_content(self) -> bool:
        """Whether there is nothing to complain of."""
        return not (self.suspected or self.openings or self.stays)


def rule(case: Case, *, due_by: datetime | None, noticed_at: datetime) -> Ruling:
    """What follows from what the sources say.

    A difference is noted first; what was noticed `due_by` then, as old as the grace with every
    source read since, becomes a break. What is new was `noticed_at`. A break goes with its
    difference at once.
    """
    verdict = judge(case.sightings)
    end = End.COMPENSATED if verdict.is_compensated else End.AGREED
    closings = tuple(
        Closing(break_id, end)
        for break_class, break_id in case.open_breaks.items()
        if break_class not in verdict.classes
    )
    stays = tuple(
        break_id
        for break_class, break_id in case.open_breaks.items()
        if break_class in verdict.classes
    )
    since = case.noticed.get(ANY_CLASS, noticed_at)
    new = {
        each: case.noticed.get(each, since)
        for each in sorted(verdict.classes - case.open_breaks.keys())
    }
    due = {each: at for each, at in new.items() if due_by is not None and at <= due_by}
    return Ruling(
        key=case.key,
        suspected={each: at for each, at in new.items() if each not in due},
        openings=tuple(_opening(case, each, at) for each, at in due.items()),
        closings=closings,
        stays=stays,
    )


def _opening(case: Case, break_class: BreakClass, noticed_at: datetime) -> Opening:
    first = min(case.sightings, key=lambda each: (each.source, each.position))
    trade_ids = [each.trade_id for each in case.sightings if each.trade_id]
    return Opening(
        key=case.key,
        break_class=break_class,
        trade_id=trade_ids[0] if trade_ids else "",
        trade_date=first.trade_date,
        told=case.sightings,
        noticed_at=noticed_at,
    )
