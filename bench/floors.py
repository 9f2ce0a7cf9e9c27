"""What a figure is compared with: the same machine and server, doing something that all know."""

import asyncio
import re
from pathlib import Path

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
        await _run(self._url, "-i", "-q", "-s", str(self._scale))

    async def row(self, seconds: float) -> Row:
        """Transactions per second."""
        cpu = self._cpu.seconds()
        options = ("-N", "-n", "-M", "prepared", "-c", str(self._clients), "-j", "2")
        rate, count = await _rate(self._url, seconds, *options)
        cpu = self._cpu.seconds() - cpu
        return Row(name=NAME, value=rate, unit="1/s", cpu_us=1e6 * cpu / count, note=self._note)


async def pgbench_rate(url: str, script: Path, *, clients: int, seconds: float) -> float:
    """How often a second a script of pgbench is run through, each time by one of the clients."""
    options = ("-n", "-M", "prepared", "-c", str(clients), "-j", "2", "-f", str(script))
    rate, _ = await _rate(url, seconds, *options)
    return rate


async def _rate(url: str, seconds: float, *options: str) -> tuple[float, int]:
    """Transactions a second, and how many."""
    told = await _run(url, *options, "-T", str(max(1, round(seconds))))
    rate, count = re.search(r"^tps = ([\d.]+)", told, re.M), re.search(r"ed: (\d+)", told)
    if rate is None or count is None:
        raise RuntimeError(f"pgbench told no figures: {told}")
    return float(rate[1]), int(count[1])


async def _run(url: str, *options: str) -> str:
    process = await asyncio.create_subprocess_exec(
        program("pgbench"),
        *options,
        url,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    told, complaint = await process.communicate()
    if process.returncode:
        raise RuntimeError(f"pgbench: {complaint.decode()}")
    return told.decode()
