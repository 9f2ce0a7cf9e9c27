"""The members' side: takes commands in batches, executes and keeps them, and only then tells.

A batch is matched on the books within its transaction. Nobody hears of it before the commit. When
the commit fails the books are rolled back, every order to its place, and the sessions of the batch
are cut off: what is true then is what the database says at their next logon.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence

import structlog
from prometheus_client import Counter
from psycopg import AsyncConnection

from libs.batcher import Batcher
from libs.refusals import Conflict, Invalid, Refusal, Refused, Unavailable
from services.exchange_simulator import store
from services.exchange_simulator.clerk import Batch, Parcel, Progress
from services.exchange_simulator.database import Database
from services.exchange_simulator.domain import NewOrder, Outcome, RejectReason, refused
from services.exchange_simulator.faults import Faults
from services.exchange_simulator.sessions import Connection, Session
from services.exchange_simulator.standings import Span, Standing, list_ids, read_standings
from services.exchange_simulator.trading import Trading
from stockbroker.common.v1.reason_pb2 import Reason
from stockbroker.exchange.v1 import exchange_pb2
from stockbroker.exchange.v1 import exchange_service_pb2 as pb

_PAGE = 500
_FLUSH_SECONDS = 0.5

_commands = Counter("exchange_commands", "Commands of members kept")
_reports = Counter("exchange_reports", "Reports told to members")
_log = structlog.get_logger()


class Venue:
    """Members' sessions. `next_id` gives ids that are unique for ever."""

    def __init__(
        self,
        trading: Trading,
        database: Database,
        *,
        faults: Faults,
        next_id: Callable[[], str],
    ) -> None:
        self._trading = trading
        self._database = database
        self._faults = faults
        self._next_id = next_id
        self._batcher = Batcher[Parcel, None](self._take, max_items=200)
        self._sessions: dict[str, Session] = {}
        self._acknowledged: dict[str, int] = {}
        self._flush: asyncio.Task[None] | None = None

    async def close(self) -> None:
        """Finish what is queued and end every session."""
        await self._batcher.close()
        for session in self._sessions.values():
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
            older = self._sessions.get(session_id)
            self._sessions[session_id] = Session(sequences, connection)
        if older is not None:
            text = "a newer connection of the session serves it now"
            older.connection.end(Conflict(Reason.REASON_UNAVAILABLE, text))
        _log.info("logged_on", session=session_id, missed=len(connection.missed))
        return connection

    def log_off(self, connection: Connection) -> None:
        """This connection is no more."""
        connection.end()
        session = self._sessions.get(connection.session_id)
        if session is not None and session.connection is connection:
            del self._sessions[connection.session_id]

    async def missed_reports(self, connection: Connection) -> AsyncIterator[pb.SessionResponse]:
        """What the member has to hear before anything new. Raises Unavailable."""
        missed = connection.missed
        for first in range(missed.start, missed.stop, _PAGE):
            async with self._database.reader() as reader:
                below = min(first + _PAGE, missed.stop)
                bodies = await store.read_reports(reader, connection.session_id, first, below)
            yield self._message([exchange_pb2.ExecutionReport.FromString(b) for b in bodies])

    async def take(
        self, connection: Connection, commands: Sequence[tuple[int, NewOrder | None]]
    ) -> None:
        """Keep and execute commands. Raises the refusal that ends the session."""
        await self._batcher.submit(Parcel(connection, commands))

    def acknowledge(self, connection: Connection, report_seq: int) -> None:
        """The member has stored reports up to this one. Raises Invalid."""
        session = self._sessions.get(connection.session_id)
        if session is None or session.connection is not connection:
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
        """TRADE reports numbered after_seq < seq <= until_seq, and the number of the latest report.

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
        async with self._trading.turn:
            floor = self._trading.floor
            floor.begin()
            try:
                batch = await self._keep(parcels)
            except BaseException as error:
                floor.rollback()
                self._cut_off(parcels, error)
                raise
            self._trading.publish(floor.commit())
            for progress in batch.moved():
                self._tell(progress)
        return batch.refusals

    async def _keep(self, parcels: list[Parcel]) -> Batch:
        """Match and commit. Runs again after a lost connection, with the same matches."""
        batch: Batch | None = None

        async def work(connection: AsyncConnection, epoch: int) -> Batch:
            nonlocal batch
            if batch is None:
                batch = await self._match(connection, parcels)
            advances = [progress.advance() for progress in batch.moved()]
            if advances:
                await store.keep_batch(connection, epoch, advances, batch.orders, batch.reports)
            return batch

        return await self._database.run(work)

    async def _match(self, connection: AsyncConnection, parcels: list[Parcel]) -> Batch:
        orders = [order for parcel in parcels for _, order in parcel.commands]
        ids = [order.client_order_id for order in orders if order is not None]
        known = await store.find_orders(connection, ids)
        is_open = self._trading.is_open()

        def execute(order: NewOrder) -> Outcome | None:
            if self._faults.leaves_unanswered():
                return None
            if self._faults.halts_order():
                return refused(RejectReason.HALTED, "halted by the operator's script of faults")
            if self._faults.rejects_order():
                return refused(RejectReason.OTHER, "refused by the operator's script of faults")
            return self._trading.floor.execute(order, is_open=is_open)

        now = self._trading.clock.now()
        batch = Batch(known, execute=execute, next_id=self._next_id, now=now)
        for parcel in parcels:
            batch.take(parcel, self._sessions.get(parcel.connection.session_id))
        return batch

    def _tell(self, progress: Progress) -> None:
        """The batch is kept: move the session in memory and send what came of it."""
        session = self._sessions.get(progress.session_id)
        if session is None:
            return  # gone meanwhile; it hears at its next logon
        _commands.inc(progress.next_command_seq - session.next_command_seq)
        _reports.inc(len(progress.told))
        session.next_command_seq = progress.next_command_seq
        session.next_report_seq = progress.next_report_seq
        kept = pb.SessionResponse.CommandsKept(command_seq=progress.next_command_seq - 1)
        session.connection.send(pb.SessionResponse(commands_kept=kept))
        if progress.told and self._faults.hangs_up():
            session.connection.end(
                Unavailable(Reason.REASON_UNAVAILABLE, "ended by the operator's script of faults")
            )
        elif progress.told:
            delay = self._faults.delay_seconds()
            not_before = self._trading.clock.monotonic() + delay if delay else 0.0
            session.connection.send(self._message(progress.told), not_before=not_before)

    def _message(self, reports: list[exchange_pb2.ExecutionReport]) -> pb.SessionResponse:
        sent = self._faults.disturb(reports)
        return pb.SessionResponse(reports=pb.SessionResponse.Reports(reports=sent))

    def _cut_off(self, parcels: list[Parcel], error: BaseException) -> None:
        """End the sessions of a batch that was not kept, and forget where they stood."""
        text = "the exchange could not keep the commands"
        fault = Unavailable(Reason.REASON_UNAVAILABLE, text)
        _log.error("batch_not_kept", parcels=len(parcels), exc_info=error)
        for connection in {parcel.connection for parcel in parcels}:
            connection.end(error if isinstance(error, Refusal) else fault)
            self._sessions.pop(connection.session_id, None)

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
