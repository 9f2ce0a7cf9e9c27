"""Whether the sources agree on an execution, and how they differ if not."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

import msgspec

from services.reconciliation.domain.amendments import (
    amendments_of_ledger,
    amendments_of_records,
    last_word,
)
from services.reconciliation.domain.archived import as_booked, is_nobody_elses
from services.reconciliation.domain.break_class import BreakClass
from services.reconciliation.domain.sighting import Sighting, Source

_BOOKS = (Source.VENUE, Source.LEDGER)
_HOUSE = (Source.GATEWAY, Source.ORDER, Source.LEDGER)
_MISSING = {
    Source.GATEWAY: BreakClass.MISSING_AT_GATEWAY,
    Source.ORDER: BreakClass.MISSING_AT_ORDER,
    Source.LEDGER: BreakClass.MISSING_AT_LEDGER,
}
_ALTERED = {
    Source.GATEWAY: BreakClass.ALTERED_AT_GATEWAY,
    Source.ORDER: BreakClass.ALTERED_AT_ORDER,
    Source.LEDGER: BreakClass.ALTERED_AT_LEDGER,
}


class Terms(msgspec.Struct, frozen=True, kw_only=True):
    """What a source has of an execution in all. Empty trade or customer: it does not tell."""

    trade_id: str
    customer_id: str
    symbol: str
    shares: int
    cash_micros: int


class Verdict(msgspec.Struct, frozen=True):
    """No classes: there is nothing to complain of. `is_compensated`: thanks to a correction."""

    classes: frozenset[BreakClass]
    is_compensated: bool = False


def judge(sightings: Iterable[Sighting]) -> Verdict:
    """What to say of one execution, of which these are all the sightings.

    The venue's word is what happened: gateway and order service have to have the fill as it was
    told and each amendment of it, the ledger what it comes to by the last. Where the ledger has a
    reversal or a compensating transfer and with it what the venue says, money and shares are right,
    and the other records stay as they are: history.
    """
    told: dict[Source, list[Sighting]] = {}
    for each in sightings:
        told.setdefault(each.source, []).append(each)
    is_lost = is_nobody_elses(told)
    if Source.LEDGER in told:
        told[Source.LEDGER] = as_booked(told)
    fills = {source: terms for source, found in told.items() if (terms := _as_told(found))}
    customer = _customer(fills)
    due = _after_amendments(fills.get(Source.VENUE), told.get(Source.VENUE, []))
    left = terms_of(told.get(Source.LEDGER, []))
    if _agrees(due, left, customer) and any(map(_compensates, told.get(Source.LEDGER, ()))):
        return Verdict(frozenset(), is_compensated=True)
    copies = {source for source, found in told.items() if _is_doubled(found)}
    classes = {BreakClass.DUPLICATE} if copies else set()
    classes |= amendments_of_records(told, customer)
    venue = fills.get(Source.VENUE)
    if venue is None:
        is_there = is_lost or left is not None or not fills.keys() <= {Source.LEDGER}
        return Verdict(frozenset(classes | ({BreakClass.UNKNOWN_TO_VENUE} if is_there else set())))
    found = _of_records(venue, fills, customer)
    if not _agrees(due, left, customer):
        found |= _of_ledger(told, left, venue, customer)
    found -= {_ALTERED[source] for source in copies if source in _ALTERED}
    if found >= set(_ALTERED.values()) and _agree_among_themselves(fills, customer):
        found = found - set(_ALTERED.values()) | {BreakClass.ALTERED_AT_VENUE}
    return Verdict(frozenset(classes | found))


def _of_records(venue: Terms, fills: Mapping[Source, Terms], customer: str) -> set[BreakClass]:
    """How the gateway's and the order service's fill differs from the venue's."""
    classes = set()
    for source in (Source.GATEWAY, Source.ORDER):
        if source not in fills:
            classes.add(_MISSING[source])
        elif not _agrees(venue, fills[source], customer):
            classes.add(_ALTERED[source])
    return classes


def _of_ledger(
    told: Mapping[Source, list[Sighting]], left: Terms | None, venue: Terms, customer: str
) -> set[BreakClass]:
    """How the ledger differs, which does not have what is due: `left`."""
    booked = terms_of([each for each in told.get(Source.LEDGER, ()) if each.is_fill])
    amended = [each for source in _BOOKS for each in told.get(source, ()) if each.amendment_id]
    if amended and _agrees(venue, booked, customer):
        return amendments_of_ledger(told)
    return {_MISSING[Source.LEDGER] if left is None else _ALTERED[Source.LEDGER]}


def _as_told(found: list[Sighting]) -> Terms | None:
    """The fill without its amendments."""
    return terms_of([each for each in found if not each.amendment_id])


def terms_of(found: list[Sighting]) -> Terms | None:
    """What a source has, all that these say counted; None: nothing is left of it."""
    if not found:
        return None
    first = min(found, key=lambda each: (not each.is_fill, each.position, each.part))
    if all(each.source is not Source.LEDGER for each in found):
        return Terms(
            trade_id=first.trade_id,
            customer_id=first.customer_id,
            symbol=first.symbol,
            shares=first.shares,
            cash_micros=first.cash_micros,
        )
    cash: Counter[str] = Counter()
    shares: Counter[tuple[str, str]] = Counter()
    for each in found:
        cash[each.customer_id] += each.cash_micros
        shares[each.customer_id, each.symbol] += each.shares
    owned = {key: amount for key, amount in shares.items() if amount}
    paid = {customer: amount for customer, amount in cash.items() if amount}
    if not owned and not paid:
        return None
    return Terms(
        trade_id=first.trade_id,
        customer_id=",".join(sorted({customer for customer, _ in owned} | set(paid))),
        symbol=",".join(sorted({symbol for _, symbol in owned})),
        shares=sum(owned.values()),
        cash_micros=sum(paid.values()),
    )


def _after_amendments(venue: Terms | None, found: Sequence[Sighting]) -> Terms | None:
    """What is left of an execution by the venue's last word on it; None: nothing."""
    last = last_word(found)
    if venue is None or last is None:
        return venue
    if not last.shares:
        return None
    return msgspec.structs.replace(venue, shares=last.shares, cash_micros=last.cash_micros)


def _compensates(each: Sighting) -> bool:
    """Whether it is an operator's entry at the ledger."""
    return not each.is_fill and not each.amendment_id


def _customer(told: Mapping[Source, Terms]) -> str:
    """Whose it is by most who say; the order service has the first word."""
    said = [
        told[source].customer_id
        for source in (Source.ORDER, Source.GATEWAY, Source.LEDGER)
        if source in told and told[source].customer_id
    ]
    return Counter(said).most_common(1)[0][0] if said else ""


def _agrees(venue: Terms | None, other: Terms | None, customer: str) -> bool:
    if venue is None or other is None:
        return venue is other
    return (
        other.trade_id in ("", venue.trade_id)
        and other.customer_id in ("", customer)
        and (other.symbol, other.shares, other.cash_micros)
        == (venue.symbol, venue.shares, venue.cash_micros)
    )


def _agree_among_themselves(told: Mapping[Source, Terms], customer: str) -> bool:
    first = told[Source.ORDER]
    return all(source in told and _agrees(first, told[source], customer) for source in _HOUSE)


def _is_doubled(found: list[Sighting]) -> bool:
    """Whether the source has the fill under two positions, none laid aside or taken back."""
    fills = {each.position for each in found if each.is_fill}
    taken_back = {
        each.position for each in found if each.source is Source.LEDGER and _compensates(each)
    }
    return len(fills) - len(taken_back) > 1
