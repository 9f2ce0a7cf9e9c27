"""A process of the order service that freezes itself in the middle of a flight, holding a customer.

    python -m tests.order.freezing DATABASE_URL CUSTOMER LONGEST_SECONDS

It locks the customer, and freezes (SIGSTOP) before it says anything more. Whoever lets it go on
(SIGCONT) reads on its standard output how often it had to do its work.
"""

import asyncio
import os
import signal
import sys

from services.order.database import Change, Connection, Database
from services.order.store.customers import Customers


async def freeze(database_url: str, customer_id: str, longest_seconds: float) -> int:
    """How often the work was done."""
    database = Database(database_url, read_connections=1, longest_seconds=longest_seconds)
    await database.open()
    attempts = 0

    async def work(connection: Connection) -> None:
        nonlocal attempts
        attempts += 1
        await (await Customers(connection).lock_known([customer_id])).read()
        if attempts == 1:
            os.kill(os.getpid(), signal.SIGSTOP)

    await database.run(Change.PLACE, work)
    await database.close()
    return attempts


if __name__ == "__main__":
    told = asyncio.run(freeze(sys.argv[1], sys.argv[2], float(sys.argv[3])))
    sys.stdout.write(f"attempts: {told}\n")
