"""All sessions the exchange has to do with: where they stand, and what is sent to them."""

from collections.abc import Iterable, Mapping

from prometheus_client import Counter

from libs.clock import Clock
from libs.refusals import Conflict, Refusal, Unavailable
from services.exchange_simulator.clerk import Progress
from services.exchange_simulator.faults import Faults
from services.exchange_simulator.sessions import Connection, Session
from services.exchange_simulator.store import Sequences
from stockbroker.common.v1.reason_pb2 import Reason
from stockbroker.exchange.v1 import exchange_service_pb2 as pb

_commands = Counter("exchange_commands", "Commands of members kept")
_reports = Counter("exchange_reports", "Reports told to members")


class Roll:
    """Sessions by id: those that are connected, and those whose orders work."""

    def __init__(self, faults: Faults, clock: Clock) -> None:
        self._faults = faults
        self._clock = clock
        self._sessions: dict[str, Session] = {}

    @property
    def sessions(self) -> Mapping[str, Session]:
        """Where they stand."""
        return self._sessions

    def served_by(self, connection: Connection) -> Session | None:
        """The session that this connection serves; None: it serves none any more."""
        session = self._sessions.get(connection.session_id)
        return session if session is not None and session.connection is connection else None

    def enter(self, sequences: Sequences, connection: Connection) -> None:
        """A new connection serves its session; an older one ends."""
        older = self._sessions.get(connection.session_id)
        self._sessions[connection.session_id] = Session(sequences, connection)
        if older is not None and older.connection is not None:
            text = "a newer connection of the session serves it now"
            older.connection.end(Conflict(Reason.REASON_UNAVAILABLE, text))

    def leave(self, connection: Connection) -> None:
        """This connection is no more."""
        connection.end()
        session = self.served_by(connection)
        if session is not None:
            session.connection = None

    def learn(self, sequences: Mapping[str, Sequences]) -> None:
        """Where sessions stand that were not known."""
        for session_id, stands in sequences.items():
            self._sessions.setdefault(session_id, Session(stands))

    def unknown(self, session_ids: Iterable[str]) -> list[str]:
        """Those of them of which it is not known where they stand."""
        return [session_id for session_id in session_ids if session_id not in self._sessions]

    def cut_off(self, session_ids: Iterable[str], refusal: Refusal | None) -> None:
        """End sessions whose batch was not kept, and forget where they stood."""
        text = "the exchange could not keep the commands"
        fault = Unavailable(Reason.REASON_UNAVAILABLE, text)
        for session_id in session_ids:
            session = self._sessions.pop(session_id, None)
            if session is not None and session.connection is not None:
                session.connection.end(refusal or fault)

    def tell(self, progress: Progress) -> None:
        """A batch is kept: move the session and send what came of it."""
        session = self._sessions.get(progress.session_id)
        if session is None:
            return  # gone meanwhile; it hears at its next logon
        moved = progress.next_command_seq - session.next_command_seq
        _commands.inc(moved)
        _reports.inc(len(progress.told))
        session.next_command_seq = progress.next_command_seq
        session.next_report_seq = progress.next_report_seq
        if session.connection is None:
            return
        if moved:
            kept = pb.SessionResponse.CommandsKept(command_seq=progress.next_command_seq - 1)
            session.connection.send(pb.SessionResponse(commands_kept=kept))
        if progress.told:
            self._send(session.connection, progress.message)

    def disturbed(self, message: pb.SessionResponse) -> pb.SessionResponse:
        """Reports as they are sent, disturbed if the script says so."""
        reports = message.reports.reports
        sent = self._faults.disturb(reports)
        if sent is reports:
            return message
        return pb.SessionResponse(reports=pb.SessionResponse.Reports(reports=sent))

    def _send(self, connection: Connection, message: pb.SessionResponse) -> None:
        if self._faults.hangs_up():
            connection.end(
                Unavailable(Reason.REASON_UNAVAILABLE, "ended by the operator's script of faults")
            )
            return
        delay = self._faults.delay_seconds()
        not_before = self._clock.monotonic() + delay if delay else 0.0
        connection.send(self.disturbed(message), not_before=not_before)
