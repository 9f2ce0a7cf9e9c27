"""How long a trade is left alone after an attempt that ended in a fault of the house."""

_FIRST_SECONDS = 0.5
_MAX_SECONDS = 60.0
# Reasons that pass by themselves: a part of the house is away or has too much to do.
_PASSING_REASONS = frozenset({400, 401})


def pause_seconds(faults: int) -> float:
    """Ever longer, at most a minute; `faults` so far, 0 when they could not be counted.

    >>> [pause_seconds(faults) for faults in (0, 1, 2, 3, 9)]
    [0.5, 0.5, 1.0, 2.0, 60.0]
    """
    return float(min(_FIRST_SECONDS * 2 ** (min(max(faults, 1), 20) - 1), _MAX_SECONDS))


def passes(reason: int) -> bool:
    """Whether a neighbour that gives this reason for an item is as good as away."""
    return reason in _PASSING_REASONS
