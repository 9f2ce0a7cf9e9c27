"""A house of the drill's own: in a folder of its own, on free ports, with proxies between."""

import asyncio
import contextlib
import json
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Any

import msgspec

from libs.embedded import CannotRun, free_port
from libs.embedded.child import launched, stop
from libs.probe import probe
from services.chaos import layout
from services.chaos.processes import is_alive
from services.chaos.proxy import HOST, Way, Ways
from services.chaos.store import Databases

_SUPERVISOR = "services.house.main"
_START_SECONDS = 120.0
_STOP_SECONDS = 90.0
_LOOK_SECONDS = 0.1
_PROBE_SECONDS = 1.0
_DOORS = ("public", "operators")
_SETTINGS = {
    "PUBLIC_PORT": "0",
    "OPERATORS_PORT": "0",
    "INNER_PORT": "0",
    "POSTGRES_SHARED_BUFFERS_MB": "64",
    "POSTGRES_MAX_WAL_SIZE_MB": "512",
    # The load is the drill's own to choose.
    "CUSTOMER_CALLS_PER_SECOND": "100000",
    "CALLS_PER_SECOND": "100000",
}


class Told(msgspec.Struct, frozen=True):
    """`house.json`, as far as a drill reads it. Addresses are host:port."""

    public: str
    operators: str
    signing_key_file: str
    ledger_public_key_file: str
    services: Mapping[str, str]
    workers: Mapping[str, str]
    parts: Mapping[str, str]
    databases: Mapping[str, str]
    nats_url: str
    pids: Mapping[str, int]
    supervisor_pid: int


class House:
    """A house that runs, with every way between its parts in the drill's hands."""

    def __init__(self, folder: Path, process: "subprocess.Popen[bytes]", ways: Ways) -> None:
        self.folder = folder
        self.ways = ways
        self._process = process

    @property
    def is_running(self) -> bool:
        """Whether the supervisor has not ended."""
        return self._process.poll() is None

    def told(self) -> Told:
        """What the house says of itself now; process ids change."""
        return msgspec.json.decode((self.folder / "house.json").read_bytes(), type=Told)

    async def answers(self, name: str) -> bool:
        """Whether a process does its work now, asked past all proxies."""
        told = self.told()
        address = {**told.services, **told.workers}.get(name)
        if address is not None:
            return not await asyncio.to_thread(probe, address, timeout_seconds=_PROBE_SECONDS)
        if name == "postgres":
            return await Databases(told.databases).answers()
        if name in told.parts:
            return await _listens(told.parts[name])
        return is_alive(told.pids[name])


async def _listens(address: str) -> bool:
    host, _, port = address.rpartition(":")
    try:
        async with asyncio.timeout(_PROBE_SECONDS):
            _, writer = await asyncio.open_connection(host, int(port))
    except (OSError, TimeoutError):
        return False
    writer.close()
    return True


@contextlib.asynccontextmanager
async def running_house(folder: Path, *, workers: int, holds_stops: bool) -> AsyncIterator[House]:
    """Start it, wait until it takes calls, stop it. Raises CannotRun."""
    ports = {part: free_port() for part in layout.listening(workers)}
    ways = Ways(
        {
            process: {part: Way(free_port(), f"{HOST}:{ports[part]}") for part in parts}
            for process, parts in layout.calls(workers).items()
        }
    )
    routes = folder / "routes.json"
    routes.write_text(json.dumps({"ports": ports, "ways": ways.addresses()}))
    settings = {
        "DATA_FOLDER": folder,
        "ROUTES": routes,
        "EXECUTION_WORKERS": workers,
        "HOLDS_STOPS": holds_stops,
    }
    async with ways:
        process = _start(folder, settings)
        try:
            house = House(folder, process, ways)
            await _wait_ready(house)
            yield house
        finally:
            await asyncio.to_thread(stop, process, seconds=_STOP_SECONDS)


def _start(folder: Path, settings: Mapping[str, Any]) -> "subprocess.Popen[bytes]":
    """The supervisor, which ends when we do."""
    command = [sys.executable, "-m", _SUPERVISOR, "--no-demo"]
    all_settings = {**_SETTINGS, **settings}
    own = {f"STOCKBROKER_{name}": str(value) for name, value in all_settings.items()}
    with (folder / "supervisor.log").open("ab") as log:
        return subprocess.Popen(
            launched(command, dies_by=signal.SIGTERM),
            cwd=Path(__file__).parents[2],
            env={**os.environ, **own},
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )


async def _wait_ready(house: House) -> None:
    async with contextlib.AsyncExitStack() as stack:
        stack.enter_context(contextlib.suppress(TimeoutError))
        async with asyncio.timeout(_START_SECONDS):
            while house.is_running:
                if (house.folder / "house.json").exists():
                    told = house.told()
                    if all([await _listens(getattr(told, door)) for door in _DOORS]):
                        return
                await asyncio.sleep(_LOOK_SECONDS)
    words = (house.folder / "supervisor.log").read_text()[-2000:]
    raise CannotRun(f"the house of the drill did not start:\n{words}")
