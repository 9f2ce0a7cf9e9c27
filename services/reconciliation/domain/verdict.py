"""Whether the sources agree on an execution, and how they differ if not."""

from collections import Counter
from collections.abc import Iterable, Mapping
from enum import IntEnum

import msgspec

from services.reconciliation.domain.sighting import Sighting, Source


class BreakClass(IntEnum):
    """How the sources differ. The numbers are those of the contract."""

    MISSING_AT_GATEWAY = 1
    MISSING_AT_ORDER = 2
    MISSING_AT_LEDGER = 3
    UNKNOWN_TO_VENUE = 4
    ALTERED_AT_VENUE = 5
    ALTERED_AT_GATEWAY = 6
    ALTERED_AT_ORDER = 7
    ALTERED_AT_LEDGER = 8
    DUPLICATE = 9


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

    The venue's word is what happened; the ledger has to have its last word, busts and corrections
    counted. Where the ledger has a correction and with it what the venue says, money and shares are
    right, and the other records stay as they are: history.
    """
    by_source: dict[Source, list[Sighting]] = {}
    for each in sightings:
        by_source.setdefault(each.source, []).append(each)
    told = {source: terms for source, found in by_source.items() if (terms := terms_of(found))}
    venue, ledger = told.get(Source.VENUE), told.get(Source.LEDGER)
    due = _after_corrections(venue, by_source.get(Source.VENUE, ()))
    customer = _customer(told)
    is_corrected = any(not each.is_fill for each in by_source.get(Source.LEDGER, ()))
    if is_corrected and _agrees(due, ledger, customer):
        return Verdict(frozenset(), is_compensated=True)
    copies = {source for source, found in by_source.items() if _is_doubled(found)}
    classes = {BreakClass.DUPLICATE} if copies else set()
    if venue is None:
        return Verdict(frozenset(classes | ({BreakClass.UNKNOWN_TO_VENUE} if told else set())))
    wanted = {Source.GATEWAY: venue, Source.ORDER: venue, Source.LEDGER: due}
    classes |= {_MISSING[each] for each in _HOUSE if each not in told and wanted[each] is not None}
    altered = {
        each
        for each in _HOUSE
        if each in told and each not in copies and not _agrees(wanted[each], told[each], customer)
    }
    if altered == set(_HOUSE) and _agree_among_themselves(told, customer):
        return Verdict(frozenset(classes | {BreakClass.ALTERED_AT_VENUE}))
    return Verdict(frozenset(classes | {_ALTERED[source] for source in altered}))


def terms_of(found: list[Sighting]) -> Terms | None:
    """What a source has, its corrections counted; None: nothing is left of it."""
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


def _after_corrections(venue: Terms | None, found: Iterable[Sighting]) -> Terms | None:
    """What is left of an execution by the venue's last word on it; None: nothing."""
    words = [each for each in found if not each.is_fill]
    if venue is None or not words:
        return venue
    last = max(words, key=lambda each: each.position)
    if not last.shares:
        return None
    return msgspec.structs.replace(venue, shares=last.shares, cash_micros=last.cash_micros)


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
    return all(_agrees(first, told[source], customer) for source in _HOUSE)


def _is_doubled(found: list[Sighting]) -> bool:
    """Whether the source has the fill under two positions, none laid aside or taken back."""
    fills = {each.position for each in found if each.is_fill}
    taken_back = {
        each.position for each in found if each.source is Source.LEDGER and not each.is_fill
    }
    return len(fills) - len(taken_back) > 1
