"""What a source says of an execution, and where it stands there."""

from datetime import date, datetime
from enum import IntEnum

import msgspec

MOST = 2**63 - 1

Key = tuple[str, str]  # venue, execution id


class Source(IntEnum):
    """Who keeps a record of every execution."""

    VENUE = 1
    GATEWAY = 2
    ORDER = 3
    LEDGER = 4


class Place(msgspec.Struct, frozen=True, order=True):
    """A place in a source's own order. Everything told at `numbered(n)` has a position up to n."""

    position: int = 0
    venue: str = ""
    execution_id: str = ""


ORIGIN = Place()
END = Place(position=MOST)
_BEHIND_ALL_NAMES = "~"  # sorts behind every character of a venue's name


def numbered(position: int) -> Place:
    """The place behind everything with this position; 0: the origin."""
    return Place(position, _BEHIND_ALL_NAMES) if position else ORIGIN


class Sighting(msgspec.Struct, frozen=True, gc=False):
    """A source has the execution. `shares` and `cash_micros` are what the customer got.

    `is_fill`: False for what the ledger is corrected by, for a report the gateway laid aside, and
    for what a source says that the execution is instead. A transfer of the ledger that touches
    several customers or symbols is several `part`s; at the order service the amendments of a fill,
    which may stand at its place, are its first, its second, and so on. `amendment_id`: the venue's
    id of the bust or correction that this is; empty: it is none. `is_archived`: what the ledger
    moved for it is not told any more, nor whose it was.
    """

    source: Source
    position: int
    trade_date: date
    shares: int
    cash_micros: int
    venue: str
    execution_id: str
    trade_id: str
    customer_id: str
    symbol: str
    part: int = 0
    is_fill: bool = True
    amendment_id: str = ""
    is_archived: bool = False

    @property
    def key(self) -> Key:
        """Names the execution among all."""
        return self.venue, self.execution_id

    @property
    def place(self) -> Place:
        """Where it stands at its source."""
        return Place(self.position, self.venue, self.execution_id)


class Page(msgspec.Struct, frozen=True, kw_only=True):
    """Some of a source's executions: all behind `after` up to `next`, and maybe some behind it.

    `reaches_end`: with these, all that was on record at `began_at` is told.
    """

    source: Source
    after: Place
    next: Place
    reaches_end: bool
    began_at: datetime
    sightings: tuple[Sighting, ...]

    @property
    def has_more(self) -> bool:
        """Whether asking again at once gets further."""
        return not self.reaches_end and self.next > self.after

    @property
    def forgot(self) -> bool:
        """Whether the source has less on record than was read there before."""
        return self.next < self.after


class Changes(msgspec.Struct, frozen=True):
    """By what a page differs from what is known."""

    fresh: list[Sighting]
    gone: list[Sighting]


def upper_bound(page: Page, *, is_reread: bool) -> Place:
    """Up to where what is known bears on the page."""
    last = max([each.position for each in page.sightings], default=0)
    told = max([each.place for each in page.sightings if each.position == last], default=ORIGIN)
    return max(told, told_whole(page) if is_reread else page.next)


def told_whole(page: Page) -> Place:
    """Up to where a page that was read anew tells everything there is."""
    return END if page.reaches_end else page.next


def changes(page: Page, known: list[Sighting], *, is_reread: bool) -> Changes:
    """What is to be kept and what to be forgotten; `known`: what is behind page.after, up to the
    upper bound.

    Only a page that was read anew shows that something is gone. Of what a source has archived it
    tells less than it did: what is known of it stays.
    """
    if not known:  # as of most pages of what is new
        return Changes(list(page.sightings), [])
    stored = {_name(each): each for each in known}
    told = {_name(each): each for each in page.sightings}
    fresh = [
        each
        for name, each in told.items()
        if stored.get(name) != each and not (each.is_archived and name in stored)
    ]
    if not is_reread:
        return Changes(fresh, [])
    end = told_whole(page)
    archived = {each.place for each in told.values() if each.is_archived}
    gone = [
        each
        for name, each in stored.items()
        if name not in told and each.place <= end and each.place not in archived
    ]
    return Changes(fresh, gone)


def _name(each: Sighting) -> tuple[int, str, str, int]:
    """Names a sighting among all of its source."""
    return each.position, each.execution_id, each.venue, each.part


def bounded(number: int) -> int:
    """What 64 bits can keep of a number that nobody should have told."""
    return max(-MOST, min(number, MOST))
