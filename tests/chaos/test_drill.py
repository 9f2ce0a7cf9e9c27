"""A short drill of one seed, as `make chaos` runs a long one."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from libs.embedded.child import wait_until
from services.chaos.domain.verdict import Claim

# A full disk, a kill and a cut come first.
_SEED = "12285"
_SECONDS = 33
_MARK = "stockbroker-chaos-"


def _drill(tmp_path: Path, *options: str) -> "subprocess.CompletedProcess[str]":
    """Run one; its house keeps its data below `tmp_path`."""
    return subprocess.run(
        [sys.executable, "-m", "services.cli.main", "chaos", *options],
        env={**os.environ, "TMPDIR": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )


def _processes_in(folder: Path) -> list[str]:
    """Processes that were told of the folder."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            told = (process / "environ").read_bytes() + (process / "cmdline").read_bytes()
        except OSError:
            continue
        if process.name != str(os.getpid()) and f"{folder}/{_MARK}".encode() in told:
            found.append(process.name)
    return found


@pytest.mark.parametrize(
    "options", [("--minutes", "-1"), ("--minutes", "nan"), ("--rate", "0"), ("--customers", "0")]
)
def test_a_drill_of_nothing_is_refused(tmp_path: Path, options: tuple[str, str]) -> None:
    done = _drill(tmp_path, *options)
    assert (done.returncode, done.stdout) == (2, "")
    assert f"argument {options[0]}: a " in done.stderr


@pytest.mark.timeout(300)
def test_every_promise_is_kept_while_everything_fails(tmp_path: Path) -> None:
    report = tmp_path / "report.json"
    done = _drill(
        tmp_path,
        *("--seed", _SEED, "--minutes", str(_SECONDS / 60)),
        *("--faults", "disk,kill,partition,exchange"),
        *("--rate", "8", "--customers", "16", "--stops-held-by", "house"),
        *("--report", str(report)),
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"seed {_SEED}: every promise was kept" in done.stdout
    told: dict[str, Any] = json.loads(report.read_text())
    counts = told["counts"]
    assert counts["orders_answered"] == counts["trades"] == counts["decided"] > 50
    assert counts["venue_fills"] == counts["ledger_fills"] > 50
    assert counts["replaces_taken"] == counts["replaced"] + counts["replaces_rejected"] > 0
    assert counts["stops"] >= counts["stops_held"] > 0
    assert told["violation_counts"] == {claim.value: 0 for claim in Claim}
    kinds = [fault["kind"] for fault in told["schedule"] if fault["kind"] != "misbehave"]
    assert kinds[:3] == ["full disk", "kill", "cut"], "other faults now: choose another seed"
    seen = [one for one in told["recoveries"] if one["first"] is not None]
    assert seen, "trading went on after a fault"
    assert wait_until(lambda: not _processes_in(tmp_path), seconds=20), _processes_in(tmp_path)
    assert not list(tmp_path.glob(f"{_MARK}*")), "a drill without a breach leaves nothing behind"


@pytest.mark.timeout(300)
def test_an_interrupted_drill_leaves_nothing(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "services.chaos.main", "--rate", "4", "--customers", "4"]
    with (tmp_path / "words").open("w+") as words:
        drill = subprocess.Popen(
            command, env={**os.environ, "TMPDIR": str(tmp_path)}, stdout=words, stderr=words
        )
        trades = wait_until(lambda: "placed" in (tmp_path / "words").read_text(), seconds=180)
        drill.terminate()
        status = drill.wait(60)
        said = (tmp_path / "words").read_text()
    assert trades, said
    assert status == 130, said
    assert "Traceback" not in said
    assert wait_until(lambda: not _processes_in(tmp_path), seconds=20), _processes_in(tmp_path)
    assert not list(tmp_path.glob(f"{_MARK}*"))


@pytest.mark.parametrize(
    "options", [("--faults", "storms"), ("--workers", "9"), ("--stops-held-by", "nobody")]
)
def test_a_wrong_option_is_refused_before_anything_starts(
    tmp_path: Path, options: tuple[str, ...]
) -> None:
    done = _drill(tmp_path, *options)
    assert done.returncode == 2
    assert options[0] in done.stderr
    assert not list(tmp_path.iterdir())
