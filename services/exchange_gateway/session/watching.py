"""Follows what trades at the venue while the house holds stops; else it does nothing at all."""

import asyncio
from collections.abc import Collection, Mapping
from typing import NoReturn

import structlog

from services.exchange_gateway.domain.held import Market, Span, Waiting, span_of
from services.exchange_gateway.domain.watchlist import Watchlist
from services.exchange_gateway.session.floor import Floor
from services.exchange_gateway.session.together import together
from services.exchange_gateway.venues import MarketWatch, VenueAway

_HOURS_SECONDS = 1.0
_log = structlog.get_logger()


class Watching:
    """The market as it is heard, the stops that wait, and those that were met.

    Over a connection of its own. Once that is lost nothing is known of the market, and after the
    next one the last price decides. It rings the bell for stops that are met, when the hours
    change, and when it begins to hear of a symbol that new stops want.
    """

    def __init__(self, floor: Floor) -> None:
        self._floor = floor
        self.market = Market()
        self._watchlist = Watchlist()
        self._wanted: set[str] = set()
        self._met: dict[str, Span] = {}
        self._has_some, self._has_none = asyncio.Event(), asyncio.Event()

    def __len__(self) -> int:
        return len(self._watchlist)

    def want(self, symbols: Collection[str]) -> None:
        """New stops in these, and in no others, cannot be accepted before they are followed."""
        self._wanted = set(symbols)
        self._note()

    def put(self, waiting: Waiting) -> None:
        """This waits, like this; what the market did meanwhile counts."""
        self._watchlist.put(waiting)
        self._note()
        self._look(waiting.symbol, self.market.last(waiting.symbol))

    def drop(self, trade_id: str) -> None:
        """This waits no more."""
        self._watchlist.drop(trade_id)
        self._note()

    def take_met(self) -> Mapping[str, Span]:
        """Those that were met since they were taken last, by what."""
        met, self._met = self._met, {}
        return met

    def put_back(self, met: Mapping[str, Span]) -> None:
        """Nothing was decided of these yet; the latest trades that met one decide."""
        self._met = {**met, **self._met}

    async def run(self) -> NoReturn:
        """Work for ever."""
        while True:
            await self._has_some.wait()
            try:
                async with self._floor.venue.watch_market() as watch:
                    await together(self._hear(watch), self._follow_hours(watch), self._until_idle())
            except VenueAway as lost:
                _log.warning("market_lost", error=str(lost))
                await self._floor.clock.sleep(self._floor.rhythm.retry_most_seconds)
            finally:
                self.market.forget()

    async def _hear(self, watch: MarketWatch) -> None:
        async for tick in watch.ticks():
            self.market.hear(tick)
            self._look(tick.symbol, span_of(tick))
            if tick.symbol in self._wanted:
                self._floor.bell.ring()

    async def _follow_hours(self, watch: MarketWatch) -> None:
        while True:
            hours = await watch.hours()
            if hours != self.market.hours:
                self.market.hours = hours
                for symbol in self._watchlist.symbols:
                    self._look(symbol, self.market.last(symbol))
                self._floor.bell.ring()
            await self._floor.clock.sleep(_HOURS_SECONDS)

    async def _until_idle(self) -> None:
        await self._has_none.wait()

    def _look(self, symbol: str, span: Span | None) -> None:
        """Note what these trades meet, if an order could come in now."""
        if span is None or self.market.objection(symbol) is not None:
            return
        met = self._watchlist.met(symbol, span)
        if met:
            self._met.update(dict.fromkeys(met, span))
            self._floor.bell.ring()

    def _note(self) -> None:
        if self._watchlist or self._wanted:
            self._has_some.set()
            self._has_none.clear()
        else:
            self._has_some.clear()
            self._has_none.set()
