"""Rows of history that somebody changed or removed, by the database's own counts of them."""

from collections.abc import Mapping

# By table and partition: rows written, changed and removed.
Counters = Mapping[tuple[str, int], tuple[int, int, int]]

# Tables whose rows never change, and the rule that is broken if one does.
HISTORY = {"transfer": "I6", "entry": "I3", "batch": "I6", "checkpoint": "I6"}
_NOTHING = (0, 0, 0)


class Changes:
    """What was done to the history since the first look. Nothing that was noted is forgotten."""

    def __init__(self) -> None:
        self.breaches: dict[str, list[str]] = {}  # in words, by the rule that is broken
        self._before: Counters | None = None
        self._moved = 0
        self._moving = 0  # entries that were moved, and not counted as removed yet

    def note(self, counters: Counters, *, moved: int) -> bool:
        """Whether rows were changed or removed since the latest look.

        `moved`: how many entries were ever moved from one partition to another. They are removed
        where they were, and that is counted after they are on record as moved, never before.
        """
        before, self._before = self._before, counters
        moved, self._moved = moved - self._moved, moved
        if before is None:
            return False
        self._moving += moved
        is_changed = False
        for table, rule in HISTORY.items():
            count = _count(table, before, counters)
            if table == "entry":
                of_these = min(count, self._moving)
                self._moving -= of_these
                count -= of_these
            if count:
                is_changed = True
                words = f"{count} rows of {table} were changed or removed"
                self.breaches.setdefault(rule, []).append(words)
        return is_changed


def _count(table: str, before: Counters, now: Counters) -> int:
    """How many rows of a table were changed or removed, in all its partitions."""
    return sum(
        max(0, sum(counts[1:]) - sum(before.get(key, _NOTHING)[1:]))
        for key, counts in now.items()
        if key[0] == table
    )
