"""What the command line prints: JSON for programs, lines and tables for people."""

import json
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from google.protobuf.message import Message
    from rich.console import Console, JustifyMethod

_PIPE_WIDTH = 200
_GAP = 3  # between two columns


def plain(text: str) -> str:
    """`text` without what could steer a terminal: others wrote it."""
    return "".join(character if character.isprintable() else "?" for character in text)


def say(text: str) -> None:
    """One line to standard output."""
    sys.stdout.write(plain(text) + "\n")
    sys.stdout.flush()


def note(text: str) -> None:
    """One line to standard error, out of the way of what a program reads."""
    if sys.stderr is not None:  # `2>&-`: nobody wants to hear it
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
    console, is_seen = Console(stderr=True), sys.stderr is not None and sys.stderr.isatty()
    with Progress(
        *columns, TimeElapsedColumn(), console=console, transient=True, disable=not is_seen
    ) as bar:
        task = bar.add_task(what, total=total)
        yield lambda done: bar.update(task, completed=done)


def table(headings: Sequence[str], rows: Iterable[Sequence[str]], *, nothing: str) -> None:
    """A table, or `nothing` when there are no rows. A heading that begins with > stands right.

    On a terminal too narrow for whole words, ids among them, each row is told line by line.
    """
    from rich.console import Console

    cells = [[plain(cell) for cell in row] for row in rows]
    if not cells:
        say(nothing)
        return
    names = [heading.removeprefix(">") for heading in headings]
    console = Console(width=None if sys.stdout.isatty() else _PIPE_WIDTH)
    columns = list(zip(names, *cells, strict=True))
    widths = column_widths(columns, console.width - _GAP * (len(names) - 1))
    if widths is None:
        _show_rows(names, cells)
    else:
        _show_grid(console, headings, cells, widths)


def column_widths(columns: Sequence[Sequence[str]], room: int) -> list[int] | None:
    """How wide each column is, `room` at most together; None where a word would have to be broken.

    >>> column_widths([["id", "0193-7000"], ["why", "it is closed"]], room=16)
    [9, 7]
    """
    least = [
        max((len(word) for cell in each for word in cell.split()), default=0) for each in columns
    ]
    widths = [max(map(len, each)) for each in columns]
    if sum(least) > room:
        return None
    while sum(widths) > room:
        # The widest of those that have room to give.
        widths[max((w, i) for i, w in enumerate(widths) if w > least[i])[1]] -= 1
    return widths


def _show_rows(names: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    width = max(map(len, names))
    for row in rows:
        for name, cell in zip(names, row, strict=True):
            if cell:
                say(f"{name:<{width}}  {cell}")
        say("")


def _show_grid(
    console: "Console",
    headings: Sequence[str],
    rows: Iterable[Sequence[str]],
    widths: Sequence[int],
) -> None:
    from rich import box
    from rich.table import Table
    from rich.text import Text

    grid = Table(box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False)
    for heading, width in zip(headings, widths, strict=True):
        justify: JustifyMethod = "right" if heading.startswith(">") else "left"
        grid.add_column(heading.removeprefix(">"), justify=justify, width=width)
    for row in rows:
        grid.add_row(*map(Text, row))
    console.print(grid)
