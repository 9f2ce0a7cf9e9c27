"""All checks: every promise, judged by what was seen from outside."""

from collections import defaultdict
from collections.abc import Sequence

from services.chaos.domain import checks_of_books as books
from services.chaos.domain import checks_of_customers as customers
from services.chaos.domain import checks_of_replaces as replaces
from services.chaos.domain import checks_of_stops as stops
from services.chaos.domain.history import Ack, Event, History
from services.chaos.domain.verdict import Violation


def check_customer(customer: str, acks: Sequence[Ack], events: Sequence[Event]) -> list[Violation]:
    """What can be judged of one customer at any moment."""
    return [
        *customers.check_sequence(customer, events),
        *customers.check_single_flight(customer, events),
        *customers.check_ends(events),
        *customers.check_fills(events),
        *customers.check_prices(events),
        *customers.check_scripts(events),
        *customers.check_doubts(events),
        *replaces.check_terms(events),
        *replaces.check_requests(events),
        *customers.check_acks(customer, acks, events),
        *customers.check_placing(customer, acks, events),
    ]


def check(history: History) -> list[Violation]:
    """Every breach in a history that is complete: trading has ended and everything has settled."""
    acks: dict[str, list[Ack]] = defaultdict(list)
    for ack in history.acks:
        acks[ack.customer].append(ack)
    names = {**history.endowments, **history.events, **acks}
    return [
        *(
            violation
            for name in names
            for violation in check_customer(name, acks[name], history.events.get(name, ()))
        ),
        *customers.check_asked(history),
        *customers.check_resolved(history),
        *replaces.check_replaces(history),
        *replaces.check_answers(history),
        *replaces.check_agreement(history),
        *stops.check_held(history),
        *stops.check_triggers(history),
        *books.check_fills(history),
        *books.check_amendments(history),
        *books.check_ends(history),
        *books.check_balances(history.journal),
        *books.check_holds(history),
        *books.check_portfolios(history),
        *books.check_invariants(history.journal),
    ]
