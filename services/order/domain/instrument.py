"""What can be traded."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Instrument:
    """A symbol the exchange knows; `is_tradable`: it takes orders in it."""

    symbol: str
    name: str
    is_tradable: bool
