"""The command that archives old months; each service has one, of its own table.

python -m services.order.archive --before 2026-08 --into /srv/archive
"""

import asyncio
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated

import msgspec
import psycopg
import typer
from rich.console import Console
from rich.markup import escape
from rich.progress import Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from libs.archive.archiving import Archivable, Archiving, Busy, Candidate
from libs.archive.files import Damaged, Manifest, check
from libs.clock import Clock
from libs.months import Month
from libs.postgres.partitions import Partition
from libs.settings import load_or_exit

TYPED = "STOCKBROKER_TYPED"  # in the environment: what a person typed to run this
_FAULT = 1


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """Of the service's own settings the one that is needed."""

    database_url: str


class Wish(msgspec.Struct, frozen=True, kw_only=True):
    """What is asked for."""

    before: Month
    is_dry: bool
    drops: bool


def run(what: Archivable, clock: Clock) -> None:
    """Be the command, for the table of one service."""
    command_of(what, clock)(prog_name=os.environ.get(TYPED))


def command_of(what: Archivable, clock: Clock) -> typer.Typer:
    """The command, not run yet."""
    app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)

    @app.command()
    def archive(
        into: Annotated[Path, typer.Option(help="The folder of the files; one for each database.")],
        before: Annotated[
            str, typer.Option(help="Archive the months before this one, for example 2026-08.")
        ] = "",
        dry_run: Annotated[bool, typer.Option(help="Say what would go, and why not.")] = False,
        drop: Annotated[
            bool, typer.Option(help="Also drop what was taken out, where its file holds it whole.")
        ] = False,
        only_check: Annotated[
            bool, typer.Option("--check", help="Only compare the files with their manifests.")
        ] = False,
    ) -> None:
        """Take old months out of the database, into files that anyone can read and check."""
        console = Console()
        try:
            if only_check:
                _check(console, what, into)
                return
            wish = Wish(before=_month(before), is_dry=dry_run, drops=drop)
            url = load_or_exit(Settings).database_url
            if not dry_run:
                into.mkdir(parents=True, exist_ok=True)
            asyncio.run(_archive(console, what, (url, into, Month.of(clock.now())), wish))
        except (Damaged, Busy, OSError, psycopg.Error) as error:
            console.print(f"[red]stopped:[/red] {escape(str(error).strip())}", highlight=False)
            raise typer.Exit(_FAULT) from error

    return app


def _month(text: str) -> Month:
    try:
        return Month.parse(text)
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint="--before") from error


async def _archive(
    console: Console, what: Archivable, where: tuple[str, Path, Month], wish: Wish
) -> None:
    url, folder, now = where
    connection = await psycopg.AsyncConnection.connect(url, autocommit=True, connect_timeout=10)
    async with connection:
        archiving = Archiving(connection, what, folder, now=now)
        await archiving.begin()
        candidates = await archiving.candidates(wish.before)
        if candidates:
            console.print(_table(what, candidates))
        else:
            console.print(f"{what.service} has no month before {wish.before} in its database")
        if wish.is_dry:
            return
        screen = Progress(
            TextColumn("{task.description}"),
            TextColumn("{task.completed:,} rows"),
            TimeElapsedColumn(),
            console=console,
        )
        with screen:
            await _go_on(archiving, screen)
            for candidate in candidates:
                if not candidate.obstacle:
                    partition = await archiving.partition_of(candidate)
                    manifest = await archiving.archive(partition, _Row(screen, partition))
                    _tell(screen.console, manifest)
        if wish.drops:
            await _drop(console, archiving, wish.before)


async def _go_on(archiving: Archiving, screen: Progress) -> None:
    """Where another run was broken off, or left its file elsewhere."""
    for partition in await archiving.taken_out():
        try:
            manifest = archiving.checked(partition)
        except Damaged as error:
            screen.console.print(f"{error}: written anew", highlight=False)
            manifest = None
        written = await archiving.complete(partition, manifest, _Row(screen, partition))
        if written != manifest:
            _tell(screen.console, written)


async def _drop(console: Console, archiving: Archiving, before: Month) -> None:
    for partition in await archiving.taken_out():
        if partition.month < before:
            await archiving.drop(partition)
            console.print(f"dropped {partition.name}", highlight=False)


def _check(console: Console, what: Archivable, folder: Path) -> None:
    """Raises Damaged at the first file that is not what its manifest says, or if there is none."""
    found = sorted(folder.glob(f"{what.service}-{what.table.name}-*.json"))
    if not found:
        raise Damaged(f"{folder} has no manifest of {what.service}'s {what.table.name}")
    for path in found:
        _tell(console, check(path), "holds what its manifest says")


class _Row:
    """A month's row on the screen, once there is something to show."""

    def __init__(self, screen: Progress, partition: Partition) -> None:
        self._screen = screen
        self._task = screen.add_task(str(partition.month), total=None)

    def __call__(self, rows: int) -> None:
        self._screen.update(self._task, completed=rows)


def _table(what: Archivable, candidates: Iterable[Candidate]) -> Table:
    table = Table("month", "what becomes of it", title=f"{what.service}: {what.table.name}")
    for each in candidates:
        table.add_row(str(each.month), f"stays: {each.obstacle}" if each.obstacle else "goes")
    return table


def _tell(console: Console, manifest: Manifest, what: str = "is written and compared") -> None:
    console.print(
        f"{manifest.file} {what}: {manifest.rows:,} rows, SHA-256 {manifest.sha256}",
        highlight=False,
        soft_wrap=True,
    )
