"""Waits for orders that go by script, and says when the next step of one has come."""

import asyncio
from collections.abc import Awaitable, Callable, Iterable

import structlog

from libs import tasks
from libs.clock import Clock
from libs.refusals import Unavailable
from services.exchange_simulator.plans import Plan
from services.exchange_simulator.working import Working

_RETRY_SECONDS = 0.5
_log = structlog.get_logger()


class Prompter:
    """One wait per order. `prompt` is told its id and the plan it waited with; it may be over."""

    def __init__(self, clock: Clock, prompt: Callable[[str, Plan], Awaitable[None]]) -> None:
        self._clock = clock
        self._prompt = prompt
        self._waits: dict[tuple[str, Plan], asyncio.Task[None]] = {}

    def note(self, orders: Iterable[Working]) -> None:
        """Wait for those that have a wait before them, from now on unless they are waited for."""
        for working in orders:
            plan = working.plan
            if plan is None or plan.wait_ms < 0:
                continue
            key = working.order.client_order_id, plan
            if key not in self._waits:
                self._waits[key] = asyncio.create_task(self._wait(*key), name="prompt")

    async def close(self) -> None:
        """Wait no more."""
        await tasks.end(*self._waits.values())

    async def _wait(self, client_order_id: str, plan: Plan) -> None:
        await self._clock.sleep(plan.wait_ms / 1000)
        while True:
            try:
                await self._prompt(client_order_id, plan)
                break
            except Unavailable:
                await self._clock.sleep(_RETRY_SECONDS)
            except Exception:
                # Whatever it was: no order stands still for ever because of it.
                _log.exception("step_failed", client_order_id=client_order_id)
                await self._clock.sleep(_RETRY_SECONDS)
        del self._waits[client_order_id, plan]
