"""`ledger export` and `ledger statement` write files that prove the books; `ledger verify` and
`ledger check-statement` check such files, and for that ask no service, database or network.
"""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, BinaryIO

import typer

from services.cli.amounts import format_amount, format_shares
from services.cli.failures import ExitCode, Failure
from services.cli.options import MOST_64, TIMES, AsCustomer, AsJson, in_utc
from services.cli.settings import settings

if TYPE_CHECKING:
    from libs.proof.breach import Broken
    from libs.proof.export import CheckpointRow
    from libs.proof.statement import StatementReport
    from libs.proof.verify import Report

NewFile = Annotated[
    Path, typer.Argument(metavar="FILE", help="A file that is not there yet.", dir_okay=False)
]
OldFile = Annotated[
    Path, typer.Argument(metavar="FILE", exists=True, dir_okay=False, help="What to check.")
]
OldFiles = Annotated[
    list[Path],
    typer.Argument(metavar="FILE...", exists=True, dir_okay=False, help="What to check."),
]
Keys = Annotated[
    list[str],
    typer.Option(
        "--key", metavar="PUBLIC", help="The house's public key in hex, or its file; repeatable."
    ),
]
Checkpoint_ = Annotated[
    Path | None,
    typer.Option(exists=True, dir_okay=False, help="A checkpoint kept before, to go on from."),
]
KeptCheckpoint = Annotated[
    Path | None, typer.Option(dir_okay=False, help="Keep the last checkpoint in this file.")
]
Time = Annotated[datetime | None, typer.Option(formats=TIMES, metavar="TIME", help="In UTC.")]

_PLURALS = {"entry": "entries", "batch": "batches"}


