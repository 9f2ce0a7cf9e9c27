"""A member's stream: logon, then commands and acknowledgements in, reports out."""

import asyncio
from collections.abc import AsyncIterator

from libs.clock import Clock
from libs.refusals import Invalid, Refusal, Unavailable
from services.exchange_simulator import wire
from services.exchange_simulator.domain import NewOrder
from services.exchange_simulator.sessions import Connection
from services.exchange_simulator.venue import Venue
from stockbroker.common.v1.reason_pb2 import Reason
from stockbroker.exchange.v1 import exchange_service_pb2 as pb

_MAX_COMMANDS = 1000


async def serve(
    requests: AsyncIterator[pb.SessionRequest], venue: Venue, *, name: str, clock: Clock
) -> AsyncIterator[pb.SessionResponse]:
    """One stream from logon to its end. Raises the refusal it ends by."""
    logon = await _logon(requests)
    session_id = wire.session_id_from(logon.session_id)
    connection = await venue.log_on(session_id, logon.next_report_seq)
    reader = asyncio.create_task(_read(requests, venue, connection))
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


async def _read(
    requests: AsyncIterator[pb.SessionRequest], venue: Venue, connection: Connection
) -> None:
    """Hear the member out; whatever ends it ends the connection."""
    try:
        async for request in requests:
            await _hear(request, venue, connection)
    except Refusal as refusal:
        connection.end(refusal)
    except Exception:
        connection.end(Unavailable(Reason.REASON_UNAVAILABLE, "the stream could not be read"))
        raise
    else:
        connection.end()


async def _hear(request: pb.SessionRequest, venue: Venue, connection: Connection) -> None:
    kind = request.WhichOneof("message")
    if kind == "commands":
        await venue.take(connection, _commands_from(request.commands))
    elif kind == "acknowledge":
        venue.acknowledge(connection, request.acknowledge.report_seq)
    else:
        raise _broken("after logon come commands and acknowledgements only")


def _commands_from(message: pb.SessionRequest.Commands) -> list[tuple[int, NewOrder]]:
    if len(message.commands) > _MAX_COMMANDS:
        raise _broken(f"a message holds more than {_MAX_COMMANDS} commands")
    commands = []
    for command in message.commands:
        if command.WhichOneof("command") != "new_order":
            raise _broken(f"command {command.seq} is none this exchange knows")
        commands.append((command.seq, wire.order_from(command.new_order)))
    return commands


def _broken(text: str) -> Invalid:
    return Invalid(Reason.REASON_INVALID_REQUEST, text)
