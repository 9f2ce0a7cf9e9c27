"""The table a person sees while a drill runs; plain lines where there is no terminal."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from rich import box
from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.table import Table
from rich.text import Text

from services.chaos.domain.nemesis import Fault, Kind, Misbehaviour
from services.chaos.domain.recovery import Summary
from services.chaos.domain.verdict import Claim
from services.chaos.record import Standing
from services.chaos.report import Report

_LINE_SECONDS = 5.0
_WIDTH = 118
_MOST_VIOLATIONS = 20


@dataclass(frozen=True, slots=True)
class Look:
    """One moment of a drill. `fills`: of the exchange and of the ledger, as last heard."""

    stage: str
    at: float
    standing: Standing
    fills: tuple[int, int]
    violations: Mapping[Claim, int]
    in_force: Mapping[Fault, float]
    begun: Sequence[tuple[Fault, float]] = ()
    summaries: Sequence[Summary] = ()


class Board:
    """For `with`; shows looks as they come."""

    def __init__(self) -> None:
        self.console = Console(highlight=False, soft_wrap=True)
        self._live = Live(console=self.console, auto_refresh=False) if self._is_seen else None
        self._next_line_at = 0.0
        self._told = 0

    def __enter__(self) -> "Board":
        if self._live is not None:
            self._live.start()
        return self

    def __exit__(self, *error: object) -> None:
        if self._live is not None:
            self._live.stop()

    @property
    def _is_seen(self) -> bool:
        return self.console.is_terminal

    def say(self, text: str) -> None:
        """A line that stays."""
        self.console.print(Text(text))

    def show(self, look: Look) -> None:
        """The latest look; where nobody watches, a line for each fault and now and then."""
        if self._live is not None:
            self._live.update(_picture(look), refresh=True)
            return
        for fault, since in look.begun[self._told :]:
            self.say(f"{clock_of(since)}  {words_of(fault)}")
        self._told = len(look.begun)
        if look.at >= self._next_line_at:
            self._next_line_at = look.at + _LINE_SECONDS
            self.say(f"{clock_of(look.at)}  {trades_line(look)}; {violations_line(look)}")
            self.say(f"       resting {resting_line(look)}")

    def conclude(self, report: Report) -> None:
        """What it came to."""
        if not self._is_seen:
            Console(highlight=False, width=_WIDTH).print(_recoveries(report.summaries))
        for violation in report.violations[:_MOST_VIOLATIONS]:
            self.say(f"{violation.claim.value}: {violation.subject}: {violation.words}")
        self.say(", ".join(f"{name} {n:,}" for name, n in report.counts.items()))
        broken = ", ".join(f"{n} {claim}" for claim, n in report.violation_counts.items())
        words = "every promise was kept" if not report.violations else "promises were broken"
        self.say(f"seed {report.seed}: {words}: {broken}")


def clock_of(seconds: float) -> str:
    """For example 01:12."""
    return f"{int(seconds) // 60:02}:{int(seconds) % 60:02}"


def words_of(fault: Fault) -> str:
    """A fault in words."""
    if fault.kind is Kind.MISBEHAVE:
        return f"the exchange {_misbehaviour(fault.misbehaviour or Misbehaviour())}"
    lasts = f" for {fault.seconds:.1f} s" if fault.seconds else ""
    late = f" by {fault.delay_ms} ms" if fault.delay_ms else ""
    return f"{fault.kind.value} {fault.target}{late}{lasts}"


def trades_line(look: Look) -> str:
    """How trading stands."""
    now = look.standing
    line = f"placed {now.placed:,}  decided {now.decided:,}"
    line += f"  open {now.open:,}" + (f" (oldest {now.oldest_open:.1f} s)" if now.open else "")
    line += f"  in doubt {now.in_doubt:,}"
    line += f" (oldest {now.oldest_in_doubt:.1f} s)" if now.in_doubt else ""
    return f"{line}  fills: exchange {look.fills[0]:,}, ledger {look.fills[1]:,}"


def resting_line(look: Look) -> str:
    """What rests at the exchange, and what became of replaces and stops."""
    words = (f"{what} {n:,}" for what, n in look.standing.told.items())
    return "  ".join([f"{look.standing.resting:,}", *words])


def violations_line(look: Look) -> str:
    """What is broken."""
    return "  ".join(f"{count} {claim.value}" for claim, count in look.violations.items())


def _misbehaviour(script: Misbehaviour) -> str:
    chances = {
        "duplicates": script.duplicate_permille,
        "reorders": script.reorder_permille,
        "forgets acknowledgements": script.lose_acknowledge_permille,
        "refuses": script.reject_permille,
    }
    words = [f"{what} {chance / 10:g} %" for what, chance in chances.items() if chance]
    words += [f"reports {script.delay_ms} ms late"] if script.delay_ms else []
    return ", ".join(words) or "behaves"


def _picture(look: Look) -> RenderableType:
    lines = Table(box=None, show_header=False, pad_edge=False)
    is_broken = any(look.violations.values())
    lines.add_row(look.stage, Text(clock_of(look.at)))
    lines.add_row("trades", Text(trades_line(look)))
    lines.add_row("resting", Text(resting_line(look)))
    lines.add_row("violations", Text(violations_line(look), style="bold red" if is_broken else ""))
    faults = [
        f"{words_of(fault)} ({look.at - since:.1f} s in)" for fault, since in look.in_force.items()
    ]
    lines.add_row("in force", Text("; ".join(faults) or "nothing", style="yellow"))
    return Group(lines, _recoveries(look.summaries))


def _recoveries(summaries: Sequence[Summary]) -> Table:
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False)
    for heading in ("fault", "target"):
        table.add_column(heading)
    for heading in ("times", "back", "median", "max", "last"):
        table.add_column(heading, justify="right")
    for one in summaries:
        times = str(one.count) if not one.unseen else f"{one.count} ({one.unseen} unseen)"
        waits = [_seconds(wait) for wait in (one.back, one.median, one.longest, one.last)]
        table.add_row(one.kind, one.target, times, *waits)
    return table


def _seconds(wait: float | None) -> str:
    return "-" if wait is None else f"{wait:.1f} s"
