"""The books prove themselves, whatever went wrong while they were written (I23).

Hashes, what shares cost, signatures: all is recomputed from an export alone, as anybody would.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from msgspec.structs import asdict

from libs.proof.breach import Broken
from libs.proof.checkpoint import read_public_key
from libs.proof.export import (
    BatchRow,
    CheckpointRow,
    EntryRow,
    ExportWriter,
    JournalRow,
    TransferRow,
)
from libs.proof.verify import verify
from services.ledger.store import history
from services.ledger.store.stored import StoredTransfer, checkpoint_from, transfers_from
from simulation.database import Database
from simulation.world import Violation

_ALL = {"after": 0, "until": 2**62, "newest": 2**62}


def check_proof(ledger: Database, keys: Path) -> None:
    """Of the whole journal. `keys`: the folder with the ledger's public key. Raises Violation."""
    file = keys / "export"
    with file.open("wb") as target:
        writer = ExportWriter(target)
        for row in _journal(ledger):
            writer.write(row)
        writer.end()
    try:
        verify(file, keys=[read_public_key(str(keys / "cli" / "ledger.pub"))])
    except Broken as broken:
        raise Violation(f"I23: {broken}") from None


def _journal(ledger: Database) -> Iterator[JournalRow]:
    """Its rows in the order of an export."""
    batches = {row[2]: row for row in _read(ledger, history.LIST_BATCHES)}
    seals = map(checkpoint_from, _read(ledger, history.LIST_CHECKPOINTS))
    sealed = {seal.last_transfer_seq: seal for seal in seals}
    transfers = _read(ledger, history.LIST_TRANSFERS), _read(ledger, history.LIST_ENTRIES)
    for transfer in transfers_from(*transfers):
        seq = transfer.record.seq
        yield _row(transfer)
        if seq in batches:
            number, first, last, hash_ = batches[seq]
            yield BatchRow(seq=number, first_seq=first, last_seq=last, hash=hash_.hex())
        if seq in sealed:
            yield CheckpointRow(**asdict(sealed[seq]))


def _row(transfer: StoredTransfer) -> TransferRow:
    entries = tuple(
        EntryRow(
            **asdict(stored.entry),
            previous_hash=stored.previous_hash.hex(),
            hash=stored.hash.hex(),
        )
        for stored in transfer.entries
    )
    return TransferRow(**asdict(transfer.record), entries=entries, hash=transfer.hash.hex())


def _read(ledger: Database, query: str) -> list[tuple[Any, ...]]:
    return list(ledger.ask(query, _ALL).fetchall())
