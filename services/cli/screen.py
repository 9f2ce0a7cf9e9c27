"""What the command line prints: JSON for programs, lines and tables for people."""

import json
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from google.protobuf.message import Message

_PIPE_WIDTH = 200


def plain(text: str) -> str:
    """`text` without what could steer a terminal: others wrote it."""
    return "".join(character if character.isprintable() else "?" for character in text)


def say(text: str) -> None:
    """One line to standard output."""
    sys.stdout.write(plain(text) + "\n")
    sys.stdout.flush()


def note(text: str) -> None:
    """One line to standard error, out of the way of what a program reads."""
    sys.stderr.write(f"stockbroker: {plain(text)}\n")
    sys.stderr.flush()


def show_json(value: Any) -> None:
    """One JSON document."""
    _write_json(value, indent=2)


def show_json_line(value: Any) -> None:
    """One JSON document of a stream, on a line of its own."""
    _write_json(value, indent=None)


def _write_json(value: Any, indent: int | None) -> None:
    # Escapes all but ASCII, and with it whatever could steer a terminal.
    sys.stdout.write(json.dumps(value, indent=indent) + "\n")
    sys.stdout.flush()


def fields_of(message: "Message") -> dict[str, Any]:
    """A message as JSON has it (int64 as text), with all fields under the contract's own names."""
    from google.protobuf import json_format

    return json_format.MessageToDict(
        message, preserving_proto_field_name=True, always_print_fields_with_no_presence=True
    )


@contextmanager
def progress(what: str, total: int | None) -> Iterator[Callable[[int], None]]:
    """Shows a person who looks how much is done; `total`: None where nobody knows."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    columns = TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn()
    console, is_seen = Console(stderr=True), sys.stderr.isatty()
    with Progress(
        *columns, TimeElapsedColumn(), console=console, transient=True, disable=not is_seen
    ) as bar:
        task = bar.add_task(what, total=total)
        yield lambda done: bar.update(task, completed=done)


def table(headings: Sequence[str], rows: Iterable[Sequence[str]], *, nothing: str) -> None:
    """A table, or `nothing` when there are no rows. A heading that begins with > stands right."""
    from rich import box
    from rich.console import Console, JustifyMethod
    from rich.table import Table
    from rich.text import Text

    grid = Table(box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False)
    for heading in headings:
        is_right = heading.startswith(">")
        justify: JustifyMethod = "right" if is_right else "left"
        grid.add_column(heading.removeprefix(">"), justify=justify, overflow="fold")
    for row in rows:
        grid.add_row(*(Text(plain(cell)) for cell in row))
    if not grid.row_count:
        say(nothing)
        return
    console = Console(width=None if sys.stdout.isatty() else _PIPE_WIDTH)
    console.print(grid)
