"""Alice's statement, made from a journal in memory."""

from collections.abc import Sequence
from pathlib import Path

from msgspec.structs import asdict

from libs.proof.export import CheckpointRow, EntryRow, JournalRow, TransferRow
from libs.proof.forms import account_origin
from libs.proof.merkle import path_to
from libs.proof.statement import HeadRow, ProvenRow, StatementWriter

ALICE = "customer/alice"
Rows = list[HeadRow | CheckpointRow | ProvenRow]


def statement_of(
    journal: Sequence[JournalRow],
    public_key: bytes,
    *,
    asset: str = "USD",
    since: int | None = None,
) -> Rows:
    """Alice's statement, from a journal that is sealed to its end."""
    opening = EntryRow(
        ALICE, asset, 0, 0, 0, 0, 0, "", account_origin(ALICE, asset, has_floor=True).hex()
    )
    proven: Rows = []
    first = 0
    for at, row in enumerate(journal):
        if isinstance(row, CheckpointRow):
            covered = [r for r in journal[first:at] if isinstance(r, TransferRow)]
            mine = [r for r in covered if own(r, asset)]
            for early in (r for r in mine if since is not None and r.recorded_at < since):
                opening = own(early, asset)[-1]
            late = [r for r in mine if since is None or r.recorded_at >= since]
            proven += [row] * bool(late) + [proof(r, asset, row, covered) for r in late]
            first = at
    head = HeadRow(
        account=ALICE,
        asset=asset,
        opening_version=opening.version,
        opening_balance=opening.balance_after,
        opening_hash=opening.hash,
        since=since,
        until=None,
        public_key=public_key.hex(),
    )
    return [head, *proven]


def own(row: TransferRow, asset: str) -> tuple[EntryRow, ...]:
    """Alice's own entries of a transfer."""
    return tuple(e for e in row.entries if (e.account, e.asset) == (ALICE, asset))


def proof(
    row: TransferRow, asset: str, checkpoint: CheckpointRow, covered: list[TransferRow]
) -> ProvenRow:
    """A transfer with what shows that the checkpoint covers it."""
    mine = own(row, asset)
    index = covered.index(row)
    path = path_to([bytes.fromhex(r.hash) for r in covered], index)
    return ProvenRow(
        **asdict(row)
        | {
            "entries": mine,
            "leaves": tuple(e.version if e in mine else e.hash for e in row.entries),
            "checkpoint_seq": checkpoint.seq,
            "leaf_index": index,
            "leaf_count": len(covered),
            "path": tuple(step.hex() for step in path),
        }
    )


def write(file: Path, rows: Rows) -> Path:
    """A statement of these rows."""
    head, *others = rows
    assert isinstance(head, HeadRow)
    with file.open("wb") as target:
        writer = StatementWriter(target, head)
        for row in others:
            assert not isinstance(row, HeadRow)
            writer.write(row)
        writer.end()
    return file
