"""How much is measured."""

import msgspec


class Scale(msgspec.Struct, frozen=True, kw_only=True):
    """The sizes of a run."""

    seconds: float  # of each figure
    rounds: int
    accounts: int
    callers: int = 256  # of the unary door
    rate: float = 0.0  # trades a second in an open loop; 0: a closed loop
    customers: int = 100_000  # who have money in the end, in `growth`
    history: int = 200_000  # old trades in the end, in `growth`
    minutes: float = 10.0  # of trading, in `soak`
