"""What stands behind the door: trades that were placed and are not done, of the whole house.

The door may be faster than what comes after it, and an exchange may be away. What is placed then
waits for long, and no limit on the wait for the answer sees it.
"""

_SHARE = 20  # a single customer's trades count as a 20th of the most at most
_LEAST_AFTER, _MOST_AFTER = 1.0, 10.0


class Backlog:
    """Looked at now and then; between two looks what is placed here is added to it."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._open = 0
        self._done_per_second = 0.0
        self._seen: tuple[int, float] | None = None
        self._placed = 0  # here, since the last look

    @property
    def share(self) -> int:
        """How many of one customer's trades count. One after the other they are run, so that a
        long queue of one customer holds up nobody else.
        """
        return max(1, self._most // _SHARE)

    @property
    def open(self) -> int:
        """Trades that wait, as far as is known."""
        return self._open

    @property
    def room(self) -> int:
        """How many more may be placed."""
        return max(0, self._most - self._open)

    def add(self, placed: int) -> None:
        """So many were placed."""
        self._open += placed
        self._placed += placed

    def look(self, open_trades: int, *, now: float) -> None:
        """So many wait, by the database."""
        if self._seen is not None and now > self._seen[1]:
            before, at = self._seen
            self._done_per_second = max(0.0, before + self._placed - open_trades) / (now - at)
        self._seen, self._placed = (open_trades, now), 0
        self._open = open_trades

    def come_back(self) -> float:
        """Seconds until a twentieth of the most is done, at the pace of the last look."""
        if not self._done_per_second:
            return _MOST_AFTER
        seconds = self._most / _SHARE / self._done_per_second
        return min(max(seconds, _LEAST_AFTER), _MOST_AFTER)
