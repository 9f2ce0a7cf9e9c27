"""Stops that the house holds itself: whether they may stand, when they are met, what is sent."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from enum import IntEnum

import msgspec

from libs.held import held_id
from services.exchange_gateway.domain.market import Hours, Tick
from services.exchange_gateway.domain.orders import (
    Order,
    OrderType,
    Reason,
    Side,
    Terms,
    TimeInForce,
)
from services.exchange_gateway.domain.replaces import Asked, Replace, Revision
from services.exchange_gateway.domain.reports import Kind, Report

_STOPS = (OrderType.STOP, OrderType.STOP_LIMIT)
_WORDS = {
    Reason.UNKNOWN_SYMBOL: "the exchange does not list it",
    Reason.MARKET_CLOSED: "the exchange is closed",
    Reason.SYMBOL_HALTED: "trading in it is halted",
    Reason.EXPIRED: "the day is over",
    Reason.CANCELED_BY_CUSTOMER: "canceled before its price traded",
}


class Phase(IntEnum):
    """How far a held stop has come. NEW: neither accepted nor refused. OVER: it is never sent."""

    NEW = 1
    WAITS = 2
    TRIGGERED = 3
    OVER = 4


@dataclass(frozen=True, slots=True)
class Span:
    """Prices that traded: the lowest and the highest of them, micros per share."""

    lowest: int
    highest: int


@dataclass(frozen=True, slots=True)
class Waiting:
    """What must be known of a stop to see that it is met."""

    trade_id: str
    symbol: str
    side: int
    stop_price_micros: int


class Market:
    """The venue's market as it was heard. What was not heard of triggers nothing."""

    def __init__(self) -> None:
        self.hours: Hours | None = None
        self._ticks: dict[str, Tick] = {}

    def hear(self, tick: Tick) -> None:
        """How a symbol stands now."""
        self._ticks[tick.symbol] = tick

    def forget(self) -> None:
        """Nothing is known any more."""
        self.hours = None
        self._ticks.clear()

    def follows(self, symbol: str) -> bool:
        """Whether what trades in it is heard of."""
        return self.hours is not None and symbol in self._ticks

    def objection(self, symbol: str) -> Reason | None:
        """Why no order may come in it now; None: it may."""
        tick = self._ticks.get(symbol)
        if tick is None:
            return Reason.UNKNOWN_SYMBOL
        if self.hours is None or not self.hours.is_open:
            return Reason.MARKET_CLOSED
        return Reason.SYMBOL_HALTED if tick.is_halted else None

    def last(self, symbol: str) -> Span | None:
        """The last price; None: nothing traded so far, or it was not heard of."""
        tick = self._ticks.get(symbol)
        price = tick.last_price_micros if tick is not None else 0
        return Span(price, price) if price else None


@dataclass(frozen=True, slots=True)
class HeldStop:
    """A stop that the house holds, and what is asked for it: `replaces` have no answer yet.

    `day_mark`: it ends with the first day that ends after this; None before it is accepted.
    """

    order: Order
    phase: Phase
    is_canceled: bool
    day_mark: datetime | None
    replaces: Sequence[Asked] = ()

    @property
    def waiting(self) -> Waiting:
        """As it waits."""
        terms = self.order.terms
        return Waiting(self.order.trade_id, terms.symbol, terms.side, terms.stop_price_micros)


@dataclass(frozen=True, slots=True)
class Said:
    """What the house reports of a stop in place of the venue."""

    kind: Kind
    reason: Reason | None = None
    answers: Asked | None = None
    revision: Revision | None = None


@dataclass(frozen=True, slots=True)
class Decision:
    """What becomes of a stop: what is said of it, and how it stands then.

    TRIGGERED: by `price_micros`, micros per share.
    """

    stop: HeldStop
    said: Sequence[Said] = ()
    price_micros: int = 0


def is_stop(terms: Terms) -> bool:
    """Whether an order waits for its price."""
    return terms.order_type in _STOPS and terms.stop_price_micros > 0


def elected(terms: Terms) -> Terms:
    """What is sent of a stop that is met: a STOP becomes a MARKET, a STOP_LIMIT a LIMIT order."""
    is_at_market = terms.order_type == OrderType.STOP
    order_type = OrderType.MARKET if is_at_market else OrderType.LIMIT
    return msgspec.structs.replace(terms, order_type=order_type, stop_price_micros=0)


def is_met(side: int, stop_price_micros: int, span: Span) -> bool:
    """Whether trades at these prices trigger it: at or above for a BUY, at or below for a SELL.

    >>> is_met(Side.BUY, 20, Span(18, 20)), is_met(Side.SELL, 17, Span(18, 20))
    (True, False)
    """
    if side == Side.BUY:
        return span.highest >= stop_price_micros
    return span.lowest <= stop_price_micros


def span_of(tick: Tick) -> Span | None:
    """All that is known to have traded by this tick, the last price included; None: nothing."""
    prices = (tick.lowest_micros, tick.highest_micros, tick.last_price_micros)
    traded = [price for price in prices if price]
    return Span(min(traded), max(traded)) if traded else None


