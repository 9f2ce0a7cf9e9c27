"""From differences to breaks: what to note, open and close for one execution."""

from datetime import date, datetime
from enum import IntEnum

import msgspec

from services.reconciliation.domain.break_class import BreakClass
from services.reconciliation.domain.sighting import Key, Sighting
from services.reconciliation.domain.verdict import judge


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
    """What is known of one execution. `open_breaks` are ids by class."""

    key: Key
    sightings: tuple[Sighting, ...]
    noticed_at: datetime | None
    open_breaks: dict[BreakClass, str]


class Ruling(msgspec.Struct, frozen=True, kw_only=True):
    """What is to be done about it. `stays`: open breaks that are as they were, but told anew."""

    key: Key
    is_suspect: bool
    openings: tuple[Opening, ...] = ()
    closings: tuple[Closing, ...] = ()
    stays: tuple[str, ...] = ()

    @property
    def is_content(self) -> bool:
        """Whether there is nothing to complain of."""
        return not (self.is_suspect or self.openings or self.stays)


def rule(case: Case, *, is_due: bool, now: datetime) -> Ruling:
    """What follows from what the sources say.

    A difference is noted first; when it `is_due`, as old as the grace with every source read since,
    it becomes a break. A break goes with its difference at once.
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
    new = sorted(verdict.classes - case.open_breaks.keys())
    if not is_due:
        return Ruling(key=case.key, is_suspect=bool(new), closings=closings, stays=stays)
    noticed_at = case.noticed_at or now
    openings = tuple(_opening(case, each, noticed_at) for each in new)
    return Ruling(key=case.key, is_suspect=False, openings=openings, closings=closings, stays=stays)


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
