"""Mistakes about requests that race, to plant one at a time: races that find none are blind."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from typing import Any
from unittest import mock

from msgspec import structs

import services.execution.replacing as replacing
import services.execution.report_wire as report_wire
import services.execution.reports as reports
import services.order.domain.journal as journal
import services.order.domain.outcomes as outcomes
from libs.reasons import Reason
from services.execution.domain.report import CancelRejected, Ended, EndKind, Report
from services.order.domain import lifecycle
from services.order.domain.lifecycle import TABLE, Event, State


@contextmanager
def too_late_taken_for_canceled() -> Iterator[None]:
    """An order that could not be canceled any more counts as canceled."""
    read = report_wire.report_from

    def mistaken(message: Any) -> Report:
        report = read(message)
        if not isinstance(report.news, CancelRejected):
            return report
        canceled = Ended(EndKind.CANCELED, Reason.REASON_CANCELED_BY_CUSTOMER, "")
        return structs.replace(report, news=canceled)

    with mock.patch.object(report_wire, "report_from", mistaken):
        yield


@contextmanager
def fill_forgets_the_cancel() -> Iterator[None]:
    """A fill in part makes a pending cancel an order like any other: a wrong table."""
    row = {**TABLE[State.PENDING_CANCEL], Event.FILLED_IN_PART: State.PARTIALLY_FILLED}
    with mock.patch.object(lifecycle, "TABLE", {**TABLE, State.PENDING_CANCEL: row}):
        yield


@contextmanager
def last_fill_answers_nothing() -> Iterator[None]:
    """An order filled before its cancel came is filled; the cancel is not answered."""
    with mock.patch.object(outcomes, "tell_too_late", lambda _, verdict: verdict):
        yield


@contextmanager
def replaced_in_name_only() -> Iterator[None]:
    """What the exchange replaced goes on with its old terms in the house."""
    with mock.patch.object(journal, "with_terms", lambda trade, _: trade):
        yield


@contextmanager
def hold_not_freed_down() -> Iterator[None]:
    """What a replace does not need any more stays held."""
    with mock.patch.object(reports, "freed", return_value=None):
        yield


@contextmanager
def hold_not_raised() -> Iterator[None]:
    """The exchange is asked for more than is held."""
    with mock.patch.object(replacing, "raised", return_value=None):
        yield


@dataclass(frozen=True, slots=True)
class Found:
    """By which promises a mistake is found, in races of which kinds."""

    by: tuple[str, ...]
    among: tuple[str, ...]


_CANCELS = ("cancel against fill", "cancel against fills", "cancel over replace")
_REPLACES = ("replace against fill", "replace against fills", "replace of a replace")
MISTAKES: Mapping[Callable[[], AbstractContextManager[None]], Found] = {
    too_late_taken_for_canceled: Found(("I5", "I12", "I15", "I16", "I17"), _CANCELS),
    fill_forgets_the_cancel: Found(("I14", "I15", "I16"), _CANCELS),
    last_fill_answers_nothing: Found(("I14", "I15"), _CANCELS),
    replaced_in_name_only: Found(("I5", "I9", "I12", "I16", "I17"), _REPLACES),
    hold_not_freed_down: Found(("I4", "I16"), _REPLACES),
    hold_not_raised: Found(("I4", "I5", "I9", "I12", "I16"), _REPLACES),
}
