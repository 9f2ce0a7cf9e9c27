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

# Two libraries have something to say, one of a task that nobody looked after.
_OF_LIBRARIES = """
import asyncio
import logging
from libs import log

async def work():
    raise ValueError("in\\ntwo lines")

async def main():
    asyncio.create_task(work())
    await asyncio.sleep(0)

log.configure("order")
logging.getLogger("psycopg.pool").warning("error connecting in %r: %s", "pool-1", "refused")
asyncio.run(main())
"""


def test_what_libraries_say_is_told_in_lines_like_any_other() -> None:
    ended = subprocess.run(
        [sys.executable, "-c", _OF_LIBRARIES],
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    pool, task = map(json.loads, ended.stdout.splitlines())
    assert (pool["library"], pool["level"]) == ("psycopg.pool", "warning")
    assert pool["text"] == "error connecting in 'pool-1': refused"
    assert (task["library"], task["level"], task["service"]) == ("asyncio", "error", "order")
    assert "ValueError: in\ntwo lines" in task["exception"]
    assert ended.stderr == ""


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
