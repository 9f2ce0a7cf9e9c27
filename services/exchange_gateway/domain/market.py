"""What the venue says of the market."""

from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True, slots=True)
class Level:
    """All orders at one price: micros per share, whole shares."""

    price_micros: int
    quantity: int


@dataclass(frozen=True, slots=True)
class Tick:
    """A symbol's last price, and between what prices it traded since the tick before; 0: none.

    Micros per share.
    """

    symbol: str
    last_price_micros: int
    is_halted: bool
    lowest_micros: int = 0
    highest_micros: int = 0


@dataclass(frozen=True, slots=True)
class Hours:
    """Whether orders are taken, and the close of the last day whose DAY orders have expired.

    `day_mark`: a day that ends after it ends what came now, or came before.
    """

    is_open: bool
    day_ended_at: datetime
    day_mark: datetime


@dataclass(frozen=True, slots=True)
class Quote:
    """Best prices and the last one, 0 before the first trade; None: nobody offers."""

    symbol: str
    bid: Level | None
    ask: Level | None
    last_price_micros: int
    updated_at: datetime
    is_halted: bool = False

    @property
    def tick(self) -> Tick:
        """What of it moves stops."""
        return Tick(self.symbol, self.last_price_micros, self.is_halted)


@dataclass(frozen=True, slots=True)
class Book:
    """Levels, best first."""

    bids: tuple[Level, ...]
    asks: tuple[Level, ...]
