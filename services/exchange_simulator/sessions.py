"""A member's session in memory: where its sequences stand, and its present connection."""

import asyncio
from collections import deque
from collections.abc import AsyncIterator

from libs.clock import Clock
from libs.refusals import Refusal, Throttled
from services.exchange_simulator.store import Sequences
from stockbroker.common.v1.reason_pb2 import Reason
from stockbroker.exchange.v1 import exchange_service_pb2 as pb

MAX_UNSENT = 10_000


class Connection:
    """One stream of a session. Messages wait here until the member reads them.

    `missed` are the reports the member gets first, from the database; newer ones come by `send`.
    """

    def __init__(self, session_id: str, *, missed: range, next_command_seq: int) -> None:
        self.session_id = session_id
        self.missed = missed
        self.next_command_seq = next_command_seq
        self._unsent: deque[tuple[float, pb.SessionResponse]] = deque()
        self._wake = asyncio.Event()
        self._is_ended = False
        self._refusal: Refusal | None = None

    def send(self, response: pb.SessionResponse, *, not_before: float = 0.0) -> None:
        """Queue a message; it leaves when the monotonic clock passes `not_before`."""
        if len(self._unsent) >= MAX_UNSENT:
            self.end(Throttled(Reason.REASON_OVERLOADED, "the member does not read its reports"))
        elif not self._is_ended:
            self._unsent.append((not_before, response))
            self._wake.set()

    def end(self, refusal: Refusal | None = None) -> None:
        """Send nothing more; with a refusal the stream ends by it."""
        if not self._is_ended:
            self._is_ended, self._refusal = True, refusal
            self._unsent.clear()
            self._wake.set()

    async def messages(self, clock: Clock) -> AsyncIterator[pb.SessionResponse]:
        """What is sent, until the end. Raises the refusal it ended by."""
        while not self._is_ended:
            if not self._unsent:
                self._wake.clear()
                await self._wake.wait()
                continue
            not_before, response = self._unsent[0]
            early = not_before - clock.monotonic() if not_before else 0.0
            if early > 0:
                await clock.sleep(early)
            elif not self._is_ended:
                self._unsent.popleft()
                yield response
        if self._refusal is not None:
            raise self._refusal


class Session:
    """Where a session stands, as the database has it; acknowledged_seq may run ahead of it.

    Without a connection the member is away: it hears at its next logon.
    """

    __slots__ = ("acknowledged_seq", "connection", "next_command_seq", "next_report_seq")

    def __init__(self, sequences: Sequences, connection: Connection | None = None) -> None:
        self.next_command_seq = sequences.next_command_seq
        self.next_report_seq = sequences.next_report_seq
        self.acknowledged_seq = sequences.acknowledged_seq
        self.connection = connection

    def sequences(self) -> Sequences:
        """As the database keeps it."""
        return Sequences(self.next_command_seq, self.next_report_seq, self.acknowledged_seq)
