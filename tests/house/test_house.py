"""The whole house as `make up` runs it: it starts, is mistreated, and leaves nothing behind."""

import json
import os
import re
import resource
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import bootstrap
from libs.embedded.child import launched, wait_until
from libs.probe import probe

ROOT = Path(__file__).parents[2]
PARTS = {
    *("postgres", "nats", "edge"),
    *("order", "ledger", "execution", "exchange_gateway", "exchange_simulator", "reconciliation"),
}
# Of 40 that no other process is likely to want: below those of `free_port`.
FIRST_PORT = 8_300 + os.getpid() % 40 * 40
pytestmark = [pytest.mark.xdist_group("make_up"), pytest.mark.timeout(240)]


class Run:
    """One `python -m services.house.main` on a data folder."""

    def __init__(self, folder: Path, *options: str, **settings: str) -> None:
        self.folder = folder
        ports = {"PUBLIC_PORT": "0", "OPERATORS_PORT": "0", "INNER_PORT": "0"}
        sizes = {"POSTGRES_SHARED_BUFFERS_MB": "64", "POSTGRES_MAX_WAL_SIZE_MB": "256"}
        told = {**ports, **sizes, "DATA_FOLDER": str(folder), **settings}
        self.process = subprocess.Popen(
            launched(
                [sys.executable, "-m", "services.house.main", *options], dies_by=signal.SIGTERM
            ),
            cwd=ROOT,
            env={**os.environ, **{f"STOCKBROKER_{name}": value for name, value in told.items()}},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def told(self) -> dict[str, Any]:
        """house.json as this run wrote it; empty until then."""
        try:
            told: dict[str, Any] = json.loads((self.folder / "house.json").read_text())
        except FileNotFoundError:
            return {}
        return told if told["supervisor_pid"] == self.process.pid else {}

    def wait_up(self) -> dict[str, Any]:
        """house.json once everything is ready."""
        settled = wait_until(
            lambda: bool(self.told()) or self.process.poll() is not None, seconds=120
        )
        assert settled
        assert self.process.poll() is None, self.words()
        return self.told()

    def words(self) -> str:
        """What it said, once it ended."""
        assert self.process.stdout is not None
        self.process.wait(120)
        return self.process.stdout.read()

    def end(self, number: signal.Signals = signal.SIGINT) -> int:
        """Signal it and wait; its exit status."""
        self.process.send_signal(number)
        return self.process.wait(60)


def processes_of(folder: Path) -> list[str]:
    """Every process that works in `folder` or was told of it."""
    mark, found = str(folder).encode(), []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            told = [(process / name).read_bytes() for name in ("cmdline", "environ")]
            told.append(str((process / "cwd").readlink()).encode())
        except OSError:
            continue
        if process.name != str(os.getpid()) and any(mark in text for text in told):
            found.append(f"{process.name} {told[0].decode().replace(chr(0), ' ')[:100]}")
    return found


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    """A data folder; afterwards nothing may work in it any more."""
    yield tmp_path / "data"
    is_empty = wait_until(lambda: not processes_of(tmp_path / "data"), seconds=30)
    assert is_empty, processes_of(tmp_path / "data")


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Run]:
    """A house for tests that leave it running."""
    run = Run(tmp_path_factory.mktemp("running") / "data", "--no-demo")
    run.wait_up()
    yield run
    assert run.end() == 0


def test_the_main_job_is_shown_and_shown_again_at_the_next_start(folder: Path) -> None:
    first = Run(folder, "--exit-after-demo")
    words = first.words()
    assert first.process.returncode == 0, words
    for part in PARTS:
        assert re.search(rf"ready\s+{part}\s+[\d.]+ s", words)
    assert re.search(
        r"BUY of 10 AAPL\n.* PLACED (.*\n)+.* IN_PROGRESS (.*\n)+.* FILLED .* \$", words
    )
    assert re.search(r"SELL of 5 MSFT\n.* PLACED (.*\n)+.* FILLED .* \$", words)
    assert re.search(r"ms  REJECTED +INSUFFICIENT_FUNDS: ", words)
    assert re.search(r"First fill [\d.]+ s after", words)
    assert re.search(r"AAPL +- +10 shares", words)
    assert "export TOKEN=" in words
    second = Run(folder, "--exit-after-demo").words()
    assert re.search(r"AAPL +10 shares +20 shares", second), second
    assert re.search(r"MSFT +995 shares +990 shares", second)


def test_ctrl_c_ends_everything_in_good_order(folder: Path) -> None:
    run = Run(folder, "--no-demo")
    run.wait_up()
    assert run.end(signal.SIGINT) == 0
    words = run.words()
    stopped = re.findall(r"stopped (\w+)", words)
    assert stopped[0] == "edge"
    assert stopped[-2:] == ["nats", "postgres"]
    assert set(stopped) == PARTS
    assert not (folder / "house.json").exists()
    assert "Traceback" not in words


