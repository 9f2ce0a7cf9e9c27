"""Admission by expected wait: who would wait too long is told at once when to come back.

A fixed bound on what is queued is too small for a fast machine and too large for a slow one. Here
the pace of the last batches says how long what is queued will take. Nothing is refused for what
was: as soon as less is queued, all is taken again.
"""

from math import inf

ALWAYS = 300  # items that may be queued however long that takes: a batch worth its fixed cost
_FORGETS = 0.8  # what a batch counts when the next is known
_STRANGE = 4.0  # times what was expected: a batch that took longer was held up by something else
_LEAST_ITEM_SECONDS = 1e-6  # a clock may stand still while a batch fails
_UNKNOWN_ITEM_SECONDS, _SPREAD = 0.0002, 50.0  # a guess, until batches differ by so many items
_LEAST_AFTER, _LONGEST_AFTER = 0.01, 5.0


class Tempo:
    """What batches take: a fixed part, and a part for each item; learnt from the last ones."""

    def __init__(self) -> None:
        self._fixed, self._item = 0.0, _UNKNOWN_ITEM_SECONDS
        self._weight = self._items = self._seconds = self._squares = self._products = 0.0

    def seconds(self, items: float) -> float:
        """That a batch of so many is expected to take."""
        return self._fixed + self._item * items

    def items_in(self, seconds: float) -> float:
        """How many are done in one batch in that time; negative: in no time."""
        return (seconds - self._fixed) / self._item

    def note(self, items: int, seconds: float) -> None:
        """A batch took so long; by a clock that stands still meanwhile: no time."""
        seconds = max(seconds, items * _LEAST_ITEM_SECONDS)
        if self._weight:
            seconds = min(seconds, _STRANGE * self.seconds(items))
        self._weight = self._weight * _FORGETS + 1
        self._items = self._items * _FORGETS + items
        self._seconds = self._seconds * _FORGETS + seconds
        self._squares = self._squares * _FORGETS + items * items
        self._products = self._products * _FORGETS + items * seconds
        self._fit()

    def _fit(self) -> None:
        """The line through what was seen, weighted; neither part is ever negative."""
        items, seconds = self._items / self._weight, self._seconds / self._weight
        spread = max(0.0, self._squares / self._weight - items * items)
        together = self._products / self._weight - items * seconds
        guess = min(_UNKNOWN_ITEM_SECONDS, seconds / items)
        slope = (together + guess * _SPREAD**2) / (spread + _SPREAD**2)
        self._item = min(max(slope, guess / 4), seconds / items)
        self._fixed = seconds - self._item * items


class Admission:
    """Lets in what is expected to be done in `longest_seconds`; of many processes each its own.

    Who comes when a batch has just begun waits for it, perhaps for a pause, and for a batch of all
    who come meanwhile: so what is queued may take a third of the time. ALWAYS items may be queued,
    so that a house whose every batch takes long is slow and still does much at a time. Whatever
    comes while nothing is done is taken: the sender could not have asked for less.
    """

    def __init__(self, *, longest_seconds: float, max_items: int) -> None:
        self._seconds = longest_seconds / 3
        self._max_items = max_items
        self._tempo = Tempo()
        self._in_flight = 0
        self._promised_until = -inf
        self._in_a_third = self._reckon()

    def begins(self, items: int) -> None:
        """A batch begins."""
        self._in_flight = items

    def ends(self, *, took: float) -> None:
        """The batch that began is over, after so many seconds."""
        self._tempo.note(self._in_flight, took)
        self._in_flight = 0
        self._in_a_third = self._reckon()

    def room(self, queued: int) -> float:
        """How many more may be queued now."""
        if not queued and not self._in_flight:
            return inf
        return max(ALWAYS, self._in_a_third) - queued

    def come_back(self, items: int, queued: int, *, now: float) -> float:
        """Seconds after which so many that are refused now would be taken. `now`: of a clock.

        As if they stood in line: each who is refused is given a later moment, at the pace at which
        the line is worked off. So they do not all come back at once, to be refused again.
        """
        size = min(max(ALWAYS, self._in_a_third), self._max_items)
        each = self._tempo.seconds(size) / size
        since = max(self._promised_until, now + each * (self._in_flight + queued))
        self._promised_until = min(since + items * each, now + _LONGEST_AFTER)
        return max(_LEAST_AFTER, self._promised_until - now)

    def _reckon(self) -> int:
        """How many are done in a third of the longest wait, in as many batches as it takes.

        It changes with each batch, and is asked for with each call.
        """
        whole, rest = divmod(self._seconds, self._tempo.seconds(self._max_items))
        in_rest = max(0, int(self._tempo.items_in(rest)))
        return int(whole) * self._max_items + min(in_rest, self._max_items)