def export(
    file: NewFile,
    after: Annotated[
        int,
        typer.Option(
            min=0, max=MOST_64, help="Only what follows this transfer: the last sealed before."
        ),
    ] = 0,
    is_sealed: Annotated[
        bool, typer.Option("--sealed", help="End at a checkpoint, where the next file can go on.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Write the journal, whole or what is new of it, to a file that anyone can check. Operators."""
    from libs.proof.export import ExportWriter, TransferRow
    from services.cli.journal import journal_rows, sealed
    from services.cli.neighbours import operators_door
    from services.cli.screen import progress, say, show_json

    with (
        _new(file) as target,
        operators_door(settings()) as door,
        progress("transfers", None) as advance,
    ):
        writer, last_seq = ExportWriter(target), after
        rows = journal_rows(door, after=after)
        for row in sealed(rows) if is_sealed else rows:
            writer.write(row)
            if isinstance(row, TransferRow):
                last_seq = row.seq
                advance(last_seq)
        writer.end()
    if as_json:
        show_json({**vars(writer.counts), "last_transfer_seq": last_seq})
        return
    say(f"{_counted(writer.counts.transfers, 'transfer')} in {file}")
    if is_sealed:
        say(f"the next file goes on with --after {last_seq}")


def verify(
    files: OldFiles,
    key: Keys = [],  # noqa: B006 - typer reads it and nobody changes it
    checkpoint: Checkpoint_ = None,
    keep_checkpoint: KeptCheckpoint = None,
    as_json: AsJson = False,
) -> None:
    """Recompute the whole ledger from an export alone, and name the first broken row.

    An export in several files is given in their order, from the first on.
    Without --key, signatures are not checked: then whoever made the file may have made it all up.
    Without --checkpoint, nothing tells whether it is an old export, or one without its end.
    """
    from libs.proof.breach import Broken
    from libs.proof.verify import verify as recompute
    from services.cli.screen import progress

    for file in files:
        if not file.is_file():
            raise Failure(f"{file} is no file that can be read twice", ExitCode.USAGE)
    keys = _keys(key)
    anchor = None if checkpoint is None else _read_checkpoint(checkpoint)
    try:
        size = sum(file.stat().st_size for file in files)
        with progress("bytes", size) as advance:
            report = recompute(*files, keys=keys, anchor=anchor, progress=advance)
    except Broken as broken:
        raise _failure(" ".join(map(str, files)), broken, as_json) from None
    if keep_checkpoint is not None:
        _keep(report.last_checkpoint, keep_checkpoint)
    _show(as_json, report, _report_lines(report))


def statement(  # noqa: PLR0913 - a command's parameters are its options
    file: NewFile,
    asset: Annotated[str, typer.Option(help="USD, or a symbol.")] = "USD",
    since: Time = None,
    until: Time = None,
    customer: AsCustomer = None,
    as_json: AsJson = False,
) -> None:
    """Write a customer's statement, with its proof, to a file that anyone can check."""
    from libs.proof.statement import StatementWriter
    from services.cli.journal import statement_parts
    from services.cli.neighbours import customers_door
    from services.cli.screen import say, show_json

    with _new(file) as target, customers_door(settings(), customer) as door:
        head, rows = statement_parts(door, asset, since=in_utc(since), until=in_utc(until))
        writer = StatementWriter(target, head)
        for row in rows:
            writer.write(row)
        end = writer.end()
    if as_json:
        show_json({"transfers": end.transfers, "entries": end.entries})
    else:
        say(f"{_counted(end.entries, 'entry')} of {head.account} {asset} in {file}")


def check_statement(file: OldFile, key: Keys, as_json: AsJson = False) -> None:
    """Check a statement with the house's public key alone, and name its first broken row."""
    from libs.proof.breach import Broken
    from libs.proof.statement import check_statement as check

    try:
        report = check(file, keys=_keys(key))
    except Broken as broken:
        raise _failure(str(file), broken, as_json) from None
    _show(as_json, report, _statement_lines(report))


def _show(as_json: bool, report: "Report | StatementReport", lines: Iterable[str]) -> None:
    import msgspec

    from services.cli.screen import say, show_json

    if as_json:
        show_json({"whole": True, **msgspec.to_builtins(report)})
        return
    for line in lines:
        say(line)


def _report_lines(report: "Report") -> Iterator[str]:
    counts = (
        _counted(report.transfers, "transfer"),
        _counted(report.entries, "entry"),
        _counted(report.batches, "batch"),
        _counted(report.checkpoints, "checkpoint"),
        _counted(report.accounts, "account"),
        _counted(report.open_holds, "open hold"),
    )
    yield f"whole: {', '.join(counts)}"
    last = report.last_checkpoint
    if last is None:
        yield "nothing is signed yet"
    elif report.signatures_checked:
        yield f"signed to transfer {report.sealed_transfers}, last by key {last.key_id}"
    else:
        yield f"signatures were not checked: give --key for the key {last.key_id}"
    if last is not None and report.sealed_transfers < report.transfers:
        yield f"transfers from {report.sealed_transfers + 1} on are not signed yet"


def _statement_lines(report: "StatementReport") -> Iterator[str]:
    def amount(micros_or_shares: int) -> str:
        return format_amount(report.asset, micros_or_shares)

    yield (
        f"right: {_counted(report.entries, 'entry')} of {report.account} {report.asset}, "
        f"versions {report.opening_version + 1} to {report.closing_version}"
        if report.entries
        else f"right, and without any entry of {report.account} {report.asset}"
    )
    if not report.entries:
        yield "no entry proves the balance: the statement before does"
    yield f"balance {amount(report.opening_balance)} before, {amount(report.closing_balance)} after"


def _failure(file: str, broken: "Broken", as_json: bool) -> Failure:
    import msgspec

    from services.cli.screen import show_json

    if as_json:
        show_json({"whole": False, "breach": msgspec.to_builtins(broken.breach)})
    return Failure(f"{file} is broken at {broken}", ExitCode.BROKEN)


def _keys(texts: Iterable[str]) -> list[bytes]:
    from libs.proof.checkpoint import WrongKeyFile, read_public_key

    try:
        return [read_public_key(text) for text in texts]
    except WrongKeyFile as fault:
        raise Failure(str(fault), ExitCode.USAGE) from None


def _read_checkpoint(file: Path) -> "CheckpointRow":
    from libs.proof.export import NotARow, read_checkpoint

    try:
        return read_checkpoint(file)
    except NotARow as fault:
        raise Failure(f"{file} holds no checkpoint: {fault}", ExitCode.USAGE) from None


def _keep(checkpoint: "CheckpointRow | None", file: Path) -> None:
    from libs.proof.export import write_checkpoint

    if checkpoint is None:
        raise Failure("there is no checkpoint to keep: nothing is signed yet", ExitCode.FAULT)
    write_checkpoint(file, checkpoint)


@contextmanager
def _new(file: Path) -> Iterator[BinaryIO]:
    """Writes `file` whole or not at all, and never over another. Raises Failure, OSError."""
    if file.exists():
        raise Failure(f"{file} is there already: choose another name", ExitCode.USAGE)
    part = file.with_name(f"{file.name}.part")
    try:
        with part.open("wb") as target:
            yield target
        part.rename(file)
    finally:
        part.unlink(missing_ok=True)


def _counted(count: int, what: str) -> str:
    """For example 1 batch, or 1,000 entries."""
    plural = _PLURALS.get(what, f"{what}s")
    return f"{format_shares(count)} {what if count == 1 else plural}"
