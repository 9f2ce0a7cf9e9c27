"""A whole house of the benchmark's own: every service, PostgreSQL, NATS and Envoy, as `make up`
runs them, on free ports; or a PostgreSQL alone."""

import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

import msgspec

from bench.cpu import family, seconds_of
from libs.auth import Role, Signer
from libs.embedded import CannotRun, Postgres, Tuning
from libs.embedded.child import first_answer, launched, stop
from libs.probe import probe

Metadata = tuple[tuple[str, str], ...]
_START_SECONDS = 120.0
_STOP_SECONDS = 60.0
_BUFFERS_MB = 1_024
_SETTINGS = {
    "PUBLIC_PORT": "0",
    "OPERATORS_PORT": "0",
    "INNER_PORT": "0",
    "POSTGRES_SHARED_BUFFERS_MB": str(_BUFFERS_MB),
    # The load is the benchmark's own to choose.
    "CUSTOMER_CALLS_PER_SECOND": "1000000",
    "CALLS_PER_SECOND": "1000000",
}


class House(msgspec.Struct, frozen=True):
    """`house.json`, as far as it is read here. Addresses are host:port."""

    public: str
    operators: str
    signing_key_file: str
    services: Mapping[str, str]
    orders: Mapping[str, str]  # the processes of the order service
    databases: Mapping[str, str]
    pids: Mapping[str, int]
    supervisor_pid: int

    def cpu_seconds(self) -> dict[str, float]:
        """Seconds of CPU that each process has taken so far, with all it started."""
        return {name: seconds_of(pid) for name, pid in self.pids.items()}

    def operator(self) -> Metadata:
        """What goes with a call of an operator."""
        token = Signer(self.signing_key_file).mint("bench", Role.OPERATOR)
        return (("authorization", f"Bearer {token}"),)

    def stand_back(self, niceness: int) -> None:
        """Be so far behind whoever measures, where both want a processor, from now on."""
        behind = os.getpriority(os.PRIO_PROCESS, 0) + niceness
        for pid in family(self.supervisor_pid):
            with suppress(OSError):  # it is just gone
                for thread in Path(f"/proc/{pid}/task").iterdir():
                    os.setpriority(os.PRIO_PROCESS, int(thread.name), behind)


@contextmanager
def running_house(**settings: str) -> Iterator[House]:
    """In a temporary folder; in the end stopped, and all of it gone. Raises CannotRun.

    `settings`: of the house, without STOCKBROKER_.
    """
    with a_folder() as folder, running_in(folder, **settings) as house:
        yield house


@contextmanager
def a_server() -> Iterator[Postgres]:
    """A durable PostgreSQL without a house."""
    with (
        a_folder() as folder,
        Postgres(folder / "postgres", tuning=Tuning(shared_buffers_mb=_BUFFERS_MB)) as server,
    ):
        yield server


@contextmanager
def a_folder() -> Iterator[Path]:
    """A temporary one that a house can be run in, more than once."""
    with tempfile.TemporaryDirectory(prefix="stockbroker-bench-") as folder:
        Path(folder).chmod(0o755)  # under root, PostgreSQL is another user
        yield Path(folder)


@contextmanager
def running_in(folder: Path, **settings: str) -> Iterator[House]:
    """On what is in `folder`; in the end stopped. Raises CannotRun."""
    own = {f"STOCKBROKER_{name}": value for name, value in {**_SETTINGS, **settings}.items()}
    command = [sys.executable, "-m", "services.house.main", "--no-demo"]
    with (folder / "supervisor.log").open("ab") as log:
        process = subprocess.Popen(
            launched(command, dies_by=signal.SIGTERM),
            cwd=Path(__file__).parents[1],
            env={**own, **os.environ, "STOCKBROKER_DATA_FOLDER": str(folder)},
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
        )
    try:
        yield _ready(folder, process)
    finally:
        stop(process, seconds=_STOP_SECONDS)


def _ready(folder: Path, process: "subprocess.Popen[bytes]") -> House:
    """The house once all services take calls."""

    def look() -> House | None:
        with suppress(OSError, msgspec.DecodeError):
            told = (folder / "house.json").read_bytes()
            house = msgspec.json.decode(told, type=House)
            if not any(probe(address, timeout_seconds=1) for address in house.services.values()):
                return house
        return None

    house = first_answer(process, look, seconds=_START_SECONDS)
    if house is not None:
        return house
    words = (folder / "supervisor.log").read_text()[-2000:]
    raise CannotRun(f"the house to measure did not start:\n{words}")
