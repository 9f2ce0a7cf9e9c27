"""Which symbols are traded: as the exchange gateway says, kept in the database, held in memory."""

import asyncio
from collections.abc import Iterable
from typing import Protocol

import structlog
from tenacity import AsyncRetrying, retry_if_exception_type, wait_random_exponential

from libs.clock import Clock
from libs.refusals import Unavailable
from libs.tasks import end
from services.order import refusals
from services.order.database import Database
from services.order.domain.instrument import Instrument
from services.order.store.instruments import InstrumentShelf

_log = structlog.get_logger()
_RETRY_SECONDS = 1.0


class Gateway(Protocol):
    """Who knows what is traded."""

    async def list_instruments(self) -> list[Instrument]:
        """The whole list. Raises Unavailable."""


class Instruments:
    """The list of this process.

    It is asked for again every `refresh_seconds`, and for a symbol it does not have, then at most
    once a second: so a newly listed symbol can be traded at once and a wrong one costs little.
    """

    def __init__(
        self, gateway: Gateway, database: Database, clock: Clock, *, refresh_seconds: float
    ) -> None:
        self._gateway = gateway
        self._database = database
        self._clock = clock
        self._refresh_seconds = refresh_seconds
        self._tradable: frozenset[str] = frozenset()
        self._asked_at = float("-inf")
        self._asking: asyncio.Task[None] | None = None
        self._upkeep: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Take the list from the database, waiting for it, and begin to ask the gateway."""
        wait = wait_random_exponential(multiplier=0.1, max=2)
        patience = AsyncRetrying(retry=retry_if_exception_type(Unavailable), wait=wait)
        self._hold(await patience(self._take_down))
        self._upkeep = asyncio.create_task(self._keep_fresh(), name="instruments")

    async def close(self) -> None:
        """Stop asking."""
        await end(self._upkeep, self._asking)

    @property
    def are_known(self) -> bool:
        """Whether a list was ever heard, by this process or one before it."""
        return bool(self._tradable)

    def are_listed(self, symbols: Iterable[str]) -> bool:
        """Whether orders are taken in all of them by the list as it is."""
        return self._tradable.issuperset(symbols)

    async def is_tradable(self, symbol: str) -> bool:
        """Whether orders are taken in it. Raises Unavailable while no list was ever heard."""
        if symbol in self._tradable:
            return True
        await self._ask()
        if not self.are_known:
            raise refusals.symbols_not_known_yet()
        return symbol in self._tradable

    async def _keep_fresh(self) -> None:
        while True:
            await self._ask()
            await self._clock.sleep(self._refresh_seconds if self.are_known else _RETRY_SECONDS)

    async def _ask(self) -> None:
        """Ask now, unless it was asked within the last second; join in when asking is under way."""
        if self._asking is None or self._asking.done():
            if self._clock.monotonic() - self._asked_at < _RETRY_SECONDS:
                return
            self._asked_at = self._clock.monotonic()
            self._asking = asyncio.create_task(self._refresh(), name="instruments-refresh")
        await asyncio.shield(self._asking)

    async def _refresh(self) -> None:
        """The list stays as it is while the gateway or the database does not answer."""
        try:
            heard = await self._gateway.list_instruments()
            if heard:
                self._hold(heard)
                await self._shelve(heard)
        except Unavailable as error:
            _log.debug("instruments_not_heard", error=error.text)
        except Exception:
            _log.exception("instruments_failed")

    async def _take_down(self) -> list[Instrument]:
        async with self._database.connection() as connection:
            return await InstrumentShelf(connection).all()

    async def _shelve(self, instruments: list[Instrument]) -> None:
        async with self._database.connection() as connection:
            await InstrumentShelf(connection).replace(instruments, at=self._clock.now())

    def _hold(self, instruments: list[Instrument]) -> None:
        tradable = frozenset(each.symbol for each in instruments if each.is_tradable)
        if tradable != self._tradable:
            _log.info("instruments", tradable=len(tradable))
        self._tradable = tradable
