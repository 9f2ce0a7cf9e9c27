"""The exchange and the books against each other, and the books against themselves."""

from collections import Counter, defaultdict
from collections.abc import Iterator

from services.chaos.domain.history import CASH, Entry, Event, Fill, History, Journal
from services.chaos.domain.verdict import Claim, Violation

_CUSTOMER = "customer/"


def check_fills(history: History) -> Iterator[Violation]:
    """Each fill of the exchange is told to its customer and posted, once each; nothing else is."""
    told = {
        event.fill.execution_id: event.fill
        for events in history.events.values()
        for event in events
        if event.fill is not None
    }
    posted = Counter(
        transfer.reference.partition("/")[2]
        for transfer in history.journal.transfers
        if transfer.kind == "execution" and transfer.is_done
    )
    there = {fill.execution_id: fill for fill in history.venue.fills}
    for execution_id, fill in there.items():
        yield from _compare(fill, told.get(execution_id), posted[execution_id])
    for execution_id in told.keys() - there.keys():
        words = f"execution {execution_id} was told, and the exchange knows of none"
        yield Violation(Claim.DOUBLE, told[execution_id].trade_id, words)
    for execution_id in posted.keys() - there.keys():
        yield Violation(Claim.DOUBLE, execution_id, "posted, and the exchange knows of none")


def _compare(fill: Fill, told: Fill | None, times_posted: int) -> Iterator[Violation]:
    if told is None:
        words = f"execution {fill.execution_id} of the exchange was never told"
        yield Violation(Claim.LOST, fill.trade_id, words)
    elif told != fill:
        yield Violation(Claim.BOOKS, fill.trade_id, f"told as {told}, executed as {fill}")
    if times_posted == 0:
        words = f"execution {fill.execution_id} of the exchange is not posted"
        yield Violation(Claim.LOST, fill.trade_id, words)
    elif times_posted > 1:
        words = f"execution {fill.execution_id} is posted {times_posted} times"
        yield Violation(Claim.DOUBLE, fill.trade_id, words)


def check_amendments(history: History) -> Iterator[Violation]:
    """What the exchange took back is told and posted, once each; nothing else is."""
    told = {
        event.amendment.amendment_id: event.amendment
        for events in history.events.values()
        for event in events
        if event.amendment is not None
    }
    posted = Counter(  # behind an id and a space stands which try it was
        transfer.reference.partition("/")[2].partition(" ")[0]
        for transfer in history.journal.transfers
        if transfer.kind in ("bust", "correction") and transfer.is_done
    )
    there = {amendment.amendment_id: amendment for amendment in history.venue.amendments}
    for id_, amendment in there.items():
        if told.get(id_) != amendment:
            words = f"amended as {amendment}, told as {told.get(id_)}"
            yield Violation(Claim.LOST, amendment.execution_id, words)
        if posted[id_] != 1:
            claim = Claim.DOUBLE if posted[id_] else Claim.LOST
            words = f"its amendment {id_} is posted {posted[id_]} times"
            yield Violation(claim, amendment.execution_id, words)
    for id_ in (told.keys() | posted.keys()) - there.keys():
        yield Violation(Claim.DOUBLE, id_, "the exchange knows of no such amendment")


def check_ends(history: History) -> Iterator[Violation]:
    """When all is settled, a trade is over, or in doubt because the exchange has not ended it."""
    for customer, events in history.events.items():
        latest: dict[str, Event] = {event.trade_id: event for event in events}
        for trade_id, event in latest.items():
            if event.is_terminal:
                continue
            if not event.in_doubt:
                words = f"still {event.status} at {customer}'s"
                yield Violation(Claim.STUCK, trade_id, words)
            elif trade_id in history.venue.ended:
                words = f"in doubt at {customer}'s, and the exchange has ended it"
                yield Violation(Claim.STUCK, trade_id, words)


