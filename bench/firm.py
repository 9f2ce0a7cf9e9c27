"""Who places trades one by one with what a back-end is given for that: batches on one stream."""

import asyncio
import time

from bench.callers import Customers, Gate, Run
from libs.backend import BackEnd

_PATIENCE_SECONDS = 60.0


class FirmDoor:
    """`callers` at a time, each with one trade of any customer. `address`: of who takes them."""

    def __init__(self, address: str, customers: Customers, *, callers: int) -> None:
        token = customers.back_end_token
        self._firm = BackEnd(address, lambda: token, patience_seconds=_PATIENCE_SECONDS)
        self._customers = customers
        self._callers = callers

    async def close(self) -> None:
        """Hang up."""
        await self._firm.close()

    async def run(self, seconds: float, gate: Gate) -> Run:
        """Closed loop; who is refused `OVERLOADED` is repeated, and waits as long as told."""
        run = Run(began=time.time())
        until = run.began + seconds

        async def caller() -> None:
            while True:
                await gate()
                if (due := time.time()) >= until:
                    return
                placed = await self._firm.place(*self._customers.trade())
                run.ack_seconds.append(time.time() - due)
                run.due[placed.trade_id] = due

        await asyncio.gather(*(caller() for _ in range(self._callers)))
        return run
