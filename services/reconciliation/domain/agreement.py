"""What there is to say of an execution that every source tells once, and all alike."""

from collections.abc import Sequence
from datetime import date
from operator import attrgetter

import msgspec
from msgspec.structs import replace

from services.reconciliation.domain.sighting import Sighting, Source

_SOURCES = list(Source)
_source = attrgetter("source")
_terms = attrgetter("trade_id", "symbol", "shares", "cash_micros", "trade_date", "is_fill", "part")
_place = attrgetter("trade_id", "trade_date", "is_fill", "part")  # all that is left when archived


class Agreed(msgspec.Struct, frozen=True, gc=False):
    """The terms that all four tell, and where it stands at each. The venue names no customer."""

    venue_position: int
    gateway_position: int
    order_position: int
    ledger_position: int
    shares: int
    cash_micros: int
    trade_date: date
    venue: str
    execution_id: str
    trade_id: str
    customer_id: str
    symbol: str


def agreed(told: Sequence[Sighting]) -> Agreed | None:
    """The execution of which these are all the sightings; None: they are not all four and alike.

    A corrected one is no such, and neither is one that a source dates otherwise. One that the
    ledger has archived is, for it was booked.
    """
    if len(told) != len(_SOURCES):
        return None
    venue, gateway, order, ledger = sorted(told, key=_source)
    if [venue.source, gateway.source, order.source, ledger.source] != _SOURCES:
        return None
    terms = _terms(venue)
    if not venue.is_fill or venue.part or venue.customer_id:
        return None
    if ledger.is_archived and _place(ledger) == _place(venue):
        ledger = replace(order, source=Source.LEDGER, position=ledger.position)
    if not terms == _terms(gateway) == _terms(order) == _terms(ledger):
        return None
    if not gateway.customer_id == order.customer_id == ledger.customer_id:
        return None
    return Agreed(
        venue.position,
        gateway.position,
        order.position,
        ledger.position,
        venue.shares,
        venue.cash_micros,
        venue.trade_date,
        venue.venue,
        venue.execution_id,
        venue.trade_id,
        order.customer_id,
        venue.symbol,
    )
