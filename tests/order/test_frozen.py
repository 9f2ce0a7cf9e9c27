"""A process that stands still in the middle of a transaction holds up nobody for long."""

import asyncio
import signal
import sys
from pathlib import Path

from services.order.database import LONGEST_SECONDS, Change, Connection, Database
from tests.order import freezing
from tests.order.client import Order
from tests.support.wait import until


def is_stopped(pid: int) -> bool:
    """Whether a signal stopped the process."""
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "T"


async def test_a_process_frozen_within_a_flight_lets_go_of_its_customers(
    order: Order, postgres_url: str
) -> None:
    """A real process, stopped by SIGSTOP with the lock of a customer."""
    before = await order.place("alice")
    command = ["-m", freezing.__name__, postgres_url, "alice", "1.0"]
    frozen = await asyncio.create_subprocess_exec(
        sys.executable, *command, stdout=asyncio.subprocess.PIPE
    )
    try:
        await until(lambda: is_stopped(frozen.pid))

        after = await order.place("alice")

        assert after.trade_id != before.trade_id
        assert is_stopped(frozen.pid)
        frozen.send_signal(signal.SIGCONT)
        told, _ = await frozen.communicate()
        assert told.decode().split("\n")[-2:] == ["attempts: 2", ""]
    finally:
        if frozen.returncode is None:
            frozen.kill()


async def test_whatever_changes_trades_is_bounded_in_time(postgres_url: str) -> None:
    database = Database(postgres_url, read_connections=1)
    await database.open()

    async def longest(connection: Connection) -> str:
        cursor = await connection.execute("SHOW transaction_timeout")
        [(found,)] = await cursor.fetchall()
        return str(found)

    for change in Change:
        assert await database.run(change, longest) == f"{LONGEST_SECONDS:.0f}s"
    await database.close()
