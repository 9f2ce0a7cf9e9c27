"""Stops: sent and filled because a price met them, and for no other cause, whoever waited."""

from collections.abc import Iterator

from services.chaos.domain.history import HeldStop, History
from services.chaos.domain.verdict import Claim, Violation


def triggered(history: History) -> frozenset[str]:
    """The trades whose stop price was met, as the house or the exchange has it on record."""
    by_house = (stop.trade_id for stop in history.gateway.held if stop.is_triggered)
    return history.venue.triggered.union(by_house)


def check_held(history: History) -> Iterator[Violation]:
    """A stop that the house held went to the exchange if and only if a price is on record for it.

    It went there as an order without a stop price.
    """
    for stop in history.gateway.held:
        if _is_met(stop) is not stop.is_triggered:
            words = f"{stop} has a trigger and was not triggered, or the other way round"
            yield Violation(Claim.BOOKS, stop.trade_id, words)
        sent = history.venue.terms.get(stop.trade_id)
        if sent is None and stop.is_triggered:
            words = "a stop that the house held was triggered and never sent"
            yield Violation(Claim.LOST, stop.trade_id, words)
        if sent is not None and not stop.is_triggered:
            words = "a stop that the house held was sent, and nothing had triggered it"
            yield Violation(Claim.DOUBLE, stop.trade_id, words)
        elif sent is not None and sent.stop_price_micros:
            words = "a stop that the house held was sent as a stop"
            yield Violation(Claim.DOUBLE, stop.trade_id, words)


def _is_met(stop: HeldStop) -> bool:
    price = stop.trigger_price_micros
    if stop.side == "BUY":
        return price >= stop.stop_price_micros
    return 0 < price <= stop.stop_price_micros


def check_triggers(history: History) -> Iterator[Violation]:
    """No stop has a fill that nothing triggered."""
    met = triggered(history)
    for events in history.events.values():
        for event in events:
            if event.is_stop and event.fill is not None and event.trade_id not in met:
                words = f"{event.order_type} filled by {event.fill}, and nothing had triggered it"
                yield Violation(Claim.BOOKS, event.trade_id, words)
