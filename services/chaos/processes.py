"""Signals to a process and its children."""

import os
import signal
from pathlib import Path


def children_of(pid: int) -> list[int]:
    """Its children, and theirs: a server may have one for each connection."""
    parents: dict[int, list[int]] = {}
    for process in Path("/proc").glob("[0-9]*"):
        try:
            stat = (process / "stat").read_text()
        except OSError:  # just gone
            continue
        parent = int(stat.rpartition(")")[2].split()[1])
        parents.setdefault(parent, []).append(int(process.name))
    found = []
    waiting = [pid]
    while waiting:
        children = parents.get(waiting.pop(), [])
        found += children
        waiting += children
    return found


def family_of(pid: int) -> list[int]:
    """It, and all its children."""
    return [pid, *children_of(pid)]


def is_alive(pid: int) -> bool:
    """Whether there is such a process."""
    return Path(f"/proc/{pid}").exists()


def send(pid: int, number: signal.Signals) -> bool:
    """Send a signal; whether there was such a process."""
    try:
        os.kill(pid, number)
    except ProcessLookupError:
        return False
    return True


def freeze(pid: int) -> list[int]:
    """SIGSTOP a process and its children; those that stand still now, for `thaw`."""
    frozen = [pid] if send(pid, signal.SIGSTOP) else []
    return frozen + [child for child in children_of(pid) if send(child, signal.SIGSTOP)]


def thaw(pids: list[int]) -> None:
    """SIGCONT those that `freeze` stopped."""
    for pid in pids:
        send(pid, signal.SIGCONT)
