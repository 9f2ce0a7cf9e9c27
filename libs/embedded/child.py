"""A process of ours: started, watched, ended; it never outlives us."""

import contextlib
import os
import secrets
import signal
import subprocess
import sys
import sysconfig
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

Found = TypeVar("Found")
_LAUNCH = Path(__file__).with_name("launch.py")
_POLL_SECONDS = 0.02
_LOOK_SECONDS = 0.1  # where it costs more to look
_TAIL_BYTES = 2_000
STAY = -1
NOBODY = 65534


class CannotRun(RuntimeError):
    """A part cannot run here; the text is a sentence for a person."""


def launched(command: Sequence[str], *, dies_by: signal.Signals, uid: int = STAY) -> list[str]:
    """`command`, made to get the signal `dies_by` when the calling thread ends, as user `uid`."""
    launch = [sys.executable, "-I", "-S", str(_LAUNCH), str(os.getpid())]
    return [*launch, str(int(dies_by)), str(uid), *command]


def script(name: str, *, wheel: str) -> str:
    """Path of a program that a wheel brought into the environment. Raises CannotRun."""
    path = Path(sysconfig.get_path("scripts")) / name
    if not path.exists():
        raise CannotRun(
            f"{name} is missing: the wheel {wheel} is not installed "
            f"(`python3 bootstrap.py sync` installs it)"
        )
    return str(path)


def write_secret(path: Path) -> None:
    """A new random secret that its owner alone can read; whole, or not there at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    fresh = path.with_name(f"{path.name}.new")
    fresh.unlink(missing_ok=True)
    fresh.touch(mode=0o600)
    fresh.write_text(secrets.token_hex(32))
    fresh.replace(path)


def wait_until(
    is_so: Callable[[], bool], *, seconds: float, pause_seconds: float = _POLL_SECONDS
) -> bool:
    """Ask `is_so` again and again; whether it came true within `seconds`."""
    deadline = time.monotonic() + seconds
    while not is_so():
        if time.monotonic() > deadline:
            return False
        time.sleep(pause_seconds)
    return True


def first_answer(
    process: "subprocess.Popen[Any]", look: Callable[[], Found | None], *, seconds: float
) -> Found | None:
    """The first thing that `look` finds; None: the process ended before, or `seconds` went by."""
    found: list[Found] = []

    def is_over() -> bool:
        if process.poll() is None and (answer := look()) is not None:
            found.append(answer)
        return bool(found) or process.poll() is not None

    wait_until(is_over, seconds=seconds, pause_seconds=_LOOK_SECONDS)
    return found[0] if found else None


def stop(process: "subprocess.Popen[Any]", *, seconds: float) -> None:
    """Ask a process to end, if it has not; kill it after `seconds`."""
    process.terminate()
    try:
        process.wait(seconds)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def processes_in(folder: Path, program: str) -> list[int]:
    """Ids of the processes that run `program` with `folder` as their working folder."""
    where = str(folder.resolve())
    found = []
    for process in Path("/proc").iterdir():
        if not process.name.isdigit():
            continue
        try:
            cwd, executable = (process / "cwd").readlink(), (process / "exe").readlink()
        except OSError:  # another user's, or just gone
            continue
        if str(cwd) == where and executable.name.split(" ")[0] == program:
            found.append(int(process.name))
    return found


def end_leftovers(folder: Path, program: str, *, seconds: float = 20.0) -> None:
    """Wait until nothing of an earlier run works in `folder`; kill what does after `seconds`."""
    if wait_until(lambda: not processes_in(folder, program), seconds=seconds):
        return
    for pid in processes_in(folder, program):
        with contextlib.suppress(ProcessLookupError):  # it went meanwhile
            os.kill(pid, signal.SIGKILL)
    if not wait_until(lambda: not processes_in(folder, program), seconds=5):
        raise CannotRun(f"a {program} of an earlier run works in {folder} and cannot be ended")


class Child:
    """One process. Its output is added to `log`; `dies_by` is what it gets when we die."""

    def __init__(
        self,
        command: Sequence[str],
        *,
        log: Path,
        dies_by: signal.Signals = signal.SIGKILL,
        uid: int = STAY,
        folder: Path | None = None,
    ) -> None:
        self.log = log
        self._command = command
        self._dies_by = dies_by
        self._uid = uid
        self._folder = folder
        self._process: subprocess.Popen[bytes] | None = None

    def start(self, environment: Mapping[str, str] | None = None) -> None:
        """Start it, in a session of its own: a Ctrl-C at the terminal is ours to pass on."""
        self.log.parent.mkdir(parents=True, exist_ok=True)
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                launched(self._command, dies_by=self._dies_by, uid=self._uid),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                cwd=self._folder,
                env=environment,
                start_new_session=True,
            )

    @property
    def pid(self) -> int:
        """Its process id; 0 before the first start."""
        return self._process.pid if self._process else 0

    @property
    def is_running(self) -> bool:
        """Whether it was started and has not ended."""
        return self._process is not None and self._process.poll() is None

    @property
    def returncode(self) -> int | None:
        """What it ended with (negative: by that signal), or None."""
        return self._process.poll() if self._process else None

    def send(self, number: signal.Signals) -> None:
        """Send a signal, unless it has ended."""
        if self._process is not None:
            self._process.send_signal(number)

    def stop(self, number: signal.Signals = signal.SIGTERM, *, seconds: float = 10.0) -> None:
        """Ask it to end with `number`; kill it after `seconds`."""
        self.send(number)
        if not wait_until(lambda: not self.is_running, seconds=seconds):
            self.kill()

    def kill(self) -> None:
        """kill -9, and wait for the end."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()

    def last_words(self) -> str:
        """The end of its log."""
        try:
            return self.log.read_bytes()[-_TAIL_BYTES:].decode(errors="replace").strip()
        except FileNotFoundError:
            return ""
