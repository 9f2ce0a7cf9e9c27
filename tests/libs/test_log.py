"""One line of JSON per event."""

import json
import subprocess
import sys
from pathlib import Path

# Logs while its disk is full, before and after; a limit on files stands for the disk.
_ON_A_FULL_DISK = """
import resource
import structlog
from libs import log

log.configure("order")
_log = structlog.get_logger()
_, most = resource.getrlimit(resource.RLIMIT_FSIZE)
_log.info("before")
resource.setrlimit(resource.RLIMIT_FSIZE, (0, most))
for number in range(1_000):
    _log.warning("meanwhile", number=number)
resource.setrlimit(resource.RLIMIT_FSIZE, (most, most))
_log.error("after")
"""


def test_a_full_disk_costs_lines_of_the_log_and_nothing_else(tmp_path: Path) -> None:
    lines = tmp_path / "log"
    with lines.open("wb") as file:
        ended = subprocess.run(
            [sys.executable, "-c", _ON_A_FULL_DISK],
            stdout=file,
            stderr=subprocess.PIPE,
            text=True,
            timeout=60,
            check=False,
        )
    assert (ended.returncode, ended.stderr) == (0, "")
    told = [json.loads(line) for line in lines.read_text().splitlines()]
    assert {line["service"] for line in told} == {"order"}
    assert (told[0]["event"], told[-1]["event"]) == ("before", "after")
