"""The last prices, in memory with their age; the exchange gateway is asked for them all at once."""

import asyncio
from collections.abc import Mapping
from typing import Protocol

import structlog
from prometheus_client import Gauge

from libs.clock import Clock
from libs.refusals import Unavailable
from libs.tasks import end
from services.order.domain.controls.gate import Market

_age = Gauge("order_last_prices_age_seconds", "Since the last prices were heard; 0: not asked for")
_log = structlog.get_logger()


class Quoting(Protocol):
    """Who knows the last prices."""

    async def last_prices(self) -> Mapping[str, int]:
        """Micros per share by symbol, those that have one. Raises Unavailable."""


class Prices:
    """Asks nobody until somebody needs prices; from then on every `refresh_seconds`."""

    def __init__(self, gateway: Quoting, clock: Clock, *, refresh_seconds: float) -> None:
        self._gateway = gateway
        self._clock = clock
        self._refresh_seconds = refresh_seconds
        self._last_prices: Mapping[str, int] = {}
        self._heard_at = 0.0
        self._upkeep: asyncio.Task[None] | None = None
        self._was_asked = asyncio.Event()

    async def need(self) -> None:
        """Ask now, if nobody has before, and keep asking. Waits for the first answer, or none."""
        if self._upkeep is None:
            self._upkeep = asyncio.create_task(self._keep_fresh(), name="prices")
        await self._was_asked.wait()

    async def close(self) -> None:
        """Stop asking."""
        await end(self._upkeep)

    @property
    def market(self) -> Market:
        """The prices as they are known, and how old that is."""
        return Market(self._last_prices, int(self._age_seconds() * 1000))

    def _age_seconds(self) -> float:
        return self._clock.monotonic() - self._heard_at if self._last_prices else 0.0

    async def _keep_fresh(self) -> None:
        while True:
            await self._ask()
            self._was_asked.set()
            await self._clock.sleep(self._refresh_seconds)

    async def _ask(self) -> None:
        """They stay as they are, and grow old, while the gateway does not answer."""
        asked_at = self._clock.monotonic()
        try:
            self._last_prices = await self._gateway.last_prices()
            self._heard_at = asked_at
        except Unavailable as error:
            _log.debug("prices_not_heard", error=error.text)
        except Exception:
            _log.exception("prices_failed")
        _age.set(self._age_seconds())