def test_under_nohup_it_outlives_its_terminal_and_still_ends_in_good_order(folder: Path) -> None:
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    run = Run(folder, "--no-demo")
    signal.signal(signal.SIGHUP, before)
    nats = run.wait_up()["pids"]["nats"]
    assert run.process.stdout is not None
    run.process.stdout.close()
    run.process.send_signal(signal.SIGHUP)
    os.kill(nats, signal.SIGKILL)
    assert wait_until(lambda: run.told()["pids"]["nats"] != nats, seconds=30)
    assert run.end(signal.SIGINT) == 0
    assert not (folder / "house.json").exists()


def test_proxies_and_other_databases_of_the_environment_are_nothing_to_it(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    monkeypatch.delenv("no_proxy", raising=False)
    monkeypatch.delenv("no_grpc_proxy", raising=False)
    monkeypatch.setenv("PGSSLMODE", "require")
    run = Run(folder, "--exit-after-demo", START_SECONDS="30")
    words = run.words()
    assert run.process.returncode == 0, words


def test_ctrl_c_while_it_starts_leaves_nothing(folder: Path) -> None:
    run = Run(folder, "--no-demo")
    assert wait_until(lambda: (folder / "logs" / "nats.log").exists(), seconds=60)
    assert run.end(signal.SIGINT) == 0
    assert "Traceback" not in run.words()


def test_what_died_on_a_full_disk_is_kept_running_once_there_is_room(folder: Path) -> None:
    run = Run(folder, "--no-demo")
    before = run.wait_up()["pids"]["reconciliation"]
    ours = run.process.pid
    _, most = resource.prlimit(ours, resource.RLIMIT_FSIZE)
    resource.prlimit(ours, resource.RLIMIT_FSIZE, (0, most))
    os.kill(before, signal.SIGKILL)
    assert wait_until(lambda: bool(reconciling(folder) - {before}), seconds=60)
    (second,) = reconciling(folder) - {before}
    for process in (ours, second):
        resource.prlimit(process, resource.RLIMIT_FSIZE, (most, most))
    os.kill(second, signal.SIGKILL)

    def is_told() -> bool:
        pid = run.told()["pids"]["reconciliation"]
        return pid not in (before, second) and pid in reconciling(folder)

    assert wait_until(is_told, seconds=60)
    assert run.end() == 0


def reconciling(folder: Path) -> set[int]:
    """The processes of reconciliation that the house in `folder` runs."""
    of_house = processes_of(folder)
    return {int(line.split()[0]) for line in of_house if "-m services.reconciliation.main" in line}


def test_kill_9_of_the_supervisor_leaves_nothing_and_the_next_start_recovers(folder: Path) -> None:
    run = Run(folder, "--no-demo", INNER_PORT=str(FIRST_PORT))
    before = run.wait_up()
    assert set(before["pids"]) == PARTS
    run.end(signal.SIGKILL)
    # At once, on the same ports, while the dead are still on their way out.
    again = Run(folder, "--exit-after-demo", INNER_PORT=str(FIRST_PORT))
    words = again.words()
    assert again.process.returncode == 0, words
    assert "FILLED" in words


def test_what_is_killed_is_started_again(running: Run) -> None:
    before = running.told()
    for pid in before["pids"].values():
        os.kill(pid, signal.SIGKILL)

    def is_back() -> bool:
        now = running.told()["pids"]
        return all(now[name] != pid for name, pid in before["pids"].items()) and not any(
            probe(address, timeout_seconds=1) for address in before["services"].values()
        )

    assert wait_until(is_back, seconds=90)


def test_a_second_house_on_the_same_data_is_refused(running: Run) -> None:
    second = Run(running.folder, "--no-demo")
    assert f"runs already (process {running.process.pid})" in second.words()
    assert second.process.returncode == 1
    assert running.process.poll() is None


def test_all_that_a_house_leaves_can_be_wiped(running: Run) -> None:
    left = {path.name for path in running.folder.iterdir()}
    assert left <= {*bootstrap.OURS, bootstrap.LOCK}


def test_data_in_use_is_not_wiped(running: Run) -> None:
    cleaned = subprocess.run(
        [sys.executable, "bootstrap.py", "clean"],
        cwd=ROOT,
        env={**os.environ, "STOCKBROKER_DATA_FOLDER": str(running.folder)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert "a house runs in" in cleaned.stderr
    assert running.told()


def test_a_port_in_use_is_said_in_one_sentence(folder: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        run = Run(folder, "--no-demo", PUBLIC_PORT=str(port))
        assert (
            f"port {port}, wanted by public, is in use; STOCKBROKER_PUBLIC_PORT chooses another."
        ) in " ".join(run.words().split())
    assert run.process.returncode == 1


def test_a_wrong_setting_is_said_in_one_sentence(folder: Path) -> None:
    run = Run(folder, PUBLIC_PORT="many")
    assert run.words().startswith("stockbroker: setting STOCKBROKER_PUBLIC_PORT: Expected `int`")
    assert run.process.returncode == 2
