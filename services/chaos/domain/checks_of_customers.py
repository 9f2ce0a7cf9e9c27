"""What a customer was told: the events of one customer, and the answers to their orders."""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence

from services.chaos.domain.history import ABOUT_WISHES, AMENDING, SCRIPTED, Ack, Event, History
from services.chaos.domain.verdict import Claim, Violation

_ANY_TIME = ABOUT_WISHES | AMENDING
# Canceled first; beyond means; refused by an exchange that misbehaves.
_EXCUSES = frozenset({"CANCELED_BY_CUSTOMER", "INSUFFICIENT_FUNDS", "EXCHANGE_REJECTED"})


def check_sequence(customer: str, events: Sequence[Event]) -> Iterator[Violation]:
    """The events are numbered 1, 2, 3, ... without gap or repeat."""
    for expected, event in enumerate(events, start=1):
        if event.seq != expected:
            words = f"event {event.seq} of {customer} stands where {expected} belongs"
            yield Violation(Claim.OUT_OF_ORDER, event.trade_id, words)
            return


def check_single_flight(customer: str, events: Sequence[Event]) -> Iterator[Violation]:
    """Trades start in the order placed, each when the one before is over, or rests.

    One that is canceled while it waits never starts.
    """
    waiting: list[str] = []
    working: str | None = None
    resting: set[str] = set()
    for event in events:
        if event.kind in _ANY_TIME or (event.trade_id in resting and event.kind != "STARTED"):
            continue
        for words in _out_of_order(event, waiting, working):
            yield Violation(Claim.OUT_OF_ORDER, event.trade_id, f"{words} of {customer}")
        if event.kind == "PLACED":
            waiting.append(event.trade_id)
        elif event.trade_id in waiting:
            waiting.remove(event.trade_id)
        if event.kind == "STARTED":
            working = event.trade_id
        if event.trade_id == working and _lets_go(event):
            resting |= set() if event.is_terminal else {event.trade_id}
            working = None


def _lets_go(event: Event) -> bool:
    """Whether the next trade may start."""
    return event.is_terminal or (event.may_rest and event.kind in ("ACCEPTED", "EXECUTED"))


def _out_of_order(event: Event, waiting: Sequence[str], working: str | None) -> Iterator[str]:
    """What is wrong with an event while these wait, oldest first, and that one is in progress."""
    if event.kind == "STARTED":
        if working is not None:
            yield f"started while {working} was in progress"
        if event.trade_id not in waiting[:1]:
            yield f"started before {waiting[:1]}, placed earlier,"
        return
    ends_waiting = event.is_terminal and event.trade_id in waiting
    if event.kind != "PLACED" and not ends_waiting and event.trade_id != working:
        yield f"{event.kind} while {working} was in progress"


def check_ends(events: Sequence[Event]) -> Iterator[Violation]:
    """A trade ends once, says why when it did not fill, and stays as it ended."""
    over: dict[str, str] = {}
    for event in events:
        if event.trade_id in over:
            is_word = event.kind in _ANY_TIME and event.status == over[event.trade_id]
            if not is_word:
                yield Violation(Claim.DOUBLE, event.trade_id, f"{event.kind} after its end")
        elif event.is_terminal:
            over[event.trade_id] = event.status
            if event.status != "FILLED" and not event.reason:
                yield Violation(Claim.STUCK, event.trade_id, f"{event.status} without a reason")


def check_fills(events: Sequence[Event]) -> Iterator[Violation]:
    """A fill is told once, so is each amendment of it, and a trade fills no more than was ordered.

    Each amendment goes on from the one before it, and what was busted is not amended any more.
    """
    told: dict[str, int] = {}
    amended: set[str] = set()
    filled: dict[str, int] = defaultdict(int)
    for event in events:
        if event.fill is not None:
            if event.fill.execution_id in told:
                words = f"execution {event.fill.execution_id} is told twice"
                yield Violation(Claim.DOUBLE, event.trade_id, words)
            told[event.fill.execution_id] = event.fill.quantity
            filled[event.trade_id] += event.fill.quantity
        if event.amendment is not None:
            named, id_ = event.amendment.execution_id, event.amendment.amendment_id
            if id_ in amended or not told.get(named):
                words = f"execution {named} is amended twice by {id_}, or after it was busted"
                yield Violation(Claim.DOUBLE, event.trade_id, words)
            amended.add(id_)
            filled[event.trade_id] += event.amendment.quantity - told.get(named, 0)
            told[named] = event.amendment.quantity
        if filled[event.trade_id] != event.filled_quantity:
            words = f"{event.filled_quantity} filled, its fills are {filled[event.trade_id]}"
            yield Violation(Claim.DOUBLE, event.trade_id, words)
        if event.filled_quantity > event.quantity:
            yield Violation(Claim.DOUBLE, event.trade_id, "filled more than was ordered")


