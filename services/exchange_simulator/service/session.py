"""A member's stream: logon, then commands and acknowledgements in, reports out."""

import asyncio
from collections.abc import AsyncIterator

from libs.clock import Clock
from libs.refusals import Invalid, Refusal, Unavailable
from services.exchange_simulator import wire
from services.exchange_simulator.domain import Command
from services.exchange_simulator.sessions import Connection
from services.exchange_simulator.venue import Venue
from stockbroker.common.v1.reason_pb2 import Reason
from stockbroker.exchange.v1 import exchange_service_pb2 as pb

_MAX_COMMANDS = 1000
_MAX_MESSAGES = 64  # being kept at once, for one member


async def serve(
    requests: AsyncIterator[pb.SessionRequest], venue: Venue, *, name: str, clock: Clock
) -> AsyncIterator[pb.SessionResponse]:
    """One stream from logon to its end. Raises the refusal it ends by."""
    logon = await _logon(requests)
    session_id = wire.session_id_from(logon.session_id)
    connection = await venue.log_on(session_id, logon.next_report_seq)
    reader = asyncio.create_task(_Reader(venue, connection).run(requests))
    try:
        logged_on = pb.SessionResponse.LoggedOn(
            next_command_seq=connection.next_command_seq,
            next_report_seq=connection.missed.stop,
            venue=name,
        )
        yield pb.SessionResponse(logged_on=logged_on)
        async for response in venue.missed_reports(connection):
            yield response
        async for response in connection.messages(clock):
            yield response
    finally:
        reader.cancel()
        venue.log_off(connection)


async def _logon(requests: AsyncIterator[pb.SessionRequest]) -> pb.SessionRequest.Logon:
    async for request in requests:
        if request.WhichOneof("message") == "logon":
            return request.logon
        break
    raise _broken("a session begins with logon")


class _Reader:
    """Hears the member out; whatever ends it ends the connection.

    It reads on while commands are being kept, so that many messages share a transaction.
    """

    def __init__(self, venue: Venue, connection: Connection) -> None:
        self._venue = venue
        self._connection = connection
        self._window = asyncio.Semaphore(_MAX_MESSAGES)
        self._taking: set[asyncio.Task[None]] = set()

    async def run(self, requests: AsyncIterator[pb.SessionRequest]) -> None:
        """Until the member has no more to say, or breaks the rules."""
        try:
            async for request in requests:
                await self._hear(request)
            if self._taking:
                await asyncio.wait(self._taking)
        except Refusal as refusal:
            self._connection.end(refusal)
        except Exception:
            self._connection.end(_unreadable())
            raise
        else:
            self._connection.end()

    async def _hear(self, request: pb.SessionRequest) -> None:
        kind = request.WhichOneof("message")
        if kind == "commands":
            commands = _commands_from(request.commands)
            await self._window.acquire()
            taking = asyncio.create_task(self._venue.take(self._connection, commands))
            self._taking.add(taking)
            taking.add_done_callback(self._taken)
        elif kind == "acknowledge":
            self._venue.acknowledge(self._connection, request.acknowledge.report_seq)
        else:
            raise _broken("after logon come commands and acknowledgements only")

    def _taken(self, taking: asyncio.Task[None]) -> None:
        self._taking.discard(taking)
        self._window.release()
        error = None if taking.cancelled() else taking.exception()
        if error is not None:
            self._connection.end(error if isinstance(error, Refusal) else _unreadable())


def _commands_from(
    message: pb.SessionRequest.Commands,
) -> list[tuple[int, Command | None]]:
    if len(message.commands) > _MAX_COMMANDS:
        raise _broken(f"a message holds more than {_MAX_COMMANDS} commands")
    return [(command.seq, _command_from(command)) for command in message.commands]


def _command_from(command: pb.SessionRequest.Command) -> Command | None:
    """What is commanded; None: it only uses its number up."""
    known = wire.command_from_member(command)
    nothing = pb.SessionRequest.Command(seq=command.seq)
    if known is None and command.ByteSize() > nothing.ByteSize():
        raise _broken(f"command {command.seq} is none this exchange knows")
    return known


def _broken(text: str) -> Invalid:
    return Invalid(Reason.REASON_INVALID_REQUEST, text)


def _unreadable() -> Unavailable:
    return Unavailable(Reason.REASON_UNAVAILABLE, "the commands could not be taken")
