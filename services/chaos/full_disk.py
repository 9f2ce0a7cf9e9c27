"""Keeps a process and its children from writing to files, as a full disk does.

    python -m services.chaos.full_disk full|free PID...

A program of its own, so that it can be run as the user whose processes they are: only that user
may change their limits.
"""

import os
import resource
import signal
import subprocess
import sys
from pathlib import Path

from libs.embedded.child import STAY, launched

_MODULE = "services.chaos.full_disk"
_SECONDS = 30.0


def set_full(pids: list[int], *, is_full: bool) -> None:
    """Let a process and its children (the first is the parent) write no byte, or free them of it.

    Raises OSError when this machine does not allow it.
    """
    try:
        owner = Path(f"/proc/{pids[0]}").stat().st_uid
    except FileNotFoundError:  # it was killed, and with it its children
        return
    command = [sys.executable, "-m", _MODULE, "full" if is_full else "free", *map(str, pids)]
    uid = STAY if owner == os.geteuid() else owner
    done = subprocess.run(
        launched(command, dies_by=signal.SIGKILL, uid=uid),
        cwd=Path(__file__).parents[2],
        capture_output=True,
        text=True,
        timeout=_SECONDS,
        check=False,
    )
    if done.returncode != 0:
        raise OSError(f"the limits of processes cannot be changed: {done.stderr[-500:]}")


def main(arguments: list[str]) -> None:
    """Do what the module says. The hard limit stays, so that it can be undone."""
    for pid in map(int, arguments[1:]):
        try:
            _, hard = resource.prlimit(pid, resource.RLIMIT_FSIZE)
            soft = 0 if arguments[0] == "full" else hard
            resource.prlimit(pid, resource.RLIMIT_FSIZE, (soft, hard))
        except ProcessLookupError:
            continue


if __name__ == "__main__":
    main(sys.argv[1:])
