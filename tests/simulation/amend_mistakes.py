"""Mistakes about fills that are taken back, to plant one at a time."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from typing import Any
from unittest import mock

import services.ledger.domain.corrections as corrections
from services.execution.domain.booking import Booking, Code
from services.execution.neighbours.ledger import Ledger
from services.order.store.amendments import Amendments
from tests.simulation.mistakes import fresh


@contextmanager
def under_a_new_id() -> Iterator[None]:
    """What the ledger is asked again to take back it takes for something new."""
    with mock.patch.object(corrections, "derived", fresh):
        yield


@contextmanager
def moves_nothing() -> Iterator[None]:
    """The trade says that a fill was taken back, the books do not."""

    async def forget(_: Ledger, told: Sequence[Any]) -> list[Booking]:
        return [Booking(Code.APPLIED) for _ in told]

    with mock.patch.object(Ledger, "correct", forget):
        yield


@contextmanager
def counts_as_filled() -> Iterator[None]:
    """The books take a fill back, the trade does not."""

    async def forget(_: Amendments, trades: Sequence[Any]) -> None:
        pass

    with mock.patch.object(Amendments, "take_back", forget):
        yield


@contextmanager
def moves_back_the_fill_alone() -> Iterator[None]:
    """What a fill was corrected to before is not moved back with it."""
    moved = corrections._moved
    with mock.patch.object(corrections, "_moved", lambda standing: moved(standing[:1])):
        yield


# By which promises each is found. What is undone under a new id is parked when it is asked for
# again, and stays so.
MISTAKES: Mapping[Callable[[], AbstractContextManager[None]], tuple[str, ...]] = {
    under_a_new_id: ("I5", "I9"),
    moves_nothing: ("I5", "I18"),
    counts_as_filled: ("I5", "I9", "I15"),
    moves_back_the_fill_alone: ("I5", "I9", "I18"),
}
