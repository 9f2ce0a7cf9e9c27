"""What a figure is compared with: the same machine and server, doing something that all know."""

import asyncio
import re

from bench.cpu import Cpu
from bench.report import Row
from libs.embedded.postgres import Postgres, program

NAME = "pgbench -N"
_DATABASE = "bench_floor"
_ACCOUNTS_PER_SCALE = 100_000


class PgBench:
    """pgbench's "simple update": in a transaction of its own, one row of a million is changed and
    read, and one is added. Prepared statements, many clients."""

    def __init__(self, postgres: Postgres, *, accounts: int, clients: int = 32) -> None:
        self._url = postgres.url(_DATABASE)
        self._postgres = postgres
        self._scale = max(1, accounts // _ACCOUNTS_PER_SCALE)
        self._clients = clients
        self._note = f"prepared, {clients} clients, {self._scale * _ACCOUNTS_PER_SCALE:,} accounts"
        self._cpu = Cpu(postgres)

    async def prepare(self) -> None:
        """Make its tables."""
        self._postgres.create_role_and_database(_DATABASE)
        await self._run("-i", "-q", "-s", str(self._scale))

    async def row(self, seconds: float) -> Row:
        """Transactions per second."""
        cpu = self._cpu.seconds()
        options = ("-N", "-n", "-M", "prepared", "-c", str(self._clients), "-j", "2")
        told = await self._run(*options, "-T", str(max(1, round(seconds))))
        cpu = self._cpu.seconds() - cpu
        rate, count = re.search(r"^tps = ([\d.]+)", told, re.M), re.search(r"ed: (\d+)", told)
        if rate is None or count is None:
            raise RuntimeError(f"pgbench told no figures: {told}")
        return Row(
            name=NAME,
            value=float(rate[1]),
            unit="1/s",
            cpu_us=1e6 * cpu / int(count[1]),
            note=self._note,
        )

    async def _run(self, *options: str) -> str:
        process = await asyncio.create_subprocess_exec(
            program("pgbench"),
            *options,
            self._url,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        told, complaint = await process.communicate()
        if process.returncode:
            raise RuntimeError(f"pgbench: {complaint.decode()}")
        return told.decode()
