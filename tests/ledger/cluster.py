"""Ledgers as processes on a database server of their own: to be killed, and brought back."""

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc

from libs.embedded import Child, Postgres, Tuning, free_port
from libs.proof.checkpoint import SigningKey
from services.ledger.service import LEDGER
from tests.support.keys import Keys

ROOT = Path(__file__).parents[2]
DATABASE = "ledger"
LayOut = Callable[[Path], None]  # of the data folder


class Cluster:
    """A durable PostgreSQL and some ledgers on it. All of `start`s are of the calling thread: what
    it started ends with it."""

    def __init__(self, folder: Path, keys: Keys, *, ledgers: int) -> None:
        self.folder = folder
        tuning = Tuning(shared_buffers_mb=32, max_wal_size_mb=256)
        log = folder / "postgres.log"
        self.postgres = Postgres(folder / "postgres", tuning=tuning, log=log)
        self.addresses = [f"127.0.0.1:{free_port()}" for _ in range(ledgers)]
        SigningKey.new().write(folder / "ledger.pem", folder / "ledger.pub")
        self._keys = keys
        command = [sys.executable, "-m", "services.ledger.main"]
        self.ledgers = [
            Child(command, log=folder / f"ledger{number}.log", folder=ROOT)
            for number in range(ledgers)
        ]

    @property
    def database_url(self) -> str:
        return self.postgres.url(DATABASE)

    def start(self, lay_out: LayOut | None = None) -> None:
        """Everything, for the first time; the data is laid out before the server's first start."""
        self.postgres.prepare()
        if lay_out is not None:
            lay_out(self.folder / "postgres" / "data")
        self.postgres.start()
        self.postgres.create_role_and_database(DATABASE)
        for number in range(len(self.ledgers)):
            self.start_ledger(number)

    def start_ledger(self, number: int) -> None:
        settings = {
            "DATABASE_URL": self.database_url,
            "JWKS_FILE": self._keys.jwks_file,
            "SIGNING_KEY_FILE": str(self.folder / "ledger.pem"),
            "CHECKPOINT_FILE": str(self.checkpoint_file(number)),
            "LISTEN": self.addresses[number],
        }
        environment = {f"STOCKBROKER_{name}": value for name, value in settings.items()}
        self.ledgers[number].start({**os.environ, **environment})

    def checkpoint_file(self, number: int) -> Path:
        """Each keeps its own, as on machines of their own."""
        return self.folder / f"ledger{number}.checkpoint"

    def kill_ledger(self, number: int) -> None:
        """kill -9, and start it again."""
        self.ledgers[number].kill()
        self.start_ledger(number)

    async def kill_postgres(self) -> None:
        """kill -9 of the server, and start it again; it recovers what it has written down."""
        self.postgres.kill()
        await self.start_postgres()

    async def start_postgres(self) -> None:
        """Bring the server back, whatever it ended by."""
        await asyncio.to_thread(self.postgres.prepare)  # waits for what is left of the one before
        self.postgres.spawn()
        await asyncio.to_thread(self.postgres.wait_ready)

    async def writers(self) -> list[int]:
        """The ledgers that say that they write: one, or none for a while."""
        return [n for n, address in enumerate(self.addresses) if await is_serving(address, LEDGER)]

    def told(self) -> str:
        """All that the ledgers wrote to their logs."""
        return "".join(child.log.read_text(errors="replace") for child in self.ledgers)

    def stop(self) -> None:
        for child in self.ledgers:
            if child.is_running:
                child.stop(signal.SIGTERM)
        self.postgres.stop()


@asynccontextmanager
async def a_cluster(
    folder: Path, keys: Keys, *, ledgers: int, lay_out: LayOut | None = None
) -> AsyncIterator[Cluster]:
    """A cluster that runs."""
    cluster = Cluster(folder, keys, ledgers=ledgers)
    try:
        cluster.start(lay_out)
        yield cluster
    finally:
        cluster.stop()


async def is_serving(address: str, service: str) -> bool:
    """What a ledger says of itself; nothing said is no."""
    asked = health_pb2.HealthCheckRequest(service=service)
    async with grpc.aio.insecure_channel(address) as channel:
        health: Any = health_pb2_grpc.HealthStub(channel)  # its types name no methods
        try:
            answer = await health.Check(asked, timeout=1)
        except grpc.aio.AioRpcError:
            return False
    return bool(answer.status == health_pb2.HealthCheckResponse.SERVING)
