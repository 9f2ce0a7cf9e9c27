"""Every heal is explained by what was done to the house (I10)."""

from collections.abc import Mapping

from simulation.faults import Faults

# What may make a worker find by looking what no nudge told it of.
_STRAND_ALL = ("kill", "stop", "terminate", "database_away", "bus_away", "bus_wiped")
_STRAND_ONE = (
    "nudge_lost",
    "nudge_slow",
    "acknowledgement_lost",
    "beat_lost",
    "request_lost",
    "reply_lost",
    "call_slow",
    "commit_refused",
    "commit_unheard",
    "stream_cut",
    "stream_slow",
)


def unexplained(heals: Mapping[str, int], faults: Faults, trades: int) -> str | None:
    """Which heals there are too many of, in words; None: each has its cause.

    A process or a server that is gone strands at most every trade there is, and so does one that
    has not begun yet; a message, one.
    """
    injected = faults.injected
    ones = sum(injected[fault] for fault in _STRAND_ONE)
    alls = 1 + sum(injected[fault] for fault in _STRAND_ALL)
    most = ones + alls * trades
    logons = 1 + ones + 2 * alls
    for name, count in heals.items():
        bound = logons if name == "logons" else most
        if count > bound:
            return f"{count} times {name}, {bound} explained by {dict(injected)}"
    return None
