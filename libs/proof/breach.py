"""How it is said that something is broken: where, what was expected, and what was found."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import msgspec

from libs.proof.checkpoint import Checkpoint
from libs.proof.export import BatchRow, LineReader, NotARow
from libs.proof.forms import Entry, Transfer

_MOST_CHARACTERS = 500  # of a value that is told: rows may be as long as their file says


class Wrong(Exception):
    """A row breaks a rule. Whoever reads the rows adds which row it is."""

    def __init__(
        self, rule: str, *, expected: object, found: object, entry: Entry | None = None
    ) -> None:
        super().__init__(rule)
        self.rule = rule
        self.expected = expected
        self.found = found
        self.entry = entry


class Breach(msgspec.Struct, frozen=True, kw_only=True):
    """The first broken row of a file. What does not apply is None."""

    line: int  # from 1
    file: str | None = None  # where several were read
    rule: str
    expected: str
    found: str
    transfer_seq: int | None = None
    transfer_id: str | None = None
    account: str | None = None
    asset: str | None = None
    version: int | None = None
    batch_seq: int | None = None
    checkpoint_seq: int | None = None

    def place(self) -> str:
        """Which row, in words."""
        words = [f"line {self.line}" if self.file is None else f"line {self.line} of {self.file}"]
        if self.transfer_id is not None:
            seq = "" if self.transfer_seq is None else f" {self.transfer_seq}"
            words.append(f"transfer{seq} ({self.transfer_id})")
        if self.account is not None:
            words.append(f"account {self.account} {self.asset}, version {self.version}")
        if self.batch_seq is not None:
            words.append(f"batch {self.batch_seq}")
        if self.checkpoint_seq is not None:
            words.append(f"checkpoint {self.checkpoint_seq}")
        return ", ".join(words)


class Broken(Exception):
    """A file does not prove what it says."""

    def __init__(self, breach: Breach) -> None:
        what = f"{breach.rule}: expected {breach.expected}, found {breach.found}"
        super().__init__(f"{breach.place()}: {what}")
        self.breach = breach


def broken(line: int, row: object, wrong: Wrong) -> Broken:
    """What is wrong with `row`, which is that line of its file."""
    entry = wrong.entry
    transfer = row if isinstance(row, Transfer) else None
    return Broken(
        Breach(
            line=line,
            rule=_short(wrong.rule),
            expected=_short(wrong.expected),
            found=_short(wrong.found),
            transfer_seq=transfer.seq if transfer else None,
            transfer_id=_short(transfer.id) if transfer else None,
            account=_short(entry.account) if entry else None,
            asset=_short(entry.asset) if entry else None,
            version=entry.version if entry else None,
            batch_seq=row.seq if isinstance(row, BatchRow) else None,
            checkpoint_seq=row.seq if isinstance(row, Checkpoint) else None,
        )
    )


def _short(value: object) -> str:
    text = str(value)
    return text if len(text) <= _MOST_CHARACTERS else f"{text[:_MOST_CHARACTERS]}..."


@contextmanager
def naming_rows(reader: LineReader[Any]) -> Iterator[None]:
    """Turns what is wrong with the latest row of `reader` into Broken, which names it."""
    try:
        yield
    except NotARow as fault:
        wrong = Wrong("row", expected="a row in its one spelling", found=fault.why)
        raise broken(fault.line, None, wrong) from None
    except Wrong as wrong:
        raise broken(reader.line, reader.row, wrong) from None
