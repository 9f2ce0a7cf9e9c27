"""What all who trade share: the floor, its hours, the board of quotes, and whose turn it is."""

import asyncio
from collections.abc import Iterable

from libs.clock import Clock
from services.exchange_simulator.floor import Floor
from services.exchange_simulator.hours import Hours
from services.exchange_simulator.quotes import Board


class Trading:
    """The market in progress. Whoever changes a book holds `turn`; readers need not."""

    def __init__(self, floor: Floor, hours: Hours, clock: Clock) -> None:
        self.floor = floor
        self.hours = hours
        self.clock = clock
        self.board = Board()
        self.turn = asyncio.Lock()

    def is_open(self) -> bool:
        """Whether orders are taken now."""
        return self.hours.is_open(self.clock.now())

    def publish(self, symbols: Iterable[str]) -> None:
        """Tell watchers of those symbols whose quote changed."""
        for symbol in symbols:
            market = self.floor.markets[symbol]
            quote = market.look()
            if quote != market.quote:
                market.quote, market.updated_at = quote, self.clock.now()
                self.board.touch(symbol)
