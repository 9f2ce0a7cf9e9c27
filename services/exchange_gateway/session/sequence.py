"""Puts a venue's reports in sequence: repeats fall away, what runs ahead waits for its turn."""

from collections.abc import Sequence

from services.exchange_gateway.domain import Report


class ReportSequence:
    """The numbers of a session's reports.

    The gateway numbers reports 1, 2, 3, ... for ever: the venue's number + `offset`, which is how
    many reports operators wrote, unless the venue has lost its memory and numbers anew.

    >>> from services.exchange_gateway.domain import Kind
    >>> def report(seq):
    ...     return Report(seq, "", Kind.ACCEPTED, "", 1, "", "", 0, 0, 0, 0, None, "", b"")
    >>> sequence = ReportSequence(next_seq=1, offset=0)
    >>> [r.venue_seq for r in sequence.arrange([report(2)])], sequence.has_gap
    ([], True)
    >>> [r.venue_seq for r in sequence.arrange([report(1), report(1)])], sequence.has_gap
    ([1, 2], False)
    """

    def __init__(self, *, next_seq: int, offset: int) -> None:
        self.next_seq = next_seq
        self.offset = offset
        self.repeats = 0
        self._ahead: dict[int, Report] = {}  # by the venue's number

    @property
    def next_venue_seq(self) -> int:
        """The first report that is missing, in the venue's numbers."""
        return self.next_seq - self.offset

    @property
    def has_gap(self) -> bool:
        """Whether later reports are here and wait for a missing one."""
        return bool(self._ahead)

    @property
    def ahead(self) -> int:
        """How many wait."""
        return len(self._ahead)

    def arrange(self, reports: Sequence[Report]) -> list[Report]:
        """The next reports in sequence, as far as they are here; next_seq moves past them."""
        following = range(self.next_venue_seq, self.next_venue_seq + len(reports))
        if not self._ahead and [report.venue_seq for report in reports] == list(following):
            self.next_seq += len(reports)
            return list(reports)
        for report in reports:
            seq = report.venue_seq
            if seq < self.next_venue_seq or seq in self._ahead:
                self.repeats += 1
            else:
                self._ahead[seq] = report
        run = []
        while (found := self._ahead.pop(self.next_venue_seq, None)) is not None:
            run.append(found)
            self.next_seq += 1
        return run

    def write_in(self) -> None:
        """The next number is taken by a report that is not the venue's; its own are not moved."""
        self.next_seq += 1
        self.offset += 1

    def restart(self) -> None:
        """Forget what waits: the venue sends it again."""
        self._ahead.clear()

    def renumber(self, venue_next: int) -> None:
        """The venue's next new report gets `venue_next`, for it has forgotten the ones after it."""
        self.offset = self.next_seq - venue_next
