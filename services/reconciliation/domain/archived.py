"""What the ledger must have moved where it booked something and has archived it."""

from collections.abc import Mapping, Sequence

from msgspec.structs import replace

from services.reconciliation.domain.amendments import last_word, told_as
from services.reconciliation.domain.sighting import Sighting, Source

Sightings = Mapping[Source, Sequence[Sighting]]
Change = tuple[int, int]  # shares, micros


def as_booked(told: Sightings) -> list[Sighting]:
    """The ledger's sightings of an execution, archived ones with the figures they are taken for.

    An archived booking counts as of what the venue told of the fill, or who else tells it; an
    archived amendment as of what the venue told of that, after what it told before, one that it
    never told as a bust; and with archived entries of operators the books came to what the venue
    says. Where nobody tells of the fill nothing is known, and they stay as they are.
    """
    mine = list(told.get(Source.LEDGER, ()))
    if not any(each.is_archived for each in mine):
        return mine
    fill = _fill(told)
    if fill is None:
        return mine
    words = _words(told, fill)
    found = [_figured(each, fill, words) if each.is_archived else each for each in mine]
    place = next((n for n, each in enumerate(mine) if _is_of_an_operator(each)), None)
    if place is not None:
        due = last_word(told.get(Source.VENUE, ())) or fill
        found[place] = replace(
            found[place],
            shares=due.shares - sum(each.shares for each in found),
            cash_micros=due.cash_micros - sum(each.cash_micros for each in found),
        )
    return found


def is_nobody_elses(told: Sightings) -> bool:
    """Whether the ledger has booked and archived a fill that nobody tells of, and nothing undid."""
    mine = told.get(Source.LEDGER, ())
    return (
        _fill(told) is None
        and any(each.is_archived for each in mine)
        and all(each.is_fill for each in mine)
    )


def _fill(told: Sightings) -> Sighting | None:
    """The fill as who was nearest to it tells it, with whose it is."""
    sources = (Source.VENUE, Source.ORDER, Source.GATEWAY)
    fills = [each for source in sources for each in told.get(source, ()) if each.is_fill]
    owners = [each.customer_id for each in fills if each.customer_id]
    return replace(fills[0], customer_id=owners[0] if owners else "") if fills else None


def _words(told: Sightings, fill: Sighting) -> dict[str, Change]:
    """By what each amendment of the venue that is booked changed the execution."""
    words = {each.amendment_id: each for each in told.get(Source.VENUE, ()) if each.amendment_id}
    booked = {told_as(each.amendment_id, words) for each in told.get(Source.LEDGER, ())}
    changes: dict[str, Change] = {}
    before = fill
    for id_ in sorted(words.keys() & booked, key=lambda id_: words[id_].position):
        word = words[id_]
        changes[id_] = word.shares - before.shares, word.cash_micros - before.cash_micros
        before = word
    return changes


def _figured(each: Sighting, fill: Sighting, words: Mapping[str, Change]) -> Sighting:
    shares = cash = 0
    if each.is_fill:
        shares, cash = fill.shares, fill.cash_micros
    elif each.amendment_id:
        busted = -fill.shares, -fill.cash_micros
        shares, cash = words.get(told_as(each.amendment_id, words), busted)
    return replace(
        each,
        shares=shares,
        cash_micros=cash,
        customer_id=fill.customer_id,
        symbol=fill.symbol,
    )


def _is_of_an_operator(each: Sighting) -> bool:
    return each.is_archived and not each.is_fill and not each.amendment_id
