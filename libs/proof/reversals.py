"""What undoes a transfer: a reversal or bust exactly, a correction by other figures; once.

What is corrected stands as corrected: it is undone with its corrections, by way of the latest.
"""

from collections import Counter
from collections.abc import Iterable, Mapping

from libs.proof.breach import Wrong, broken
from libs.proof.export import EntryRow, TransferRow

Moves = Mapping[tuple[str, str], int]  # by account and asset, none of them 0
_CORRECTING = frozenset({"bust", "correction"})


class Reversals:
    """Those of a journal; there are few, so all are kept until what they undo is looked up."""

    def __init__(self) -> None:
        self._open: dict[str, tuple[int, TransferRow]] = {}

    def __bool__(self) -> bool:
        """Whether any is still to be looked up."""
        return bool(self._open)

    def add(self, line: int, row: TransferRow) -> None:
        """The next. Raises Wrong."""
        reversed_id = row.reverses
        if reversed_id is None:
            raise Wrong("reverses", expected="the id of a transfer", found="none")
        before = self._open.setdefault(reversed_id, (line, row))[1]
        if before is not row:
            found = f"reversed by transfer {before.seq} before"
            raise Wrong(f"reversals of {reversed_id}", expected="at most one", found=found)

    def meet(self, row: TransferRow) -> None:
        """Any row of the journal: maybe one that was undone. Raises Broken."""
        if row.id not in self._open or row.kind in _CORRECTING:  # met with what it corrects
            return
        undone, stands = row, Counter(_moved(row.entries))
        while undone.id in self._open:
            line, reversal = self._open.pop(undone.id)
            found = _moved(reversal.entries)
            try:
                if undone.seq >= reversal.seq:
                    found_seq = f"transfer {undone.seq}"
                    raise Wrong("reverses", expected="an earlier transfer", found=found_seq)
                _check(reversal.kind, stands, found, is_fill=row.kind == "execution")
            except Wrong as wrong:
                raise broken(line, reversal, wrong) from None
            if reversal.kind != "correction":
                return
            undone = reversal
            stands.update(found)

    def finish(self) -> None:
        """All rows were met. Raises Broken."""
        for line, reversal in self._open.values():
            missing = Wrong("reverses", expected="an earlier transfer", found=reversal.reverses)
            raise broken(line, reversal, missing)


def _check(kind: str, stands: Moves, found: Moves, *, is_fill: bool) -> None:
    expected = {key: -amount for key, amount in stands.items()}
    if kind == "correction":
        _check_corrected(stands, found, is_fill=is_fill)
    elif found != expected or not expected:
        raise Wrong("what it moves", expected=_words(expected), found=_words(found))


def _check_corrected(stands: Moves, found: Moves, *, is_fill: bool) -> None:
    """With the correction, the fill moves the same assets between the same, the same way."""
    right = {key: amount + found.get(key, 0) for key, amount in stands.items()}
    is_alike = all(right[key] * amount > 0 for key, amount in stands.items())
    if not is_fill or not is_alike or not found.keys() <= stands.keys():
        raise Wrong("what it moves", expected="the same of another amount", found=_words(found))


def _moved(entries: Iterable[EntryRow]) -> Moves:
    moved: Counter[tuple[str, str]] = Counter()
    for entry in entries:
        moved[entry.account, entry.asset] += entry.amount
    return {key: amount for key, amount in moved.items() if amount}


def _words(moved: Moves) -> str:
    rows = sorted(moved.items())
    return "; ".join(f"{name} {amount:+} {asset}" for (name, asset), amount in rows) or "nothing"