def check_prices(events: Iterable[Event]) -> Iterator[Violation]:
    """No fill is at a worse price than the limit that the trade had then."""
    for event in events:
        if event.fill is None or not event.limit_price_micros:
            continue
        price, limit = event.fill.price_micros, event.limit_price_micros
        if price > limit if event.side == "BUY" else price < limit:
            words = f"{event.side} at a limit of {limit} filled at {price}"
            yield Violation(Claim.BOOKS, event.trade_id, words)


def check_scripts(events: Iterable[Event]) -> Iterator[Violation]:
    """An order that the exchange has a script for ends as that says, or as its customer wished."""
    for event in events:
        expected = SCRIPTED.get(event.symbol)
        if expected is None or not event.is_terminal or event.kind in _ANY_TIME:
            continue
        if (event.status, event.reason) != expected and event.reason not in _EXCUSES:
            words = f"{event.symbol} ended {event.status} {event.reason}"
            yield Violation(Claim.BOOKS, event.trade_id, words)


def check_doubts(events: Iterable[Event]) -> Iterator[Violation]:
    """What is in doubt says since when."""
    for event in events:
        if event.in_doubt != (event.in_doubt_since > 0):
            words = f"{event.kind}: in doubt {event.in_doubt}, since {event.in_doubt_since}"
            yield Violation(Claim.STUCK, event.trade_id, words)


def check_resolved(history: History) -> Iterator[Violation]:
    """What an operator said the exchange never had was in doubt until then, and is over."""
    kinds: dict[str, list[str]] = defaultdict(list)
    for events in history.events.values():
        for event in events:
            kinds[event.trade_id].append(event.kind)
    for trade_id in history.resolved:
        if kinds[trade_id][-3:] != ["IN_DOUBT", "RESOLVED", "REJECTED"]:
            words = f"resolved by an operator, and its story is {kinds[trade_id]}"
            yield Violation(Claim.STUCK, trade_id, words)


def check_acks(customer: str, acks: Iterable[Ack], events: Sequence[Event]) -> Iterator[Violation]:
    """Each order answered is one trade for ever: the same for each answer, and among the events."""
    trades: dict[str, set[str]] = defaultdict(set)
    placed: dict[str, set[str]] = defaultdict(set)
    for event in events:
        if event.kind == "PLACED":
            placed[event.client_order_id].add(event.trade_id)
    for ack in acks:
        trades[ack.client_order_id].add(ack.trade_id)
    for order, trade_ids in trades.items():
        for trade_id in sorted(trade_ids - placed[order]):
            words = f"order {order} of {customer} was answered, and is not among the events"
            yield Violation(Claim.LOST, trade_id, words)
    for order in trades.keys() | placed.keys():
        all_trades = trades.get(order, set()) | placed[order]
        if len(all_trades) > 1:
            words = f"order {order} of {customer} is {len(all_trades)} trades: {sorted(all_trades)}"
            yield Violation(Claim.DOUBLE, order, words)


def check_asked(history: History) -> Iterator[Violation]:
    """What is placed is what its customer asked for, and nothing else is; and something is filled.

    A drill in which nothing is filled proves nothing.
    """
    for customer, events in history.events.items():
        for event in events:
            if event.kind != "PLACED":
                continue
            asked = history.orders.get((customer, event.client_order_id))
            if asked is None:
                words = f"order {event.client_order_id} of {customer} was never asked for"
                yield Violation(Claim.DOUBLE, event.trade_id, words)
            elif asked != event.order:
                words = f"{customer} asked for {asked}, placed is {event.order}"
                yield Violation(Claim.BOOKS, event.trade_id, words)
    if not history.venue.fills:
        yield Violation(Claim.STUCK, "exchange", "nothing was filled")


def check_placing(
    customer: str, acks: Iterable[Ack], events: Sequence[Event]
) -> Iterator[Violation]:
    """Orders stand in the order in which the customer asked, one after the answer to another."""
    asked = list(dict.fromkeys(ack.client_order_id for ack in acks))
    answered = set(asked)
    placed = [event for event in events if event.kind == "PLACED"]
    placed = [event for event in placed if event.client_order_id in answered]
    for order, event in zip(asked, placed, strict=False):
        if event.client_order_id != order:
            words = f"order {event.client_order_id} of {customer} stands where {order} belongs"
            yield Violation(Claim.OUT_OF_ORDER, event.trade_id, words)
            return


def check_told_once(
    customer: str, live: Sequence[Event], again: Sequence[Event]
) -> Iterator[Violation]:
    """What was told while it happened is told again in the same words."""
    for one, other in zip(live, again, strict=False):
        if one != other:
            words = f"event {one.seq} of {customer} was {one}, and is {other} now"
            yield Violation(Claim.OUT_OF_ORDER, one.trade_id, words)
            return
    if len(live) > len(again):
        lost = live[len(again)]
        words = f"event {lost.seq} of {customer} was told, and is not there any more"
        yield Violation(Claim.LOST, lost.trade_id, words)
