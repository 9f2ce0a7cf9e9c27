"""What the house needs of a venue. One module here per way of speaking to one.

The rest of the service knows only these words: numbered commands out, numbered reports in, each
side telling the other what it has.
"""

from collections.abc import AsyncIterator, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Protocol

from services.exchange_gateway.domain import Command, Instrument, Order, Report
from services.exchange_gateway.domain.comparison import Theirs
from services.exchange_gateway.domain.market import Book, Hours, Quote, Tick
from services.exchange_gateway.domain.numbers import Numbers
from services.exchange_gateway.domain.replaces import Replace


class VenueAway(Exception):
    """The venue does not answer, or has hung up."""


class VenueUnheard(VenueAway):
    """The venue says what cannot be taken in; it says it again after each logon."""


class VenueOutOfStep(VenueAway):
    """The venue does not mean the same by the session's numbers; `theirs` are the venue's."""

    def __init__(self, theirs: Numbers, text: str) -> None:
        super().__init__(text)
        self.theirs = theirs


@dataclass(frozen=True, slots=True)
class LoggedOn:
    """What the venue says at logon: its name, and what it has."""

    venue: str
    next_command_seq: int
    next_report_seq: int

    @property
    def numbers(self) -> Numbers:
        """Its numbers."""
        return Numbers(self.next_command_seq, self.next_report_seq)


@dataclass(frozen=True, slots=True)
class CommandsKept:
    """The venue has stored every command up to this one."""

    command_seq: int


@dataclass(frozen=True, slots=True)
class ReportsHeard:
    """Reports, numbered by the venue."""

    reports: Sequence[Report]


class VenueStream(Protocol):
    """One connection of a session, logged on. Every method raises VenueAway once it is lost."""

    @property
    def logged_on(self) -> LoggedOn:
        """What the venue said at logon."""

    async def send(self, commands: Sequence[Command]) -> None:
        """Send commands, in order."""

    async def acknowledge(self, venue_seq: int) -> None:
        """Tell the venue that every report up to this number of its own is stored."""

    def hear(self) -> AsyncIterator[CommandsKept | ReportsHeard]:
        """What the venue says, until the connection is lost."""


class MarketWatch(Protocol):
    """A connection for the market alone. Every method raises VenueAway once it is lost."""

    def ticks(self) -> AsyncIterator[Tick]:
        """Every symbol as it stands, then each change, until the connection is lost."""

    async def hours(self) -> Hours:
        """As they are now."""


class Venue(Protocol):
    """A place that takes orders."""

    @property
    def takes_stops(self) -> bool:
        """Whether it waits with stops itself; else the house does."""

    def watch_market(self) -> AbstractAsyncContextManager[MarketWatch]:
        """Follow the market."""

    async def hours(self) -> Hours:
        """Whether it is open, as it is now. Raises VenueAway."""

    def encode(self, order: Order, seq: int) -> bytes:
        """The bytes of a new order under a number of the session."""

    def encode_cancel(self, trade_id: str, seq: int) -> bytes:
        """The bytes of a cancel under a number of the session."""

    def encode_replace(self, replace: Replace, seq: int) -> bytes:
        """The bytes of a replace under a number of the session."""

    def encode_nothing(self, seq: int) -> bytes:
        """The bytes that use a number up and order nothing."""

    def decode(self, raw: bytes) -> Report:
        """A report from its stored bytes. Of kind UNREADABLE when they make no sense."""

    def write(self, report: Report) -> bytes:
        """The bytes of a report as the venue would have said it; `decode` reads them."""

    def log_on(self, next_report_seq: int) -> AbstractAsyncContextManager[VenueStream]:
        """Open the session; `next_report_seq` is the first report that is not stored here.

        It is the venue's number. Raises VenueOutOfStep when the venue never sent the one before,
        VenueAway.
        """

    async def ask(self, trade_id: str) -> Sequence[Report] | None:
        """Every report of an order, oldest first; None: never heard of it. Raises VenueAway."""

    async def find_orders(self, trade_ids: Sequence[str]) -> dict[str, Theirs | None]:
        """How each order stands; None: never heard of it. At most 1000. Raises VenueAway."""

    async def list_orders(self, since: int, after: str) -> tuple[Sequence[Theirs], str]:
        """A page of the session's orders that are open or have a report numbered `since` or higher.

        `after` and the second of the answer say where pages go on; empty: begin, and end. Raises
        VenueAway.
        """

    async def list_quotes(self) -> list[Quote]:
        """Every symbol's quote as it is now, by symbol. Raises VenueAway."""

    async def get_book(self, symbol: str, depth: int) -> Book:
        """A symbol's book, at most so many levels a side. Raises VenueAway."""

    async def list_instruments(self) -> list[Instrument]:
        """What is listed, by symbol. Raises VenueAway."""
