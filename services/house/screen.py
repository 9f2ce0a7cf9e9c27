"""What the person at the terminal sees. Plain lines where there is no terminal."""

import errno
import os
import sys
from typing import Any, TextIO

from rich.console import Console
from rich.markup import escape
from rich.status import Status

from services.house.parts import Part
from services.house.supervisor import Change


class _Bearing:
    """An output that bears it when nobody reads it any more, or its disk is full.

    A terminal is closed, the reader of a pipe ends by the same Ctrl-C: the house must still stop
    in good order, and go on keeping its parts while there is no room for words about it.
    """

    def __init__(self, output: TextIO) -> None:
        self._output = output

    def write(self, text: str) -> int:
        try:
            return self._output.write(text)
        except OSError as error:
            self._bear(error)
            return len(text)

    def flush(self) -> None:
        try:
            self._output.flush()
        except OSError as error:
            self._bear(error)

    def _bear(self, error: OSError) -> None:
        if error.errno in (errno.EPIPE, errno.EIO):  # for good
            nowhere = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nowhere, self._output.fileno())
            os.close(nowhere)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._output, name)


class Screen:
    """Lines that stay, and one below them that tells what is being waited for."""

    def __init__(self, output: TextIO | None = None) -> None:
        """`output`: else standard output."""
        file: Any = _Bearing(output or sys.stdout) if output or sys.stdout else None
        self.console = Console(file=file, highlight=False, soft_wrap=True)
        self._waiting: list[str] = []
        self._status: Status | None = None

    def say(self, text: str) -> None:
        """A line (or more) as it is."""
        self.console.print(escape(text))

    def heading(self, text: str) -> None:
        """What comes next."""
        self.console.print(f"\n[bold]{escape(text)}[/bold]")

    def refuse(self, text: str) -> None:
        """Why it ends here."""
        self.settle()
        self.console.print(f"[red]stockbroker:[/red] {escape(text)}")

    def report(self, part: Part, change: Change, seconds: float, words: str) -> None:
        """What became of a part."""
        name = f"{part.name:<18}"
        if change in (Change.STARTING, Change.STOPPING):
            self._wait_for(part.name)
        elif change is Change.READY:
            self._wait_no_more_for(part.name)
            self.console.print(
                f"  [green]ready[/green]   {name} {seconds:5.1f} s  {words}".rstrip()
            )
        elif change is Change.DIED:
            self.console.print(f"  [red]died[/red]    {name} {words}; it is started again")
        elif change is Change.CANNOT_START:
            self.console.print(f"  [red]waits[/red]   {name} {escape(words)}")
        else:
            self._wait_no_more_for(part.name)
            self.console.print(f"  stopped {name} {seconds:5.1f} s")

    def settle(self) -> None:
        """Nothing is being waited for any more."""
        self._waiting.clear()
        self._show_waiting()

    def _wait_for(self, name: str) -> None:
        if name not in self._waiting:
            self._waiting.append(name)
        self._show_waiting()

    def _wait_no_more_for(self, name: str) -> None:
        if name in self._waiting:
            self._waiting.remove(name)
        self._show_waiting()

    def _show_waiting(self) -> None:
        if not self.console.is_terminal:
            return
        if not self._waiting:
            if self._status is not None:
                self._status.stop()
                self._status = None
            return
        words = f"waiting for {', '.join(self._waiting)}"
        if self._status is None:
            self._status = self.console.status(words)
            self._status.start()
        else:
            self._status.update(words)
