"""What a batch writes: how far sessions move, and the reports they get."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime

from services.exchange_simulator.domain import Filing, Report
from services.exchange_simulator.keeping import Advance, ReportRow
from services.exchange_simulator.reports_wire import Stamp, add_report
from services.exchange_simulator.sessions import Session
from services.exchange_simulator.store import Sequences
from services.exchange_simulator.wire import timestamp_to
from stockbroker.exchange.v1 import exchange_pb2
from stockbroker.exchange.v1 import exchange_service_pb2 as pb


@dataclass(slots=True)
class Progress:
    """How far a batch moves a session, and the reports it gets, in one message."""

    session_id: str
    before: Sequences
    next_command_seq: int
    next_report_seq: int
    message: pb.SessionResponse = field(default_factory=pb.SessionResponse)

    @property
    def told(self) -> Sequence[exchange_pb2.ExecutionReport]:
        """The reports."""
        return self.message.reports.reports

    @property
    def has_moved(self) -> bool:
        """Whether there is any news."""
        return self.next_command_seq > self.before.next_command_seq or bool(self.told)

    def advance(self) -> Advance:
        """The move to keep."""
        after = replace(
            self.before,
            next_command_seq=self.next_command_seq,
            next_report_seq=self.next_report_seq,
        )
        return Advance(self.session_id, self.before, after)


class Clerk:
    """Numbers reports made `now`. `next_id` gives ids that are unique for ever."""

    def __init__(
        self, sessions: Mapping[str, Session], *, next_id: Callable[[], str], now: datetime
    ) -> None:
        self._sessions = sessions
        self.next_id = next_id
        self.now = now
        self._now = timestamp_to(now)
        self._progress: dict[str, Progress] = {}
        self.reports: list[ReportRow] = []

    def moved(self) -> list[Progress]:
        """The sessions with news, by id."""
        return [p for _, p in sorted(self._progress.items()) if p.has_moved]

    def touched(self) -> list[str]:
        """The sessions that were looked at."""
        return list(self._progress)

    def progress(self, session_id: str) -> Progress:
        """How far a session is, which must be known."""
        progress = self._progress.get(session_id)
        if progress is None:
            before = self._sessions[session_id].sequences()
            progress = Progress(session_id, before, before.next_command_seq, before.next_report_seq)
            self._progress[session_id] = progress
        return progress

    def tell(self, session_id: str, filing: Filing, report: Report) -> None:
        """One more report for a session."""
        progress = self.progress(session_id)
        seq, exec_id = progress.next_report_seq, self.next_id()
        progress.next_report_seq = seq + 1
        told = add_report(progress.message, filing, report, Stamp(seq, exec_id, self._now))
        self.reports.append(
            ReportRow(
                session_id,
                seq,
                filing.client_order_id,
                exec_id,
                report.exec_type,
                report.last_quantity if report.change is None else report.change,
                report.last_price_micros,
                told.SerializeToString(),
            )
        )
