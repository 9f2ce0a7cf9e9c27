"""What the venue says of the market."""

from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True, slots=True)
class Level:
    """All orders at one price: micros per share, whole shares."""

    price_micros: int
    quantity: int


@dataclass(frozen=True, slots=True)
class Quote:
    """Best prices and the last one, 0 before the first trade; None: nobody offers."""

    symbol: str
    bid: Level | None
    ask: Level | None
    last_price_micros: int
    updated_at: datetime


@dataclass(frozen=True, slots=True)
class Book:
    """Levels, best first."""

    bids: tuple[Level, ...]
    asks: tuple[Level, ...]