def decide(
    stop: HeldStop, market: Market, *, fresh: Market | None, met: Span | None, today: int
) -> Decision | None:
    """What becomes of a stop now; None: not to be said yet.

    `fresh`: what the venue answered just now, by which a new one is judged; None: nothing. `met`:
    trades that met it as it stood. `today`: the UTC day, with which a new one may be over.
    """
    if (ended := _ended_here(stop, today)) is not None:
        return ended
    symbol, said = stop.order.terms.symbol, list[Said]()
    if stop.phase is Phase.NEW:
        if fresh is None or fresh.hours is None:
            return None
        reason = fresh.objection(symbol)
        if reason is not None:
            return _over(stop, Kind.REJECTED, reason)
        if not market.follows(symbol):
            return None
        said.append(Said(Kind.ACCEPTED))
        stop = replace(stop, phase=Phase.WAITS, day_mark=fresh.hours.day_mark)
        seen, spans = fresh, [fresh.last(symbol), market.last(symbol)]
    else:
        seen, spans = market, [market.last(symbol), None if stop.replaces else met]
    for asked in stop.replaces:
        stop = _revised(stop, asked)
        said.append(Said(Kind.REPLACED, answers=asked, revision=_revision(stop.order.terms)))
    stop = replace(stop, replaces=())
    if _is_over(stop, seen.hours):
        return _over(stop, Kind.EXPIRED, Reason.EXPIRED, said)
    price = 0 if seen.objection(symbol) else _trigger(stop.waiting, spans)
    phase = Phase.TRIGGERED if price else Phase.WAITS
    return Decision(replace(stop, phase=phase), said, price)


def write(stop: HeldStop, said: Said, *, at_nanos: int) -> Report:
    """The report of it; without bytes and without a venue's number."""
    terms, is_open = stop.order.terms, said.kind in (Kind.ACCEPTED, Kind.REPLACED)
    return Report(
        venue_seq=0,
        trade_id=stop.order.trade_id,
        kind=said.kind,
        symbol=terms.symbol,
        side=terms.side,
        exchange_order_id=held_id(stop.order.trade_id),
        execution_id="",
        quantity=0,
        price_micros=0,
        leaves_quantity=terms.quantity if is_open else 0,
        executed_at_nanos=at_nanos,
        reason=said.reason,
        reason_text=_WORDS[said.reason] if said.reason is not None else "",
        raw=b"",
        command_seq=said.answers.command_seq if said.answers is not None else 0,
        revision=said.revision,
    )


def as_told(asked: Replace, former_stop_micros: int) -> Replace:
    """What a venue is asked for that knows a triggered stop as an order without stop price.

    A stop price that stays as it was is not mentioned; another one the venue refuses.
    """
    if asked.revision.stop_price_micros != former_stop_micros:
        return asked
    return replace(asked, revision=replace(asked.revision, stop_price_micros=0))


def _ended_here(stop: HeldStop, today: int) -> Decision | None:
    """The end of one that needs no market for it; None: it has not ended."""
    if stop.is_canceled:
        return _over(stop, Kind.CANCELED, Reason.CANCELED_BY_CUSTOMER)
    if stop.phase is Phase.NEW and stop.order.is_over(today):
        return _over(stop, Kind.EXPIRED, Reason.EXPIRED)
    return None


def _over(stop: HeldStop, kind: Kind, reason: Reason, said: Sequence[Said] = ()) -> Decision:
    return Decision(replace(stop, phase=Phase.OVER), [*said, Said(kind, reason)])


def _is_over(stop: HeldStop, hours: Hours | None) -> bool:
    if hours is None or stop.order.terms.time_in_force != TimeInForce.DAY:
        return False
    return stop.day_mark is not None and hours.day_ended_at > stop.day_mark


def _trigger(waiting: Waiting, spans: Sequence[Span | None]) -> int:
    """The price that meets it; 0: none does."""
    for span in spans:
        if span is not None and is_met(waiting.side, waiting.stop_price_micros, span):
            return span.highest if waiting.side == Side.BUY else span.lowest
    return 0


def _revised(stop: HeldStop, asked: Asked) -> HeldStop:
    terms, wanted = stop.order.terms, asked.revision
    terms = msgspec.structs.replace(
        terms,
        quantity=wanted.quantity,
        limit_price_micros=wanted.limit_price_micros or terms.limit_price_micros,
        stop_price_micros=wanted.stop_price_micros or terms.stop_price_micros,
        max_notional_micros=wanted.max_notional_micros or terms.max_notional_micros,
    )
    return replace(stop, order=msgspec.structs.replace(stop.order, terms=terms))


def _revision(terms: Terms) -> Revision:
    return Revision(
        terms.quantity,
        terms.limit_price_micros,
        terms.stop_price_micros,
        terms.max_notional_micros,
    )
