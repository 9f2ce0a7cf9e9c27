"""Other terms for orders that work: each asked for, answered and in force once, everywhere."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence

from services.chaos.domain.history import Event, History, ReplaceAck, Terms
from services.chaos.domain.verdict import Claim, Violation

_ANSWERS = frozenset({"REPLACED", "REPLACE_REJECTED"})


def check_terms(events: Sequence[Event]) -> Iterator[Violation]:
    """A trade has the terms and the id it was placed with, but for those of its last replace."""
    latest: dict[str, tuple[str, Terms]] = {}
    for event in events:
        trade_id = event.trade_id
        expected = latest.get(trade_id, (event.client_order_id, event.terms))
        if event.kind == "REPLACED" and event.replace_terms is not None:
            expected = event.replace_id, event.replace_terms
        if (event.client_order_id, event.terms) != expected:
            words = f"{event.kind} with {event.client_order_id} {event.terms}, not {expected}"
            yield Violation(Claim.BOOKS, trade_id, words)
        latest[trade_id] = event.client_order_id, event.terms


def check_requests(events: Sequence[Event]) -> Iterator[Violation]:
    """One replace of a trade at a time, answered once, and none that was not asked for.

    A trade that waits for its turn has other terms without being asked about.
    """
    started: set[str] = set()
    pending: dict[str, str] = {}
    for event in events:
        trade_id, asked = event.trade_id, pending.get(event.trade_id)
        if event.kind == "STARTED":
            started.add(trade_id)
        elif event.kind == "REPLACE_REQUESTED":
            if asked is not None:
                words = f"{event.replace_id} is asked for while {asked} has no answer"
                yield Violation(Claim.OUT_OF_ORDER, trade_id, words)
            pending[trade_id] = event.replace_id
        elif event.kind in _ANSWERS and trade_id in started:
            if asked != event.replace_id:
                words = f"{event.kind} {event.replace_id}, and what is asked for is {asked}"
                yield Violation(Claim.DOUBLE, trade_id, words)
            pending.pop(trade_id, None)


def check_replaces(history: History) -> Iterator[Violation]:
    """What was answered to a customer is told, for that trade, on those terms, with one outcome."""
    told: dict[tuple[str, str], Event] = {}
    outcomes: Counter[tuple[str, str]] = Counter()
    for customer, events in history.events.items():
        for event in filter(lambda event: event.replace_id, events):
            told[customer, event.replace_id] = event
            outcomes[customer, event.replace_id] += event.kind in _ANSWERS
    for ack in dict.fromkeys(history.replaces):
        yield from _look_for(ack, told.get((ack.customer, ack.client_order_id)))
    for (customer, replace_id), times in outcomes.items():
        if times != 1:
            claim = Claim.DOUBLE if times else Claim.STUCK
            words = f"replace {replace_id} of {customer} has {times} outcomes"
            yield Violation(claim, told[customer, replace_id].trade_id, words)


def _look_for(ack: ReplaceAck, told: Event | None) -> Iterator[Violation]:
    name = f"replace {ack.client_order_id} of {ack.customer}"
    if told is None:
        words = f"{name} was answered, and is not among the events"
        yield Violation(Claim.LOST, ack.trade_id, words)
    elif told.trade_id != ack.trade_id:
        yield Violation(Claim.DOUBLE, ack.trade_id, f"{name} is of {told.trade_id} too")
    elif not _is_asked(ack.asked, told):
        words = f"{name} asked for {ack.asked}, told as {told.replace_terms}"
        yield Violation(Claim.BOOKS, ack.trade_id, words)


def _is_asked(asked: Terms, event: Event) -> bool:
    """Whether the terms told are those asked for: 0 is kept, what is filled cannot be less."""
    told = event.replace_terms
    if told is None:
        return False
    pairs = (
        (asked.limit_price_micros, told.limit_price_micros),
        (asked.stop_price_micros, told.stop_price_micros),
    )
    is_quantity = told.quantity in (asked.quantity, event.filled_quantity) or not asked.quantity
    return is_quantity and all(price in (0, there) for price, there in pairs)


def check_answers(history: History) -> Iterator[Violation]:
    """No service waits for an answer any more."""
    for trade_id, words in history.unanswered:
        yield Violation(Claim.STUCK, trade_id, words)


def check_agreement(history: History) -> Iterator[Violation]:
    """The gateway and the exchange have the terms of a trade that is over as its customer does."""
    last = {
        event.trade_id: event
        for events in history.events.values()
        for event in events
        if event.is_terminal
    }
    for event in last.values():
        yield from _compare(event, history.gateway.terms, "the gateway")
        yield from _compare(event, history.venue.terms, "the exchange")
    for trade_id in history.venue.terms.keys() - history.gateway.terms.keys():
        words = "the exchange has an order that the gateway knows nothing of"
        yield Violation(Claim.DOUBLE, trade_id, words)


def _compare(event: Event, theirs: Mapping[str, Terms], who: str) -> Iterator[Violation]:
    """A stop price is not compared where it is 0: it was met, or the house waits with it."""
    their = theirs.get(event.trade_id)
    if their is None:
        return
    ours = event.terms
    quantity = max(their.quantity, event.filled_quantity)
    agrees = (quantity, their.limit_price_micros) == (ours.quantity, ours.limit_price_micros)
    if not agrees or their.stop_price_micros not in (0, ours.stop_price_micros):
        yield Violation(Claim.BOOKS, event.trade_id, f"ended with {ours}, {who} has {their}")
