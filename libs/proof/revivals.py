"""Holds that were drawn whole and then set something aside again."""

from libs.proof.breach import Wrong, broken
from libs.proof.export import TransferRow

Account = tuple[str, str]


class Revivals:
    """Those of a journal; there are few, so all are kept until their holds are looked up."""

    def __init__(self) -> None:
        self._open: dict[str, list[tuple[int, TransferRow]]] = {}
        self._placed: dict[str, tuple[int, Account]] = {}
        self._released: dict[str, int] = {}

    def __bool__(self) -> bool:
        """Whether any is to be looked up."""
        return bool(self._open)

    def add(self, line: int, row: TransferRow) -> None:
        """The next adjustment that revives a hold."""
        self._open.setdefault(row.hold_id or "", []).append((line, row))

    def meet(self, row: TransferRow) -> None:
        """Any row of the journal."""
        if row.reason or row.hold_id not in self._open:
            return
        if row.kind == "hold":
            self._placed[row.hold_id] = row.seq, _account_of(row)
        elif row.kind == "release":
            self._released[row.hold_id] = row.seq

    def finish(self) -> None:
        """All rows were met. Raises Broken."""
        for hold_id, found in self._open.items():
            for line, row in found:
                placed_seq, account = self._placed.get(hold_id, (row.seq, None))
                if placed_seq >= row.seq or account != _account_of(row):
                    wrong = Wrong("hold_id", expected="a hold placed before", found=hold_id)
                    raise broken(line, row, wrong)
                if self._released.get(hold_id, row.seq) < row.seq:
                    released = f"released by transfer {self._released[hold_id]}"
                    raise broken(line, row, Wrong("hold_id", expected="open", found=released))


def _account_of(row: TransferRow) -> Account:
    return row.entries[0].account, row.entries[0].asset
