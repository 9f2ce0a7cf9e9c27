"""Keeps one symbol's trades within its band, and pauses it when one would be outside. Pure."""

from collections.abc import Iterable
from datetime import UTC, datetime

from services.exchange_simulator.bands import Band, Rule, at, limits, paused, with_trade
from services.exchange_simulator.domain import Ending, Ticket
from services.exchange_simulator.matching import Event, Matcher, Traded


class Guard:
    """Sets the bounds of a matching core. Without a rule there are none."""

    def __init__(self, matcher: Matcher, rule: Rule | None) -> None:
        self._matcher = matcher
        self._rule = rule
        self._band = self._before = Band(0)
        self._now = datetime.min.replace(tzinfo=UTC)

    @property
    def paused_until(self) -> datetime | None:
        """The end of a pause; None: trades may be made."""
        return self._band.paused_until

    def is_over(self, now: datetime) -> bool:
        """Whether a pause has come to its end."""
        until = self._band.paused_until
        return until is not None and until <= now

    def forget(self) -> None:
        """End a pause, and go by what the book says from now on."""
        if self._rule is not None:
            self._band = Band(self._book_price())
            self._bound(self._rule)

    def begin(self, now: datetime) -> None:
        """Remember how it stands; it is `now` until the next time."""
        self._now, self._before = now, self._band
        if self._rule is not None:
            self._renew(self._rule)

    def rollback(self) -> None:
        """Stand as at `begin`."""
        self._band = self._before
        if self._rule is not None:
            self._matcher.is_breached = False
            self._bound(self._rule)

    def breach(self, ticket: Ticket) -> Ending | None:
        """Why an order that is no stop may not trade now; it is a pause then. None: it may."""
        ending = self._matcher.breach(ticket)
        self.hear(())
        return ending

    def hear(self, events: Iterable[Event]) -> None:
        """The reference follows what was traded; pause if a trade would have been outside."""
        rule, matcher = self._rule, self._matcher
        if rule is None:
            return
        for fill in (f for event in events if isinstance(event, Traded) for f in event.fills):
            notional = fill.quantity * fill.price
            self._band = with_trade(
                self._band, self._now, quantity=fill.quantity, notional=notional
            )
        if matcher.is_breached:
            matcher.is_breached = False
            self._band = paused(self._band, self._now, rule)
        else:
            self._renew(rule)

    def _renew(self, rule: Rule) -> None:
        """Have the band of now."""
        self._band = at(self._band, self._now, rule, book_price=self._book_price())
        self._bound(rule)

    def _bound(self, rule: Rule) -> None:
        reference = self._band.reference
        self._matcher.bounds = limits(reference, rule) if reference else None

    def _book_price(self) -> int:
        """The middle of the book, micros, or its only side; 0: it is empty."""
        book = self._matcher.book
        best = [level.price for half in (book.bids, book.asks) if (level := half.best())]
        return sum(best) // len(best) if best else 0
