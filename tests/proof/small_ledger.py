"""A ledger small enough to see through, whose export is right, and a forger who rehashes it."""

import uuid
from collections.abc import Sequence, Set
from hashlib import sha256
from pathlib import Path
from typing import Any

from msgspec.structs import asdict, replace

from libs.proof import export
from libs.proof.checkpoint import NO_CHECKPOINT, SigningKey, checkpoint_hash
from libs.proof.export import BatchRow, CheckpointRow, EntryRow, ExportWriter, TransferRow
from libs.proof.forms import (
    NO_BATCH,
    account_origin,
    batch_hash,
    entry_hash,
    record_hash,
    transfer_hash,
)
from libs.proof.merkle import root_of

Key = tuple[str, str]
CLEARING, DEPOSITS = "house/clearing", "house/deposits"
_NOON = 1_795_219_200_000_000
_NO_HASH = ""


class SmallLedger:
    """Writes down what it is told, without asking whether it may be."""

    def __init__(self) -> None:
        self.rows: list[export.JournalRow] = []
        self._figures: dict[Key, list[int]] = {}  # version, balance, held, cost
        self._holds: dict[str, tuple[Key, int]] = {}
        self._seq = self._batches = self._checkpoints = self._batched = 0

    def deposit(self, name: str, asset: str, amount: int, cost: int = 0) -> str:
        """Bring something in."""
        entries = [self.entry(DEPOSITS, asset, -amount), self.entry(name, asset, amount, cost=cost)]
        return self.transfer("deposit", entries, actor="olga", reference="a “gift”")

    def hold(self, name: str, asset: str, amount: int) -> str:
        """Set something aside."""
        entries = [self.entry(name, asset, 0, held=amount)]
        id_ = self.transfer("hold", entries, amount=amount)
        self._holds[id_] = (name, asset), amount
        return id_

    def adjust(self, hold: str, amount: int) -> str:
        """Set more or less aside."""
        (name, asset), left = self._holds[hold]
        self._holds[hold] = (name, asset), left + amount
        entries = [self.entry(name, asset, 0, held=amount)]
        return self.transfer("hold_adjustment", entries, amount=abs(amount), hold_id=hold)

    def buy(self, hold: str, symbol: str, quantity: int, paid: int, *, is_last: bool) -> str:
        """Draw cash from a hold for shares; the last time, free the rest of it."""
        (name, cash), left = self._holds[hold]
        rest = left - paid if is_last else 0
        self._holds[hold] = (name, cash), left - paid - rest
        entries = [
            self.entry(name, cash, -paid, held=-paid - rest),
            self.entry(CLEARING, cash, paid),
            self.entry(CLEARING, symbol, -quantity),
            self.entry(name, symbol, quantity, cost=paid),
        ]
        return self.transfer("execution", entries, amount=rest, hold_id=hold, reference="XSIM/1")

    def give(self, source: str, target: str, asset: str, amount: int) -> str:
        """Move something."""
        return self.transfer(
            "transfer", [self.entry(source, asset, -amount), self.entry(target, asset, amount)]
        )

    def release(self, hold: str) -> str:
        """Free what is left of a hold."""
        (name, asset), left = self._holds[hold]
        self._holds[hold] = (name, asset), 0
        entries = [self.entry(name, asset, 0, held=-left)] if left else []
        return self.transfer("release", entries, amount=left, hold_id=hold)

    def refuse(self, kind: str = "hold") -> str:
        """Write down a refusal."""
        return self.transfer(kind, [], reason=205, terms=f'["{kind}","why\\n"]')

    def reverse(self, id_: str, kind: str = "reversal") -> str:
        """Undo a transfer by another."""
        undone = next(row for row in self.transfers() if row.id == id_)
        entries = [self.entry(e.account, e.asset, -e.amount) for e in undone.entries]
        return self.transfer(kind, entries, reverses=id_, actor="oscar")

    def entry(
        self, name: str, asset: str, amount: int, *, held: int = 0, cost: int = 0
    ) -> EntryRow:
        """Change an account; shares take their average cost along."""
        figures = self._figures.setdefault((name, asset), [0, 0, 0, 0])
        if amount < 0 and figures[3]:
            cost = -(figures[3] * -amount // figures[1])
        changes = 1, amount, held, cost if name.startswith("customer/") else 0
        figures[:] = [figure + change for figure, change in zip(figures, changes, strict=True)]
        version, balance, held_after, cost_after = figures
        return EntryRow(
            name, asset, version, amount, balance, held_after, cost_after, _NO_HASH, _NO_HASH
        )

    def transfer(self, kind: str, entries: Sequence[EntryRow], **fields: Any) -> str:
        """Write a transfer down."""
        self._seq += 1
        id_ = str(uuid.UUID(int=self._seq << 64 | 0x7000 << 48 | 1))
        terms = fields.get("terms") or id_
        known: dict[str, Any] = {
            "reason": 0,
            "amount": 0,
            "fingerprint": sha256(terms.encode()).hexdigest()[:32],
            "hold_id": id_ if kind == "hold" else None,
            "effective_at": _NOON + self._seq * 1_000,
            "recorded_at": _NOON + self._seq * 1_000,
        } | fields
        row = TransferRow(
            seq=self._seq, id=id_, kind=kind, entries=tuple(entries), hash=_NO_HASH, **known
        )
        self.rows.append(row)
        return id_

    def end_batch(self) -> None:
        """Commit, if there is anything to."""
        if self._batched < self._seq:
            self._batches += 1
            row = BatchRow(
                seq=self._batches, first_seq=self._batched + 1, last_seq=self._seq, hash=_NO_HASH
            )
            self.rows.append(row)
            self._batched = self._seq

    def seal(self) -> None:
        """Commit and seal, if there is anything to."""
        self.end_batch()
        if self.rows and not isinstance(self.rows[-1], CheckpointRow):
            self._checkpoints += 1
            row = CheckpointRow(
                seq=self._checkpoints,
                last_transfer_seq=self._seq,
                last_batch_seq=self._batches,
                last_batch_hash=_NO_HASH,
                merkle_root=_NO_HASH,
                previous_hash=_NO_HASH,
                sealed_at=_NOON + self._seq * 1_000 + 1,
                key_id="",
            )
            self.rows.append(row)

    def holds(self) -> list[str]:
        """All of them, by id."""
        return list(self._holds)

    def left_of(self, hold: str) -> int:
        """What a hold has left."""
        return self._holds[hold][1]

    def transfers(self) -> list[TransferRow]:
        """All of them."""
        return [row for row in self.rows if isinstance(row, TransferRow)]

    def hashed(
        self, key: SigningKey | None, *, without_floor: Set[str] = frozenset()
    ) -> list[export.JournalRow]:
        """All rows with their hashes; signed if there is a key to."""
        self.end_batch()
        return hashed(self.rows, key, without_floor=without_floor)


def hashed(
    rows: Sequence[export.JournalRow],
    key: SigningKey | None,
    *,
    without_floor: Set[str] = frozenset(),
) -> list[export.JournalRow]:
    """The rows with all hashes recomputed. Without a key signatures stay what they are.

    `without_floor`: accounts that may go below zero, besides the house's.
    """
    hasher = _Hasher(key, without_floor)
    return [hasher.of(row) for row in rows]


class _Hasher:
    """Gives each row in turn its hashes."""

    def __init__(self, key: SigningKey | None, without_floor: Set[str]) -> None:
        self._key = key
        self._without_floor = without_floor
        self._accounts: dict[Key, str] = {}
        self._transfers: list[bytes] = []
        self._leaves: list[bytes] = []
        self._batch = NO_BATCH
        self._checkpoint = NO_CHECKPOINT

    def of(self, row: export.JournalRow) -> export.JournalRow:
        """The row with its hashes."""
        if isinstance(row, TransferRow):
            return self._transfer(row)
        return self._batched(row) if isinstance(row, BatchRow) else self._sealed(row)

    def _transfer(self, row: TransferRow) -> TransferRow:
        record = record_hash(row)
        entries = tuple(self._entry(entry, record) for entry in row.entries)
        hash_ = transfer_hash(record, [bytes.fromhex(entry.hash) for entry in entries])
        self._transfers.append(hash_)
        self._leaves.append(hash_)
        return replace(row, entries=entries, hash=hash_.hex())

    def _entry(self, entry: EntryRow, record: bytes) -> EntryRow:
        key = entry.account, entry.asset
        name = entry.account
        has_floor = not name.startswith("house/") and name not in self._without_floor
        origin = account_origin(*key, has_floor=has_floor).hex()
        previous = self._accounts.get(key, origin)
        hash_ = entry_hash(bytes.fromhex(previous), entry, record=record).hex()
        self._accounts[key] = hash_
        return replace(entry, previous_hash=previous, hash=hash_)

    def _batched(self, row: BatchRow) -> BatchRow:
        numbers = asdict(row)
        del numbers["hash"]
        self._batch = batch_hash(self._batch, **numbers, transfer_hashes=self._transfers)
        self._transfers = []
        return replace(row, hash=self._batch.hex())

    def _sealed(self, row: CheckpointRow) -> CheckpointRow:
        row = replace(
            row,
            last_batch_hash=self._batch.hex(),
            merkle_root=root_of(self._leaves).hex(),
            previous_hash=self._checkpoint,
        )
        self._leaves = []
        sealed = row if self._key is None else self._key.seal(row)
        self._checkpoint = checkpoint_hash(sealed)
        return sealed


def write(file: Path, rows: Sequence[export.JournalRow]) -> Path:
    """An export of these rows."""
    with file.open("wb") as target:
        writer = ExportWriter(target)
        for row in rows:
            writer.write(row)
        writer.end()
    return file


def a_checkpoint(rows: Sequence[export.JournalRow]) -> CheckpointRow:
    """The first of these."""
    return next(row for row in rows if isinstance(row, CheckpointRow))


def a_day(*, is_sealed: bool = True) -> SmallLedger:
    """Every kind of row, in three batches; sealed in the middle, and at the end if `is_sealed`."""
    ledger = SmallLedger()
    ledger.deposit("customer/alice", "USD", 1_000)
    ledger.deposit("customer/bob", "AAPL", 7, cost=100)
    ledger.end_batch()
    hold = ledger.hold("customer/alice", "USD", 500)
    ledger.refuse()
    ledger.buy(hold, "AAPL", 3, 301, is_last=False)
    ledger.buy(hold, "AAPL", 1, 100, is_last=True)
    ledger.seal()
    ledger.give("customer/alice", "customer/bob", "AAPL", 2)
    ledger.release(ledger.hold("customer/bob", "AAPL", 4))
    ledger.give("customer/bob", "customer/alice", "AAPL", 9)
    mistake = ledger.deposit("customer/bob", "USD", 1)
    ledger.transfer("freeze", [], terms='["freeze","customer/bob"]', actor="olga")
    ledger.reverse(mistake)
    ledger.hold("customer/alice", "USD", 5)
    if is_sealed:
        ledger.seal()
    else:
        ledger.end_batch()
    return ledger
