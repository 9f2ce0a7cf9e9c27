"""Orders that go by script: their steps become reports, as those of the market do."""

from collections.abc import Container

from msgspec.structs import replace

from services.exchange_simulator.book import SELL, Book
from services.exchange_simulator.domain import (
    Ending,
    ExecType,
    RejectReason,
    Report,
    TimeInForce,
)
from services.exchange_simulator.hearing import Hearing
from services.exchange_simulator.market import Market
from services.exchange_simulator.plans import Fill, Take, go_on, most_cost, plan_of
from services.exchange_simulator.scripts import Script
from services.exchange_simulator.working import Working

_CENT = 10_000
_MAX_NOTIONAL = Ending(
    RejectReason.MAX_NOTIONAL, "the fills of its script cost more than the order may"
)
_END_OF_DAY = Ending(RejectReason.EXPIRED, "the day is over")


def begin(told: Hearing, working: Working, script: Script, market: Market) -> None:
    """A new order goes by this script from now on."""
    price = working.limit or working.stop or _price_of(market, working.order.side)
    if _is_too_much(working, most_cost(script, price=price, quantity=working.quantity)):
        told.tell(working, Report(ExecType.REJECTED, ending=_MAX_NOTIONAL))
        return
    plan = plan_of(script, price=price, quantity=working.quantity)
    working = replace(working, plan=plan)
    told.blotter.put(working)
    if not plan.wait_ms:
        perform(told, working)


def perform(told: Hearing, working: Working) -> None:
    """Do the steps of an order whose time has come."""
    assert working.plan is not None
    steps, plan = go_on(working.plan, quantity=working.quantity, filled=working.filled)
    working = replace(working, plan=plan)
    told.blotter.put(working)
    for step in steps:
        if isinstance(step, Take):
            told.tell(working, Report(ExecType.NEW, leaves_quantity=working.left))
        elif isinstance(step, Fill):
            if working.is_waiting:
                working = told.elect(working)
            price = working.limit or working.stop or plan.price
            if _is_too_much(working, price * (working.filled + step.quantity)):
                told.end(working, ExecType.CANCELED, _MAX_NOTIONAL)
                return
            working = told.fill(working, step.quantity, price)
        else:
            told.end(working, step.kind, step.ending)


def end_day(told: Hearing, stay: Container[int]) -> None:
    """DAY orders that go by script expire but those of these numbers."""
    day = [w for w in told.blotter if w.plan and w.order.time_in_force == TimeInForce.DAY]
    for working in sorted(day, key=lambda working: working.place):
        if working.number not in stay:
            told.end(working, ExecType.EXPIRED, _END_OF_DAY)


def _is_too_much(working: Working, cost: int) -> bool:
    return 0 < working.max_notional < cost


def _price_of(market: Market, side: int) -> int:
    """What the book would give a share for now, else what the symbol was listed at; micros."""
    best = _against(market.book, side)
    return best if best else market.instrument.reference_cents * _CENT


def _against(book: Book, side: int) -> int:
    level = (book.bids if side == SELL else book.asks).best()
    return level.price if level is not None else 0
