"""What the person at the terminal sees. Plain lines where there is no terminal."""

from rich.console import Console
from rich.markup import escape
from rich.status import Status

from services.house.parts import Part
from services.house.supervisor import Change


class Screen:
    """Lines that stay, and one below them that tells what is being waited for."""

    def __init__(self) -> None:
        self.console = Console(highlight=False, soft_wrap=True)
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
