"""Rows of history that somebody changed or removed, by the database's own counts of them."""

from collections.abc import Mapping
from typing import NamedTuple

# By table and partition: rows written, changed and removed.
Counters = Mapping[tuple[str, int], tuple[int, int, int]]

# Tables whose rows never change, and the rule that is broken if one does.
HISTORY = {"transfer": "I6", "entry": "I3", "batch": "I6", "checkpoint": "I6"}
_NOTHING = (0, 0, 0)


class Moving(NamedTuple):
    """How many entries the archive was about to move from one partition to another."""

    ever: int
    now: int  # in a run that still goes on


class Changes:
    """What was done to the history since the first look. Nothing that was noted is forgotten."""

    def __init__(self) -> None:
        self.breaches: dict[str, list[str]] = {}  # in words, by the rule that is broken
        self._before: Counters | None = None
        self._moving = Moving(0, 0)
        self._expected = 0  # entries about to be moved, and not counted as removed yet

    @property
    def is_moving(self) -> bool:
        """Whether there are removals that are no alarm."""
        return self._expected > 0

    def note(self, counters: Counters, moving: Moving) -> bool:
        """Whether rows were changed or removed since the latest look.

        Entries that are moved are removed where they were. That is counted after they are on record
        as about to be moved, never before; also where the move is given up; and never again once a
        look has found that run over.
        """
        before, self._before = self._before, counters
        earlier, self._moving = self._moving, moving
        if before is None:
            self._expected = moving.now
            return False
        self._expected += moving.ever - earlier.ever
        is_changed = False
        for table, rule in HISTORY.items():
            changed, removed = _counts(table, before, counters)
            if table == "entry":
                of_these = min(removed, self._expected)
                self._expected -= of_these
                removed -= of_these
            if count := changed + removed:
                is_changed = True
                words = f"{count} rows of {table} were changed or removed"
                self.breaches.setdefault(rule, []).append(words)
        if not earlier.now and moving.ever == earlier.ever:
            self._expected = 0
        return is_changed


def _counts(table: str, before: Counters, now: Counters) -> tuple[int, int]:
    """How many rows of a table were changed, and how many removed, in all its partitions."""
    changed, removed = (
        sum(
            max(0, counts[which] - before.get(key, _NOTHING)[which])
            for key, counts in now.items()
            if key[0] == table
        )
        for which in (1, 2)
    )
    return changed, removed
