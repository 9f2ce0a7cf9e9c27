"""What the parts of a running session share."""

import asyncio
from dataclasses import dataclass

import structlog
from prometheus_client import Gauge

from libs.clock import Clock
from services.exchange_gateway.domain import Command, Delivery
from services.exchange_gateway.domain.numbers import Numbers
from services.exchange_gateway.session.alarms import Alarms
from services.exchange_gateway.session.bell import Bell
from services.exchange_gateway.session.tail import Tail, Watermark
from services.exchange_gateway.session.unanswered import Unanswered
from services.exchange_gateway.store.progress import Seat
from services.exchange_gateway.venues import Venue

_connected = Gauge("gateway_session_connected", "1 while logged on to the venue")
_out_of_step = Gauge("gateway_session_out_of_step", "1 while an operator must mend its numbers")
_unheard = Gauge("gateway_session_unheard", "1 while the venue says what cannot be taken in")
_log = structlog.get_logger()


@dataclass(frozen=True, slots=True, kw_only=True)
class Rhythm:
    """How long things may take, in seconds.

    `gap`: a hole in the venue's numbers before the session logs on again. `query_after`: an order
    without an answer before the venue is asked. `retry_most`: between two attempts to reach a
    neighbour. `later_most`: between two attempts to have a report booked that could not be.
    """

    gap_seconds: float
    query_after_seconds: float
    retry_most_seconds: float
    later_most_seconds: float


class Board:
    """How the session stands in this process, for every part to see.

    `stored`: everything before this number is stored and may be acknowledged. `kept_seq`: the venue
    has every command up to this one. `heard_at`: when it said something last, monotonic seconds.
    `withdrawn`: orders an operator has resolved, or whose day was over before they were sent: they
    are not sent any more. `trouble`: why the session is not used although the venue answers, and
    `theirs` the numbers it gave then; `agreed`: those an operator has agreed to go on from.
    `unheard`: why what the venue says cannot be taken in; nothing behind it is heard.
    """

    def __init__(self, clock: Clock, *, venue_name: str, next_report_seq: int) -> None:
        self._clock = clock
        self.venue_name = venue_name
        self.stored = Watermark(next_report_seq)
        self.kept_seq = 0
        self.is_connected = False
        self.changed_at = clock.now()
        self.connected_since = clock.monotonic()
        self.heard_at = self.connected_since
        self.wants_logon = asyncio.Event()
        self.withdrawn: set[str] = set()
        self.trouble = self.unheard = ""
        self.theirs: Numbers | None = None
        self.agreed: Numbers | None = None

    def connected(self, *, is_connected: bool) -> None:
        """The session is up now, or down."""
        if is_connected == self.is_connected:
            return
        self.is_connected = is_connected
        self.changed_at = self._clock.now()
        self.connected_since = self.heard_at = self._clock.monotonic()
        self.wants_logon.clear()
        _connected.set(is_connected)

    def out_of_step(self, theirs: Numbers, why: str) -> None:
        """The session cannot be used: the two sides do not mean the same by its numbers."""
        if why != self.trouble:
            _log.error(
                "session_out_of_step",
                why=why,
                exchange_next_command=theirs.next_command_seq,
                exchange_next_report=theirs.next_report_seq,
            )
        self.trouble, self.theirs = why, theirs
        _out_of_step.set(1)

    def in_step(self) -> None:
        """Both sides mean the same."""
        self.trouble, self.theirs, self.agreed = "", None, None
        _out_of_step.set(0)

    def cannot_hear(self, why: str) -> None:
        """The venue says what cannot be taken in."""
        if why != self.unheard:
            _log.error("session_unheard", why=why)
        self.unheard = why
        _unheard.set(1)

    def hears(self) -> None:
        """The venue said something, and it was taken in."""
        self.unheard = ""
        _unheard.set(0)

    def log_on_again(self, why: str) -> None:
        """Have the session end and log on anew: each side then tells what it has."""
        if self.is_connected and not self.wants_logon.is_set():
            _log.warning("session_logs_on_again", why=why)
            self.wants_logon.set()


@dataclass(frozen=True, slots=True, kw_only=True)
class Floor:
    """The session as one process holds it. `commands` is sent from, `deliveries` delivered from.

    `waiting` and `replaces`: orders, and replaces by their orders, that the venue has not answered.
    `bell`: rung when something is to be done about stops that the house holds. `holds_stops`: new
    ones are held.
    """

    seat: Seat
    venue: Venue
    clock: Clock
    rhythm: Rhythm
    board: Board
    waiting: Unanswered
    replaces: Unanswered
    alarms: Alarms
    commands: Tail[Command]
    deliveries: Tail[Delivery]
    bell: Bell
    holds_stops: bool
