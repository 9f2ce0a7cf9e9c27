"""What can be traded."""

import msgspec


class Instrument(msgspec.Struct, frozen=True):
    """A symbol the exchange knows; `is_tradable`: it takes orders in it."""

    symbol: str
    name: str
    is_tradable: bool
