"""How much is measured."""

import msgspec


class Scale(msgspec.Struct, frozen=True, kw_only=True):
    """The sizes of a run."""

    seconds: float  # of each figure
    rounds: int
    accounts: int
