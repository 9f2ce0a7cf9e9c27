"""A small recorded history in which every promise is kept, to be spoiled by tests."""

from collections.abc import Sequence

from services.chaos.domain.history import (
    Ack,
    Entry,
    Event,
    Fill,
    History,
    Journal,
    Order,
    Transfer,
    Venue,
)

ALICE = "alice"
GIVEN = {"USD": 1_000, "KO": 10}
FIRST, SECOND = "trade-1", "trade-2"


def event(seq: int, kind: str, trade_id: str, status: str, **more: object) -> Event:
    """An event of a BUY (the first trade) or SELL (the second) of 2 KO."""
    is_first = trade_id == FIRST
    terms: dict[str, object] = {
        "client_order_id": "o-1" if is_first else "o-2",
        "side": "BUY" if is_first else "SELL",
        "symbol": "KO",
        "quantity": 2,
    }
    return Event(seq=seq, kind=kind, trade_id=trade_id, status=status, **terms | more)  # type: ignore[arg-type]


BOUGHT = Fill("E1", FIRST, 2, 60)
SOLD = Fill("E2", SECOND, 2, 50)

STORY = (
    event(1, "PLACED", FIRST, "PLACED"),
    event(2, "PLACED", SECOND, "PLACED"),
    event(3, "STARTED", FIRST, "IN_PROGRESS"),
    event(4, "ACCEPTED", FIRST, "IN_PROGRESS"),
    event(5, "EXECUTED", FIRST, "FILLED", filled_quantity=2, fill=BOUGHT),
    event(6, "STARTED", SECOND, "IN_PROGRESS"),
    event(7, "ACCEPTED", SECOND, "IN_PROGRESS"),
    event(8, "EXECUTED", SECOND, "FILLED", filled_quantity=2, fill=SOLD),
)


def asked_for(story: Sequence[Event]) -> dict[tuple[str, str], Order]:
    """The orders that make such a story Alice's."""
    placed = [one.order for one in story if one.kind == "PLACED"]
    return {(ALICE, order.client_order_id): order for order in placed}


def entries(*, after: Sequence[tuple[int, str, str, int, int]]) -> list[Entry]:
    """Of (transfer, account, asset, amount, held after), in order."""
    made: list[Entry] = []
    latest: dict[tuple[str, str], Entry] = {}
    for seq, account, asset, amount, held in after:
        before = latest.get((account, asset))
        entry = Entry(
            seq=seq,
            account=account,
            asset=asset,
            version=before.version + 1 if before else 1,
            amount=amount,
            balance_after=(before.balance_after if before else 0) + amount,
            held_after=held,
            has_floor=account.startswith("customer/"),
        )
        latest[account, asset] = entry
        made.append(entry)
    return made


CUSTOMER, DEPOSITS, CLEARING = f"customer/{ALICE}", "house/deposits", "house/clearing"
ENTRIES = entries(
    after=[
        (1, DEPOSITS, "USD", -1_000, 0),
        (1, CUSTOMER, "USD", 1_000, 0),
        (2, DEPOSITS, "KO", -10, 0),
        (2, CUSTOMER, "KO", 10, 0),
        (3, CUSTOMER, "USD", 0, 1_000),
        (4, CUSTOMER, "USD", -120, 0),
        (4, CLEARING, "USD", 120, 0),
        (4, CLEARING, "KO", -2, 0),
        (4, CUSTOMER, "KO", 2, 0),
        (5, CUSTOMER, "KO", 0, 2),
        (6, CUSTOMER, "KO", -2, 0),
        (6, CLEARING, "KO", 2, 0),
        (6, CLEARING, "USD", -100, 0),
        (6, CUSTOMER, "USD", 100, 0),
    ]
)


def transfer(seq: int, kind: str, name: str, **more: object) -> Transfer:
    """One that was done."""
    terms: dict[str, object] = {"is_done": True} | more
    return Transfer(seq=seq, kind=kind, transfer_id=name, **terms)  # type: ignore[arg-type]


TRANSFERS = (
    transfer(1, "deposit", "d-1"),
    transfer(2, "deposit_shares", "d-2"),
    transfer(3, "hold", FIRST),
    transfer(4, "execution", "p-1", hold_id=FIRST, reference="XSIM/E1"),
    transfer(5, "hold", SECOND),
    transfer(6, "execution", "p-2", hold_id=SECOND, reference="XSIM/E2"),
)

GOOD = History(
    endowments={ALICE: GIVEN},
    acks=(Ack(ALICE, "o-1", FIRST), Ack(ALICE, "o-2", SECOND), Ack(ALICE, "o-1", FIRST)),
    events={ALICE: STORY},
    venue=Venue((BOUGHT, SOLD), frozenset({FIRST, SECOND})),
    journal=Journal(TRANSFERS, ENTRIES),
    orders=asked_for(STORY),
)
