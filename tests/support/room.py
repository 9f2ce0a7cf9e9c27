"""Where tests keep their data: in memory where there is room, on disk otherwise.

A database is some three hundred files, and to make them costs a disk's file system ten times what
it costs in memory. Nothing here outlives its machine anyway: what is killed is a process.
"""

import os
import shutil
from pathlib import Path

_MEMORY = Path("/dev/shm")
_LEAST_BYTES = 8 << 30  # a whole run needs less than half of it

_LIMITS = ("memory.max", "memory/memory.limit_in_bytes")


def choose() -> None:
    """Have pytest make its temporary folders in memory, unless somebody has said where."""
    if _has_room():
        os.environ.setdefault("PYTEST_DEBUG_TEMPROOT", str(_MEMORY))


def _has_room() -> bool:
    try:
        flags = os.statvfs(_MEMORY).f_flag
        free = shutil.disk_usage(_MEMORY).free
    except OSError:
        return False
    return not flags & os.ST_NOEXEC and min(free, *_available()) >= _LEAST_BYTES


def _available() -> list[int]:
    """Bytes that the machine can spare, and the most this container may have."""
    lines = Path("/proc/meminfo").read_text().splitlines()
    spare = [int(line.split()[1]) << 10 for line in lines if line.startswith("MemAvailable:")]
    limits = [Path("/sys/fs/cgroup", name) for name in _LIMITS]
    words = [path.read_text().strip() for path in limits if path.exists()]
    return spare + [int(limit) for limit in words if limit.isdigit()]
