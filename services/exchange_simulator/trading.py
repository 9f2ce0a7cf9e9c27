"""What all who trade share: the floor, its hours, the board of quotes, and whose turn it is."""

import asyncio
from collections.abc import Iterable
from datetime import UTC, datetime

from services.exchange_simulator.floor import Floor
from services.exchange_simulator.hours import Hours, Phase
from services.exchange_simulator.quotes import Board
from services.exchange_simulator.venue_clock import VenueClock


class Trading:
    """The market in progress. Whoever changes a book holds `turn`; readers need not.

    `day_ended_at` is the close of the last day whose DAY orders have expired. `hours` are those
    by the settings, `calendar` has every session.
    """

    def __init__(self, floor: Floor, hours: Hours, calendar: Hours, clock: VenueClock) -> None:
        self.floor = floor
        self.calendar = calendar
        self._hours = hours
        self.clock = clock
        self.board = Board()
        self.turn = asyncio.Lock()
        self.phase = Phase.BY_HOURS
        self.day_ended_at = datetime.min.replace(tzinfo=UTC)

    def is_open(self) -> bool:
        """Whether orders are taken now."""
        hours = self.hours(self.phase)
        return self.phase == Phase.OPEN if hours is None else hours.is_open(self.clock.now())

    def hours(self, phase: Phase) -> Hours | None:
        """The hours that count in a phase; None: an operator's word does."""
        return {Phase.BY_HOURS: self._hours, Phase.BY_CALENDAR: self.calendar}.get(phase)

    def day_to_end(self, phase: Phase) -> datetime | None:
        """The close of a day that is over, and whose DAY orders have not expired; None: none."""
        hours = self.hours(phase)
        closed_at = hours.last_close(self.clock.now()) if hours is not None else None
        return closed_at if closed_at is not None and closed_at > self.day_ended_at else None

    def publish(self, symbols: Iterable[str]) -> None:
        """Tell watchers of those symbols whose quote changed."""
        for symbol in symbols:
            market = self.floor.markets[symbol]
            quote, traded = market.look(), market.traded
            market.traded = None
            if quote != market.quote:
                market.quote, market.updated_at = quote, self.clock.now()
                self.board.touch(symbol, traded)
