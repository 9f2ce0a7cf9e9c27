"""The members' side: logons, commands in batches, acknowledgements, and questions."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass

import structlog
from psycopg import AsyncConnection

from libs.batcher import Batcher
from libs.refusals import Conflict, Invalid, Refusal, Refused, Unavailable
from services.exchange_simulator import store
from services.exchange_simulator.batch import Batch, Known
from services.exchange_simulator.database import Database
from services.exchange_simulator.domain import CancelOrder, Command, NewOrder, ReplaceOrder
from services.exchange_simulator.faults import Faults
from services.exchange_simulator.roll import Roll
from services.exchange_simulator.sessions import Connection
from services.exchange_simulator.standings import Span, Standing, list_ids, read_standings
from services.exchange_simulator.trading import Trading
from services.exchange_simulator.turns import Turns
from stockbroker.common.v1.reason_pb2 import Reason
from stockbroker.exchange.v1 import exchange_pb2
from stockbroker.exchange.v1 import exchange_service_pb2 as pb

_PAGE = 500
_FLUSH_SECONDS = 0.5

_log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Parcel:
    """Commands as they came in one message, each with its number; none: the number is used up."""

    connection: Connection
    commands: Sequence[tuple[int, Command | None]]


class Venue:
    """Members' sessions."""

    def __init__(
        self, trading: Trading, turns: Turns, roll: Roll, database: Database, faults: Faults
    ) -> None:
        self._trading = trading
        self._turns = turns
        self._roll = roll
        self._database = database
        self._faults = faults
        self._batcher = Batcher[Parcel, None](self._take, max_items=200)
        self._acknowledged: dict[str, int] = {}
        self._flush: asyncio.Task[None] | None = None

    async def close(self) -> None:
        """Finish what is queued and end every session."""
        await self._batcher.close()
        for session in self._roll.sessions.values():
            if session.connection is not None:
                session.connection.end()
        if self._flush is not None:
            await self._flush

    async def log_on(self, session_id: str, next_report_seq: int) -> Connection:
        """A new connection of a session; an older one ends.

        Raises Invalid, Refused, Unavailable.
        """
        if next_report_seq < 1:
            text = "next_report_seq is not at least 1"
            raise Invalid(Reason.REASON_INVALID_SEQUENCE, text, field="next_report_seq")
        async with self._trading.turn:
            sequences = await self._database.run(
                lambda c, epoch: store.open_session(c, epoch, session_id)
            )
            below = sequences.next_report_seq
            if next_report_seq > below:
                text = f"the member has reports that were never sent: the next one is {below}"
                raise Refused(
                    Reason.REASON_INVALID_SEQUENCE,
                    text,
                    next_report_seq=str(below),
                    next_command_seq=str(sequences.next_command_seq),
                )
            acknowledged = max(sequences.acknowledged_seq, self._acknowledged.get(session_id, 0))
            first = min(next_report_seq, acknowledged + 1)
            connection = Connection(
                session_id,
                missed=range(first, below),
                next_command_seq=sequences.next_command_seq,
            )
            self._roll.enter(sequences, connection)
        _log.info("logged_on", session=session_id, missed=len(connection.missed))
        return connection

    def log_off(self, connection: Connection) -> None:
        """This connection is no more."""
        self._roll.leave(connection)

    async def missed_reports(self, connection: Connection) -> AsyncIterator[pb.SessionResponse]:
        """What the member has to hear before anything new. Raises Unavailable."""
        missed = connection.missed
        for first in range(missed.start, missed.stop, _PAGE):
            async with self._database.reader() as reader:
                below = min(first + _PAGE, missed.stop)
                bodies = await store.read_reports(reader, connection.session_id, first, below)
            reports = [exchange_pb2.ExecutionReport.FromString(body) for body in bodies]
            message = pb.SessionResponse(reports=pb.SessionResponse.Reports(reports=reports))
            yield self._roll.disturbed(message)

    async def take(
        self, connection: Connection, commands: Sequence[tuple[int, Command | None]]
    ) -> None:
        """Keep and execute commands. Raises the refusal that ends the session."""
        await self._batcher.submit(Parcel(connection, commands))

    def acknowledge(self, connection: Connection, report_seq: int) -> None:
        """The member has stored reports up to this one. Raises Invalid."""
        session = self._roll.served_by(connection)
        if session is None:
            return
        if report_seq >= session.next_report_seq:
            text = f"report {report_seq} was never sent"
            raise Invalid(Reason.REASON_INVALID_SEQUENCE, text, field="report_seq")
        if report_seq > session.acknowledged_seq and not self._faults.loses_acknowledge():
            session.acknowledged_seq = self._acknowledged[connection.session_id] = report_seq
            if self._flush is None or self._flush.done():
                self._flush = asyncio.create_task(self._keep_acknowledged())

    async def reports_of(self, client_order_id: str) -> list[exchange_pb2.ExecutionReport] | None:
        """Every report of an order, oldest first; None: never seen. Raises Unavailable."""
        async with self._database.reader() as reader:
            bodies = await store.read_reports_of_order(reader, client_order_id)
        if bodies is None:
            return None
        reports = map(exchange_pb2.ExecutionReport.FromString, bodies)
        return [report for report in reports if report.exchange_order_id]

    async def executions_of(
        self, session_id: str, after_seq: int, until_seq: int
    ) -> tuple[list[exchange_pb2.ExecutionReport], int]:
        """Fills, busts and corrections with after_seq < seq <= until_seq, and the latest number.

        Raises Unavailable.
        """
        async with self._database.reader() as reader:
            last, bodies = await store.read_executions(reader, session_id, after_seq, until_seq)
        return [exchange_pb2.ExecutionReport.FromString(body) for body in bodies], last

    async def standings_of(self, client_order_ids: Sequence[str]) -> dict[str, Standing]:
        """How those orders stand; an unknown one is left out. Raises Unavailable."""
        async with self._database.reader() as reader:
            return await read_standings(reader, client_order_ids)

    async def list_standings(self, span: Span) -> list[Standing]:
        """Orders that are open or were told of lately, by id. Raises Unavailable."""
        async with self._database.reader() as reader:
            return list((await read_standings(reader, await list_ids(reader, span))).values())

    async def _take(self, parcels: list[Parcel]) -> Sequence[Refusal | None]:
        refusals: list[Refusal | None] = []

        def act(batch: Batch) -> None:
            is_open = self._trading.is_open()  # a close may have had its turn first
            refusals.extend(self._take_one(batch, parcel, is_open=is_open) for parcel in parcels)

        async def ask(connection: AsyncConnection) -> Known:
            return await _known(connection, parcels)

        sessions = {parcel.connection.session_id for parcel in parcels}
        await self._turns.run(act, ask=ask, sessions=sessions)
        return refusals

    def _take_one(self, batch: Batch, parcel: Parcel, *, is_open: bool) -> Refusal | None:
        """Execute what is new of a parcel; why not all of it."""
        if self._roll.served_by(parcel.connection) is None:
            text = "a newer connection of the session serves it now"
            return Conflict(Reason.REASON_UNAVAILABLE, text)
        session_id = parcel.connection.session_id
        progress = batch.clerk.progress(session_id)
        for seq, command in parcel.commands:
            if seq > progress.next_command_seq:
                text = f"command {seq} came where {progress.next_command_seq} was expected"
                return Invalid(Reason.REASON_INVALID_SEQUENCE, text, field="seq")
            if seq == progress.next_command_seq:
                progress.next_command_seq += 1
                if command is not None:
                    batch.command(session_id, seq, command, is_open=is_open)
        return None

    async def _keep_acknowledged(self) -> None:
        """Keep acknowledgements a moment later, many at once; lost ones only repeat reports."""
        await self._trading.clock.sleep(_FLUSH_SECONDS)
        acknowledged, self._acknowledged = self._acknowledged, {}
        try:
            await self._database.run(
                lambda c, epoch: store.keep_acknowledged(c, epoch, acknowledged)
            )
        except Unavailable:
            _log.warning("acknowledgements_not_kept", sessions=len(acknowledged))


async def _known(connection: AsyncConnection, parcels: Sequence[Parcel]) -> Known:
    """What the database has of the orders that are commanded."""
    commands = [command for parcel in parcels for _, command in parcel.commands]
    new = [c.client_order_id for c in commands if isinstance(c, NewOrder)]
    others = [c.client_order_id for c in commands if isinstance(c, CancelOrder | ReplaceOrder)]
    return Known(
        terms=await store.find_orders(connection, new) if new else {},
        standings=await read_standings(connection, others) if others else {},
    )
