"""What was measured: rows, the table that shows them, the file that keeps them."""

import json
import os
import platform
import statistics
import time
from collections.abc import Sequence
from pathlib import Path
from sysconfig import get_config_var

import msgspec
from rich.table import Table

NOISY = 0.15  # of the CPU taken; more is others' makes figures that say little
RESULTS = Path(__file__).with_name("results")


class Row(msgspec.Struct, frozen=True, kw_only=True):
    """One thing that was measured, in one round."""

    name: str
    value: float
    unit: str  # 1/s, ms, B
    floor: str = ""  # what it is compared with; empty: nothing
    ratio: float | None = None  # value / that of the floor in the same round
    cpu_us: float | None = None  # of all processes together, for one of them
    target: str = ""  # of the ratio, or of the value where there is no floor; >= or <=
    note: str = ""

    @property
    def meets(self) -> bool | None:
        """Whether the target is met; None where there is none."""
        if not self.target:
            return None
        sign, limit = self.target.split()
        found = self.value if self.ratio is None else self.ratio
        return found >= float(limit) if sign == ">=" else found <= float(limit)


def median(rounds: Sequence[Sequence[Row]]) -> list[Row]:
    """The rows of all rounds, each with its medians; one that rounds lack says so."""
    by_name: dict[str, list[Row]] = {}
    for row in (row for rows in rounds for row in rows):
        by_name.setdefault(row.name, []).append(row)
    return [_median_of(same, len(rounds)) for same in by_name.values()]


def _median_of(same: Sequence[Row], rounds: int) -> Row:
    ratios = [row.ratio for row in same if row.ratio is not None]
    costs = [row.cpu_us for row in same if row.cpu_us is not None]
    seen = "" if len(same) == rounds else f"in {len(same)} of {rounds} rounds"
    return msgspec.structs.replace(
        same[0],
        value=statistics.median(row.value for row in same),
        ratio=statistics.median(ratios) if ratios else None,
        cpu_us=statistics.median(costs) if costs else None,
        note="; ".join(filter(None, (same[0].note, seen))),
    )


def waits(
    name: str, seconds: Sequence[float], *, note: str = "", most_p99: float | None = None
) -> list[Row]:
    """Two rows, of half of all waits and of 99 in 100; `most_p99`: a target, in ms."""
    hundredths = statistics.quantiles(seconds, n=100) if len(seconds) > 1 else [*seconds] * 99
    target = "" if most_p99 is None else f"<= {most_p99:g}"
    half, most = (1e3 * hundredths[place] for place in (49, 98))
    return [
        Row(name=f"{name}, p50", value=half, unit="ms", note=note),
        Row(name=f"{name}, p99", value=most, unit="ms", note=note, target=target),
    ]


def table(rows: Sequence[Row], *, title: str) -> Table:
    """For people."""
    shown = Table(title=title, title_justify="left")
    shown.add_column("what")
    for heading in ("value", "CPU", "ratio", "target"):
        shown.add_column(heading, justify="right", no_wrap=True)
    shown.add_column("to")
    shown.add_column("how")
    for row in rows:
        ratio = "" if row.ratio is None else f"{row.ratio:.2f}"
        value = f"{row.value:,.0f}" if row.value >= 100 else f"{row.value:.1f}"
        cpu = "" if row.cpu_us is None else f"{row.cpu_us:.0f} us"
        style = {None: "", True: "green", False: "red"}[row.meets]
        shown.add_row(
            row.name,
            f"{value} {row.unit}",
            cpu,
            ratio,
            row.target,
            row.floor,
            row.note,
            style=style,
        )
    return shown


def how_quiet(shares: Sequence[float]) -> str:
    """In words; `shares`: what others took of the CPU in each round."""
    worst = max(shares)
    words = f"others took up to {worst:.0%} of the CPU"
    return f"{words}: NOISY, compare nothing with it" if worst > NOISY else words


def machine() -> dict[str, object]:
    """What the figures were measured on."""
    cpus = [line for line in _lines("/proc/cpuinfo") if line.startswith("model name")]
    return {
        "cpu": cpus[0].partition(":")[2].strip() if cpus else platform.machine(),
        "cpus": os.cpu_count(),
        "python": platform.python_version(),
        "python_is_optimized": "--enable-optimizations" in str(get_config_var("CONFIG_ARGS")),
        "system": f"{platform.system()} {platform.release()}",
        "load_average": os.getloadavg()[0],
    }


def keep(suite: str, rounds: Sequence[Sequence[Row]], others: Sequence[float]) -> Path:
    """Write everything that was measured to a file of its own; `others`: see `how_quiet`."""
    RESULTS.mkdir(exist_ok=True)
    path = RESULTS / f"{suite}-{time.strftime('%Y%m%dT%H%M%S', time.gmtime())}.json"
    told = {
        "machine": machine(),
        "others_share": [round(share, 3) for share in others],
        "is_noisy": max(others) > NOISY,
        "median": msgspec.to_builtins(median(rounds)),
        "rounds": msgspec.to_builtins(rounds),
    }
    path.write_text(json.dumps(told, indent=2) + "\n")
    return path


def _lines(path: str) -> list[str]:
    try:
        return Path(path).read_text().splitlines()
    except OSError:
        return []
