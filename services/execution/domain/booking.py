"""What becomes of reports on their way into the books.

A report is booked, cannot be true, or could not be booked now and is to come again. Once a report
of a trade has to come again, so has every later one of that trade: they stay in order.
"""

from collections.abc import Iterable, Sequence
from enum import IntEnum

import msgspec

from services.execution.domain.report import Fill, Report, flaw_of

# From this number on a reason says what the house cannot do now, not what is wrong with the item.
_FIRST_PASSING_REASON = 400


class Code(IntEnum):
    """What was done with a report; numbers of the contract."""

    APPLIED = 1
    IMPOSSIBLE = 2
    LATER = 3


class Booking(msgspec.Struct, frozen=True, gc=False):
    """What was done with a report, and why it was not booked in words."""

    code: Code
    detail: str = ""


APPLIED = Booking(Code.APPLIED)


def code_of(reason: int) -> Code:
    """What a reason of the ledger means for a report.

    >>> code_of(0).name, code_of(205).name, code_of(402).name
    ('APPLIED', 'IMPOSSIBLE', 'LATER')
    """
    if not reason:
        return Code.APPLIED
    return Code.LATER if reason >= _FIRST_PASSING_REASON else Code.IMPOSSIBLE


def stages(reports: Sequence[Report], indices: Iterable[int]) -> tuple[list[int], list[int]]:
    """Of these fills, those to book first, and last fills that come behind others of their trade.

    A last fill frees the rest of the hold, so all before it must be in the books.
    """
    first: list[int] = []
    closing: list[int] = []
    seen: set[str] = set()
    for index in indices:
        report = reports[index]
        is_last = isinstance(report.news, Fill) and report.news.is_last
        (closing if is_last and report.trade_id in seen else first).append(index)
        seen.add(report.trade_id)
    return first, closing


class Sheet:
    """A batch of reports, and what was found of them so far."""

    def __init__(self, reports: Sequence[Report]) -> None:
        self.reports = reports
        self._found: dict[int, Booking] = {}
        self._late: dict[str, int] = {}
        for index, report in enumerate(reports):
            flaw = flaw_of(report)
            if flaw:
                self._found[index] = Booking(Code.IMPOSSIBLE, flaw)

    def note(self, index: int, booking: Booking) -> None:
        """What one step found of a report; it is booked when no step finds anything else."""
        if booking.code is Code.APPLIED:
            return
        self._found[index] = booking
        if booking.code is Code.LATER:
            trade_id = self.reports[index].trade_id
            self._late[trade_id] = min(index, self._late.get(trade_id, index))

    def sound(self, indices: Iterable[int]) -> list[int]:
        """Those of them that may go on to the next step."""
        if not self._found:
            return list(indices)
        left = []
        for index in indices:
            if index in self._found:
                continue
            first = self._late.get(self.reports[index].trade_id, index)
            if first < index:
                why = self._found[first].detail
                self._found[index] = Booking(Code.LATER, f"behind one that comes again: {why}")
            else:
                left.append(index)
        return left

    def bookings(self) -> list[Booking]:
        """One per report, in the order given."""
        return [self._found.get(index, APPLIED) for index in range(len(self.reports))]
