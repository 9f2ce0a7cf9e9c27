"""Limit up and limit down of one symbol: no trade outside a band around a reference price. Pure.

The reference is the mean price of the shares traded in the window that is over now; while there are
none it stays what it was. A trade that would be outside pauses the symbol for a while; then the
reference is what the book says.
"""

from datetime import datetime, timedelta
from typing import NamedTuple

from msgspec import Struct
from msgspec.structs import replace

_MILLION = 1_000_000


class Rule(NamedTuple):
    """How wide a band is on either side, millionths of the reference, and how long things last."""

    width_millionths: int
    window: timedelta
    pause: timedelta


class Traded(NamedTuple):
    """What was traded within one second: shares, and price x shares in micros."""

    second: int
    quantity: int
    notional: int


class Band(Struct, frozen=True):
    """Where a symbol stands. `reference` in micros; 0: unknown, and no trade is outside."""

    reference: int
    traded: tuple[Traded, ...] = ()
    paused_until: datetime | None = None


def limits(reference: int, rule: Rule) -> tuple[int, int]:
    """The lowest and the highest price of a trade, micros.

    >>> limits(10_000_000, Rule(50_000, timedelta(), timedelta()))
    (9500000, 10500000)
    """
    width = reference * rule.width_millionths
    return -((width - reference * _MILLION) // _MILLION), reference + width // _MILLION


def with_trade(band: Band, now: datetime, *, quantity: int, notional: int) -> Band:
    """After shares were traded; the reference follows with `at`."""
    second = int(now.timestamp())
    traded = band.traded
    if traded and traded[-1].second == second:
        last = traded[-1]
        quantity, notional = quantity + last.quantity, notional + last.notional
        traded = traded[:-1]
    return replace(band, traded=(*traded, Traded(second, quantity, notional)))


def at(band: Band, now: datetime, rule: Rule, *, book_price: int) -> Band:
    """The band as it is now. `book_price`: the middle of the book, micros; 0: it has none."""
    if band.paused_until is not None:
        if now < band.paused_until:
            return band
        return Band(book_price or band.reference)
    since = (now - rule.window).timestamp()
    traded = tuple(each for each in band.traded if each.second > since)
    if not traded:
        return replace(band, traded=()) if band.traded else band
    shares = sum(each.quantity for each in traded)
    return replace(band, traded=traded, reference=sum(t.notional for t in traded) // shares)


def paused(band: Band, now: datetime, rule: Rule) -> Band:
    """After a trade would have been outside."""
    return replace(band, paused_until=now + rule.pause)