def check_balances(journal: Journal) -> Iterator[Violation]:
    """Never negative, no version missing, each balance from the one before, each asset adds up."""
    latest: dict[tuple[str, str], Entry] = {}
    sums: dict[tuple[int, str], int] = defaultdict(int)
    for entry in journal.entries:
        key = entry.account, entry.asset
        name = f"{entry.account} {entry.asset}"
        if entry.has_floor and entry.balance_after < max(entry.held_after, 0):
            words = f"version {entry.version}: {entry.balance_after}, {entry.held_after} held"
            yield Violation(Claim.NEGATIVE, name, words)
        before = latest.get(key)
        version, balance = (before.version, before.balance_after) if before else (0, 0)
        if (entry.version, entry.balance_after) != (version + 1, balance + entry.amount):
            words = f"version {entry.version} does not follow from version {version}"
            yield Violation(Claim.BOOKS, name, words)
        latest[key] = entry
        sums[entry.seq, entry.asset] += entry.amount
    for (seq, asset), amount in sums.items():
        if amount:
            yield Violation(Claim.BOOKS, f"transfer {seq}", f"makes {amount} {asset} of nothing")


def check_holds(history: History) -> Iterator[Violation]:
    """Nothing is set aside any more for a trade that is over."""
    changes = _changes_of_held(history.journal)
    left: dict[str, int] = defaultdict(int)
    for transfer in history.journal.transfers:
        if transfer.is_done:
            hold_id = transfer.transfer_id if transfer.kind == "hold" else transfer.hold_id
            left[hold_id] += changes[transfer.seq]
    over = {
        event.trade_id
        for events in history.events.values()
        for event in events
        if event.is_terminal
    }
    for trade_id, amount in left.items():
        if amount and trade_id in over:
            yield Violation(Claim.BOOKS, trade_id, f"is over, and {amount} are still held for it")


def _changes_of_held(journal: Journal) -> dict[int, int]:
    """Transfer -> by how much it changed what is held."""
    changes: dict[int, int] = defaultdict(int)
    latest: dict[tuple[str, str], int] = defaultdict(int)
    for entry in journal.entries:
        key = entry.account, entry.asset
        changes[entry.seq] += entry.held_after - latest[key]
        latest[key] = entry.held_after
    return changes


def check_portfolios(history: History) -> Iterator[Violation]:
    """A customer has what they were given, less what the exchange's fills cost, to the micro.

    A fill counts as the exchange amended it.
    """
    amended = {amendment.execution_id: amendment for amendment in history.venue.amendments}
    expected = {
        (customer, asset): amount
        for customer, assets in history.endowments.items()
        for asset, amount in assets.items()
    }
    terms = {
        event.trade_id: (customer, event)
        for customer, events in history.events.items()
        for event in events
    }
    for fill in history.venue.fills:
        if fill.trade_id not in terms:
            continue  # check_fills tells
        customer, event = terms[fill.trade_id]
        sign = 1 if event.side == "BUY" else -1
        shares, cash = (customer, event.symbol), (customer, CASH)
        right = amended.get(fill.execution_id, fill)
        expected[shares] = expected.get(shares, 0) + sign * right.quantity
        expected[cash] = expected.get(cash, 0) - sign * right.quantity * right.price_micros
    found = {
        (entry.account.removeprefix(_CUSTOMER), entry.asset): entry.balance_after
        for entry in history.journal.entries
        if entry.account.startswith(_CUSTOMER)
    }
    for key in expected.keys() | found.keys():
        if key[0] in history.endowments and expected.get(key, 0) != found.get(key, 0):
            words = f"has {found.get(key, 0)}, the fills make it {expected.get(key, 0)}"
            yield Violation(Claim.BOOKS, " ".join(key), words)


def check_invariants(journal: Journal) -> Iterator[Violation]:
    """The house itself finds its books whole: the ledger, the gateway and reconciliation."""
    for words in journal.broken:
        yield Violation(Claim.BOOKS, words.partition(" ")[0], words)
