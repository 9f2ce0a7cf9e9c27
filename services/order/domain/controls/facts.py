"""What a decision was made on beside the trade's terms, and how it is kept with the trade."""

from collections.abc import Mapping
from datetime import datetime
from uuid import UUID

import msgspec

from services.order.domain.controls.setting import Book, Control, Setting
from services.order.domain.terms import Terms

UNKNOWN = -1
_NO_ID = b""


class Facts(msgspec.Struct, frozen=True, kw_only=True):
    """What was known. Ids of trades are empty where there is none.

    `last_price_micros` 0: never heard; `price_age_ms`: since the exchange gateway said so.
    `customer_rate_left`, `symbol_rate_left`: orders that may follow at once, UNKNOWN: not counted.
    """

    last_price_micros: int = 0
    price_age_ms: int = 0
    duplicate_of: str = ""
    crosses: str = ""
    customer_rate_left: int = UNKNOWN
    symbol_rate_left: int = UNKNOWN


NO_FACTS = Facts()


class Case(msgspec.Struct, frozen=True):
    """Everything a decision depends on: the same case always gets the same decision.

    `settings`: those in force for the trade, of that `version` of all settings.
    """

    terms: Terms
    version: int
    settings: Mapping[Control, Setting]
    facts: Facts = NO_FACTS


def case_of(customer_id: str, terms: Terms, book: Book, at: datetime, facts: Facts) -> Case:
    """The case of a trade at a time."""
    settings = book.in_force(customer_id, terms.symbol, at)
    return Case(terms, book.version, settings, facts)


class Kept(msgspec.Struct, frozen=True):
    """A decision as it is kept: version of the settings, what failed, as bits, and the facts."""

    version: int = 0
    failed: int = 0
    facts: Facts = NO_FACTS


def pack(kept: Kept) -> bytes:
    """As few bytes as it takes; none at all when nothing was ever set.

    >>> pack(Kept()), len(pack(Kept(version=7)))
    (b'', 2)
    >>> unpack(pack(Kept(version=7, failed=2))).failed
    2
    """
    facts = kept.facts
    fields = [
        kept.version,
        kept.failed,
        facts.last_price_micros,
        facts.price_age_ms,
        UUID(facts.duplicate_of).bytes if facts.duplicate_of else _NO_ID,
        UUID(facts.crosses).bytes if facts.crosses else _NO_ID,
        facts.customer_rate_left - UNKNOWN,
        facts.symbol_rate_left - UNKNOWN,
    ]
    while fields and not fields[-1]:
        fields.pop()
    return msgspec.msgpack.encode(fields) if fields else b""


def unpack(packed: bytes) -> Kept:
    """What was packed."""
    if not packed:
        return Kept()
    fields = msgspec.msgpack.decode(packed)
    fields += [0, 0, 0, 0, _NO_ID, _NO_ID, 0, 0][len(fields) :]
    version, failed, price, age, duplicate_of, crosses, customer_left, symbol_left = fields
    facts = Facts(
        last_price_micros=price,
        price_age_ms=age,
        duplicate_of=_id(duplicate_of),
        crosses=_id(crosses),
        customer_rate_left=customer_left + UNKNOWN,
        symbol_rate_left=symbol_left + UNKNOWN,
    )
    return Kept(version, failed, facts)


def _id(octets: bytes) -> str:
    return str(UUID(bytes=octets)) if octets else ""
