"""Whether the sources tell the same busts and corrections of an execution, and how they differ."""

from collections import Counter
from collections.abc import Collection, Mapping, Sequence

from services.reconciliation.domain.break_class import BreakClass
from services.reconciliation.domain.sighting import Sighting, Source

_MISSING = {
    Source.GATEWAY: BreakClass.AMENDMENT_MISSING_AT_GATEWAY,
    Source.ORDER: BreakClass.AMENDMENT_MISSING_AT_ORDER,
}
_ALTERED = {
    Source.GATEWAY: BreakClass.AMENDMENT_ALTERED_AT_GATEWAY,
    Source.ORDER: BreakClass.AMENDMENT_ALTERED_AT_ORDER,
}
_EXTRA = {
    Source.GATEWAY: BreakClass.AMENDMENT_EXTRA_AT_GATEWAY,
    Source.ORDER: BreakClass.AMENDMENT_EXTRA_AT_ORDER,
}

Sightings = Mapping[Source, Sequence[Sighting]]


def last_word(venue: Sequence[Sighting]) -> Sighting | None:
    """What the venue said last that the execution is instead; None: it is as it was told."""
    words = [each for each in venue if not each.is_fill]
    return max(words, key=lambda each: each.position) if words else None


def amendments_of_records(told: Sightings, customer: str) -> set[BreakClass]:
    """How the gateway and the order service differ from the venue, amendment by amendment.

    `customer`: whose the execution is; empty: nobody says. An amendment that the gateway keeps for
    an operator is there: it is missing where it did not get to.
    """
    venue = _by_id(told.get(Source.VENUE, ()))
    said = _times(told.get(Source.VENUE, ()))
    classes: set[BreakClass] = set()
    for source in _MISSING:
        found = _by_id(told.get(source, ()))
        if venue.keys() - found.keys():
            classes.add(_MISSING[source])
        if found.keys() - venue.keys():
            classes.add(_EXTRA[source])
        if any(not _is_same(venue[i], found[i], customer) for i in venue.keys() & found.keys()):
            classes.add(_ALTERED[source])
        if any(times > max(1, said[i]) for i, times in _times(told.get(source, ())).items()):
            classes.add(BreakClass.DUPLICATE)
    return classes


def amendments_of_ledger(told: Sightings) -> set[BreakClass]:
    """How the ledger's amendments differ from the venue's, where they do not come to the same."""
    words = _by_id(told.get(Source.VENUE, ()))
    booked = {told_as(id_, words) for id_ in _by_id(told.get(Source.LEDGER, ()))}
    last = last_word(told.get(Source.VENUE, ()))
    classes: set[BreakClass] = set()
    if last is not None and last.amendment_id not in booked:
        classes.add(BreakClass.AMENDMENT_MISSING_AT_LEDGER)
    if booked - words.keys():
        classes.add(BreakClass.AMENDMENT_EXTRA_AT_LEDGER)
    return classes or {BreakClass.AMENDMENT_ALTERED_AT_LEDGER}


def told_as(booked_as: str, words: Collection[str]) -> str:
    """The venue's id of what the ledger booked under this one.

    What was asked of it anew, after a refusal, was once told with a slash and a number behind it.
    """
    asked_first = booked_as.rpartition("/")[0]
    return asked_first if asked_first in words and booked_as not in words else booked_as


def _by_id(found: Sequence[Sighting]) -> dict[str, Sighting]:
    return {each.amendment_id: each for each in found if each.amendment_id}


def _times(found: Sequence[Sighting]) -> Counter[str]:
    """How often each is told."""
    return Counter(each.amendment_id for each in found if each.amendment_id)


def _is_same(venue: Sighting, other: Sighting, customer: str) -> bool:
    return (
        other.trade_id in ("", venue.trade_id)
        and (not customer or other.customer_id in ("", customer))
        and (other.symbol, other.shares, other.cash_micros)
        == (venue.symbol, venue.shares, venue.cash_micros)
    )
