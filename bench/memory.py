"""Memory of a house's processes: each page counts for a process as far as no other shares it."""

import re
from contextlib import suppress
from pathlib import Path

from bench.cpu import family
from bench.premises import House
from bench.report import Row


def of_house(house: House, when: str) -> list[Row]:
    """A row for each part, with all processes it started, and one for the whole."""
    each = {name: sum(map(_bytes_of, family(pid))) for name, pid in house.pids.items()}
    each["everything"] = sum(each.values())
    return [
        Row(name=f"memory {when}: {name}", value=count / 2**20, unit="MB", note="proportional set")
        for name, count in sorted(each.items(), key=lambda item: -item[1])
    ]


def _bytes_of(pid: int) -> int:
    """0 of a process that is gone, or that the kernel does not tell of."""
    with suppress(OSError):
        found = re.search(r"^Pss:\s+(\d+) kB", Path(f"/proc/{pid}/smaps_rollup").read_text(), re.M)
        return 1024 * int(found[1]) if found else 0
    return 0
