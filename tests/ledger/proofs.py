"""Exports and statements as files, made of what a ledger answers."""

from pathlib import Path

import psycopg

from libs.proof.checkpoint import checkpoint_hash, read_public_key
from libs.proof.export import ExportWriter
from libs.proof.statement import StatementReport, StatementWriter, check_statement
from libs.proof.verify import Report, verify
from services.cli import journal_wire
from services.ledger.store import checkpoints
from stockbroker.ledger.v1 import journal_pb2, statement_pb2
from tests.ledger.desk import Desk
from tests.support.keys import bearer
from tests.support.wait import until


async def sealed(desk: Desk) -> None:
    """Wait until a checkpoint covers everything."""

    async def is_sealed() -> bool:
        rows = await desk.rows(
            "SELECT transfer_seq = coalesce((SELECT max(last_transfer_seq) FROM checkpoint), 0)"
            " FROM journal_head"
        )
        return bool(rows[0][0])

    await until(is_sealed)


async def on_record(desk: Desk) -> list[str]:
    """The hashes of all checkpoints, by their numbers."""
    async with await psycopg.AsyncConnection.connect(desk.database_url) as connection:
        last = await checkpoints.latest(connection)
        found = [
            (await checkpoints.two_from(connection, seq))[0]
            for seq in range(1, 1 + (0 if last is None else last.seq))
        ]
    return [checkpoint_hash(each) for each in found]


async def verified(desk: Desk, folder: Path) -> Report:
    """What the whole journal comes to, offline. Raises Broken."""
    file = folder / "export"
    with file.open("wb") as target:
        writer = ExportWriter(target)
        transfer: journal_pb2.JournalTransfer | None = None
        entries: list[journal_pb2.JournalEntry] = []
        for record in [*await desk.journal(), journal_pb2.JournalRecord()]:
            if record.HasField("entry"):
                entries.append(record.entry)
                continue
            if transfer is not None:
                writer.write(journal_wire.transfer_from(transfer, entries))
            transfer, entries = None, []
            if record.HasField("transfer"):
                transfer = record.transfer
            elif record.HasField("batch"):
                writer.write(journal_wire.batch_from(record.batch))
            elif record.HasField("checkpoint"):
                writer.write(journal_wire.checkpoint_from(record.checkpoint))
        writer.end()
    return verify(file, keys=[public_key(folder)])


async def checked_statement(
    desk: Desk, folder: Path, request: statement_pb2.GetStatementRequest, customer: str = "alice"
) -> StatementReport:
    """What a customer's statement comes to, offline. Raises Broken."""
    stream = desk.portfolio.GetStatement(request, metadata=bearer(desk.keys.customer(customer)))
    head, *parts = [part async for part in stream]
    file = folder / "statement"
    with file.open("wb") as target:
        writer = StatementWriter(target, journal_wire.head_from(head.head))
        for part in parts:
            if part.HasField("checkpoint"):
                writer.write(journal_wire.checkpoint_from(part.checkpoint))
            else:
                writer.write(journal_wire.proven_from(part.transfer))
        writer.end()
    return check_statement(file, keys=[public_key(folder)])


def public_key(folder: Path) -> bytes:
    """Of the ledger under test."""
    return read_public_key(str(folder / "ledger.pub"))
