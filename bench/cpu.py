"""CPU time, which neighbours on the machine change less than they change the time on the wall."""

import os
import resource
import time
from collections.abc import Iterator
from pathlib import Path

from libs.embedded import Postgres

_TICKS = os.sysconf("SC_CLK_TCK")


class Cpu:
    """Seconds of CPU that this process, the server and what both started have taken so far."""

    def __init__(self, postgres: Postgres) -> None:
        self._server = postgres.child.pid

    def seconds(self) -> float:
        """So far, as far as it can be told: of a child that runs, only once it ended."""
        ended = resource.getrusage(resource.RUSAGE_CHILDREN)
        mine = time.process_time() + ended.ru_utime + ended.ru_stime
        return mine + seconds_of(self._server)


def seconds_of(pid: int) -> float:
    """Seconds of CPU that a process and all it started have taken so far."""
    return sum(_ticks_of(each) for each in family(pid)) / _TICKS


def busy_seconds() -> float:
    """Seconds of CPU that all processes of the machine have taken so far."""
    fields = Path("/proc/stat").read_text().partition("\n")[0].split()[1:]
    user, nice, system, _idle, _iowait, irq, softirq, *_ = map(int, fields)
    return (user + nice + system + irq + softirq) / _TICKS


class Others:
    """Who else is at work: the share of the CPU taken, since it was made, that was not ours."""

    def __init__(self) -> None:
        self._before = busy_seconds(), seconds_of(os.getpid())

    def share(self) -> float:
        """0 to 1. What a process took that this one never waited for counts as others'."""
        busy, ours = busy_seconds() - self._before[0], seconds_of(os.getpid()) - self._before[1]
        return max(0.0, 1 - ours / busy) if busy else 0.0


def family(pid: int) -> Iterator[int]:
    """A process and all it started that run."""
    yield pid
    try:
        tasks = list(Path(f"/proc/{pid}/task").iterdir())
        children = " ".join((task / "children").read_text() for task in tasks).split()
    except OSError:
        return
    for child in children:
        yield from family(int(child))


def _ticks_of(pid: int) -> int:
    """Its own, and those of its children that ended."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:  # just gone
        return 0
    return sum(map(int, fields[11:15]))
