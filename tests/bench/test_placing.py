"""Placing alone: the execution service stands still, and goes on whatever happens."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from bench.placing import nobody_takes_up
from bench.premises import House
from libs.embedded.child import wait_until


def test_execution_stands_still_for_so_long_and_goes_on_also_after_an_error() -> None:
    wait = [sys.executable, "-c", "input()"]
    with subprocess.Popen(wait, stdin=subprocess.PIPE) as process:
        house = House("", "", "", {}, {}, {}, {"execution": process.pid}, os.getpid())
        with pytest.raises(RuntimeError, match="refused"), nobody_takes_up(house):
            assert wait_until(lambda: _state(process.pid) == "T", seconds=30)
            raise RuntimeError("refused")
        assert wait_until(lambda: _state(process.pid) != "T", seconds=30)


def _state(pid: int) -> str:
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
