"""A writer of the books that freezes itself in the middle of a batch, with the books locked.

    python -m tests.ledger.freezing DATABASE_URL

It writes a deposit of 3, then freezes (SIGSTOP) within one of 5: its connection was cut, so that
one is decided a second time, now under the lock. Whoever lets it go on (SIGCONT) reads on its
standard output what became of it.
"""

import asyncio
import os
import signal
import sys
from datetime import datetime

import psycopg

from libs.clock import SystemClock
from libs.ids import SystemIds
from libs.refusals import Unavailable
from services.ledger.tenure import Tenure
from services.ledger.writer import Writer
from tests.ledger.memory import paid_in

CUT = """
    SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity
    WHERE application_name = 'ledger-writer' AND datname = current_database()
"""


class Freezing:
    """Asked for the time the last of so many times, it stops the process."""

    def __init__(self) -> None:
        self._clock = SystemClock()
        self.monotonic = self._clock.monotonic
        self.sleep = self._clock.sleep
        self.times = 0

    def now(self) -> datetime:
        self.times -= 1
        if self.times == 0:
            os.kill(os.getpid(), signal.SIGSTOP)
        return self._clock.now()


async def write(database_url: str) -> str:
    """What became of the batch."""
    clock, ids = Freezing(), SystemIds(SystemClock())

    async def on_change(is_writer: bool) -> None:
        pass

    tenure = Tenure(database_url, clock=clock, on_change=on_change)
    writer = Writer(database_url, tenure=tenure, clock=clock, max_items=500, max_queued=20_000)
    await tenure.begin()
    await writer.take([paid_in(3, called=ids.new())])
    async with await psycopg.AsyncConnection.connect(database_url) as connection:
        await connection.execute(CUT)
    clock.times = 2
    try:
        (result,) = await writer.take([paid_in(5, called=ids.new())])
    except Unavailable as refusal:
        return str(refusal)
    finally:
        await writer.close()
        await tenure.end()
    return f"written: {result}"


if __name__ == "__main__":
    sys.stdout.write(asyncio.run(write(sys.argv[1])))
