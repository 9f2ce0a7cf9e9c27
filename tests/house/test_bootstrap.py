"""What makes an environment out of a clone, and wipes what a house left in it.

Each test has a folder with bootstrap.py alone; pip and uv are programs of the test's own there,
for what they would fetch is not what is tested.
"""

import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

import bootstrap
from libs.embedded.child import wait_until
from libs.settings import InvalidSettings, load
from services.house.settings import Settings

ROOT = Path(__file__).parents[2]
# As pip does it: what is in the way stays.
_PIP = """
import os, pathlib, sys, time
target = pathlib.Path(sys.argv[sys.argv.index("--target") + 1])
if (target / "bin").exists():
    sys.exit(0)
(target / "bin").mkdir(parents=True)
if os.environ.get("SLOW"):
    time.sleep(0.5)
if os.environ.get("STAYS"):
    time.sleep(60)
uv = target / "bin" / "uv"
uv.write_text(os.environ["UV"])
uv.chmod(0o755)
"""
# Makes an environment as uv does: its programs begin with the path of its Python.
_UV = """#!/bin/sh
case "$*" in *--check) test -e "$UV_PROJECT_ENVIRONMENT/bin/envoy"; exit;; esac
mkdir -p "$UV_PROJECT_ENVIRONMENT/bin"
ln -sf "$PYTHON" "$UV_PROJECT_ENVIRONMENT/bin/python"
printf '#!%s\\nprint("envoy")\\n' "$UV_PROJECT_ENVIRONMENT/bin/python" \
    > "$UV_PROJECT_ENVIRONMENT/bin/envoy"
chmod 755 "$UV_PROJECT_ENVIRONMENT/bin/envoy"
"""
_SYNC = "import bootstrap; bootstrap.sync(dev=False)"


class Clone:
    """A folder with bootstrap.py in it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        (folder / "pip").mkdir(parents=True)
        (folder / "pip" / "__main__.py").write_text(_PIP)
        (folder / "pip" / "__init__.py").touch()
        shutil.copy(ROOT / "bootstrap.py", folder)

    def start(self, *arguments: str, **environment: str) -> "subprocess.Popen[str]":
        """Python with these arguments, in the folder and in a group of its own."""
        return subprocess.Popen(
            [sys.executable, *arguments],
            cwd=self.folder,
            env={**os.environ, "UV": _UV, "PYTHON": sys.executable, **environment},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )

    def run(self, *arguments: str, **environment: str) -> tuple[int, str]:
        """Its exit status and all it said."""
        process = self.start(*arguments, **environment)
        words, _ = process.communicate(timeout=60)
        return process.returncode, words

    def envoy(self) -> str:
        """What a program of the environment says."""
        return subprocess.check_output([self.folder / ".venv" / "bin" / "envoy"], text=True)


@pytest.fixture
def clone(tmp_path: Path) -> Clone:
    return Clone(tmp_path / "clone")


def test_a_clone_that_was_moved_gets_an_environment_of_its_own(clone: Clone) -> None:
    status, words = clone.run("-c", _SYNC)
    assert (status, clone.envoy()) == (0, "envoy\n"), words
    clone.folder = clone.folder.rename(clone.folder.with_name("moved"))
    status, words = clone.run("-c", _SYNC)
    assert (status, clone.envoy()) == (0, "envoy\n"), words
    assert clone.run("-c", _SYNC) == (0, "")


def test_what_was_broken_off_is_fetched_anew(clone: Clone) -> None:
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    fetching = clone.start("bootstrap.py", "sync", STAYS="yes")
    signal.signal(signal.SIGINT, before)
    assert wait_until(lambda: any(clone.folder.glob(".tools/**/bin")), seconds=30)
    os.killpg(fetching.pid, signal.SIGINT)
    words, _ = fetching.communicate(timeout=60)
    assert fetching.returncode == 130
    assert words.endswith("stockbroker: interrupted; the next run goes on.\n")

    status, words = clone.run("-c", _SYNC)
    assert (status, clone.envoy()) == (0, "envoy\n"), words


def test_two_at_once_in_a_fresh_clone_both_get_their_environment(clone: Clone) -> None:
    runs = [clone.start("-c", _SYNC, SLOW="yes") for _ in range(2)]
    for run in runs:
        words, _ = run.communicate(timeout=60)
        assert run.returncode == 0, words
    assert clone.envoy() == "envoy\n"


def test_a_python_that_is_too_old_can_read_what_says_so() -> None:
    # To Python 3.8 `list[str]` is a fault: it must not be looked at.
    assert bootstrap.main.__annotations__ == {"arguments": "list[str]", "return": "None"}


def test_only_what_a_house_left_is_wiped(clone: Clone) -> None:
    data, elsewhere = clone.folder / "data", clone.folder / "disk"
    for folder in (data / "keys", elsewhere):
        folder.mkdir(parents=True)
        (folder / "file").touch()
    (data / "postgres").symlink_to(elsewhere)
    for name in ("lock", "house.json", "mine"):
        (data / name).touch()
    link = clone.folder / "link"
    link.symlink_to(data)
    status, words = clone.run("bootstrap.py", "clean", STOCKBROKER_DATA_FOLDER=str(link))
    assert status == 0, words
    assert [path.name for path in data.iterdir()] == ["mine"]
    assert not elsewhere.exists()

    (data / "lock").touch()
    (data / "mine").unlink()
    assert clone.run("bootstrap.py", "clean", STOCKBROKER_DATA_FOLDER=str(data))[0] == 0
    assert not data.exists()


def test_a_data_folder_without_a_name_is_refused() -> None:
    with pytest.raises(InvalidSettings, match="STOCKBROKER_DATA_FOLDER"):  # it would be the clone
        load(Settings, {"STOCKBROKER_DATA_FOLDER": ""})


def test_what_cannot_be_wiped_is_named(clone: Clone) -> None:
    (clone.folder / "data" / "lock").mkdir(parents=True)
    status, words = clone.run("bootstrap.py", "clean", STOCKBROKER_DATA_FOLDER="data")
    assert (status, len(words.splitlines())) == (1, 1), words
    assert "data/lock: Is a directory" in words
