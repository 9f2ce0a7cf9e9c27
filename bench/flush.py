"""What a disk takes to keep 8 kB for good, one after the other: the least a commit can wait."""

import os
import tempfile
import time

_PAGE = b"\1" * 8_192
_PAGES = 2_048  # of a file that is there already, as a segment of WAL is


def waits(seconds: float) -> list[float]:
    """Seconds of each of the flushes that `seconds` have room for, where houses are measured."""
    with tempfile.TemporaryFile(prefix="stockbroker-bench-", buffering=0) as file:
        file.write(_PAGE * _PAGES)
        os.fsync(file)
        taken: list[float] = []
        ends_at = time.perf_counter() + seconds
        while not taken or time.perf_counter() < ends_at:
            os.pwrite(file.fileno(), _PAGE, len(taken) % _PAGES * len(_PAGE))
            began = time.perf_counter()
            os.fdatasync(file)
            taken.append(time.perf_counter() - began)
        return taken
