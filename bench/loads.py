"""What the ledger is asked to do: operations as its doors would hand them to the writer."""

import random
from collections.abc import Callable, Iterator

from libs.clock import SystemClock
from libs.ids import SystemIds
from services.ledger.domain import deeds
from services.ledger.domain.books import AccountKey, Kind
from services.ledger.domain.operations import Leg, Operation, PlaceHold, Post

# What a caller does in one go: calls, one after the other.
Load = Callable[[int], Iterator[list[Operation]]]
ASSET = "USD"
SYMBOL = "AAPL"
HOT = 1

_ids = SystemIds(SystemClock())
_random = random.Random(20261121)


def customer(number: int) -> str:
    """The id of a customer whom the books are seeded with."""
    return f"c{number}"


class Loads:
    """`accounts`: how many customers there are; of them the first is the hot one."""

    def __init__(self, accounts: int) -> None:
        self._accounts = accounts

    def spread(self, size: int) -> Iterator[list[Operation]]:
        """Transfers between two customers, any of all."""
        yield [self._transfer(self._anyone(), self._anyone()) for _ in range(size)]

    def hot(self, size: int) -> Iterator[list[Operation]]:
        """Transfers from one and the same customer to any of all."""
        yield [self._transfer(HOT, self._anyone()) for _ in range(size)]

    def holds(self, size: int) -> Iterator[list[Operation]]:
        """Holds on any of all, then a transfer out of each that frees the rest."""
        yield from self._held([self._anyone() for _ in range(size)])

    def hot_holds(self, size: int) -> Iterator[list[Operation]]:
        """The same, all on one customer."""
        yield from self._held([HOT] * size)

    def fills(self, size: int) -> Iterator[list[Operation]]:
        """Holds on any of all, then a fill of each: cash against shares."""
        owners = [self._anyone() for _ in range(size)]
        holds = [_hold(owner, 2_000) for owner in owners]
        yield list(holds)
        yield [_fill(owner, hold.id) for owner, hold in zip(owners, holds, strict=True)]

    def pair(self) -> tuple[str, str, str]:
        """A new id, and two accounts for a transfer."""
        source, target = self._anyone(), self._anyone()
        if source == target:
            target = 2 if source == self._accounts else source + 1
        return _ids.new(), f"customer/{customer(source)}", f"customer/{customer(target)}"

    def _held(self, owners: list[int]) -> Iterator[list[Operation]]:
        holds = [_hold(owner, 2) for owner in owners]
        yield list(holds)
        yield [
            self._transfer(owner, self._anyone(), hold_id=hold.id)
            for owner, hold in zip(owners, holds, strict=True)
        ]

    def _anyone(self) -> int:
        return int(_random.random() * (self._accounts - 1)) + 2

    def _transfer(self, source: int, target: int, *, hold_id: str | None = None) -> Operation:
        if source == target:
            target = 2 if source == self._accounts else source + 1
        move = Leg(
            debited=AccountKey(f"customer/{customer(source)}", ASSET),
            credited=AccountKey(f"customer/{customer(target)}", ASSET),
            amount=1,
            from_hold=hold_id is not None,
        )
        return Post(
            id=_ids.new(),
            kind=Kind.TRANSFER,
            legs=(move,),
            hold_id=hold_id,
            frees_rest=hold_id is not None,
        )


def _hold(owner: int, amount: int) -> PlaceHold:
    account = AccountKey(f"customer/{customer(owner)}", ASSET)
    return PlaceHold(id=_ids.new(), account=account, amount=amount)


def _fill(owner: int, trade_id: str) -> Operation:
    return deeds.execution(
        deeds.Execution(
            venue="XSIM",
            execution_id=trade_id,
            trade_id=trade_id,
            customer_id=customer(owner),
            side=deeds.BUY,
            symbol=SYMBOL,
            quantity=2,
            price_micros=1_000,
            executed_at=None,
            releases_rest=True,
        )
    )
