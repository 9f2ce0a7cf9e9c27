"""What all who trade share: the floor, its hours, the board of quotes, and whose turn it is."""

import asyncio
from collections.abc import Iterable
from datetime import UTC, datetime

from libs.clock import Clock
from services.exchange_simulator.floor import Floor
from services.exchange_simulator.hours import Hours, Phase
from services.exchange_simulator.quotes import Board


class Trading:
    """The market in progress. Whoever changes a book holds `turn`; readers need not.

    `day_ended_at` is the close of the last day whose DAY orders have expired.
    """

    def __init__(self, floor: Floor, hours: Hours, clock: Clock) -> None:
        self.floor = floor
        self.hours = hours
        self.clock = clock
        self.board = Board()
        self.turn = asyncio.Lock()
        self.phase = Phase.BY_HOURS
        self.day_ended_at = datetime.min.replace(tzinfo=UTC)

    def is_open(self) -> bool:
        """Whether orders are taken now."""
        if self.phase != Phase.BY_HOURS:
            return self.phase == Phase.OPEN
        return self.hours.is_open(self.clock.now())

    def day_to_end(self, phase: Phase) -> datetime | None:
        """The close of a day that is over, and whose DAY orders have not expired; None: none."""
        closed_at = self.hours.last_close(self.clock.now()) if phase == Phase.BY_HOURS else None
        return closed_at if closed_at is not None and closed_at > self.day_ended_at else None

    def publish(self, symbols: Iterable[str]) -> None:
        """Tell watchers of those symbols whose quote changed."""
        for symbol in symbols:
            market = self.floor.markets[symbol]
            quote = market.look()
            if quote != market.quote:
                market.quote, market.updated_at = quote, self.clock.now()
                self.board.touch(symbol)
