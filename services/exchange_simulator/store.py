"""What the exchange keeps. One method, one question; the caller owns the transaction."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from operator import attrgetter

from psycopg import AsyncConnection

from services.exchange_simulator.domain import NewOrder


@dataclass(frozen=True, slots=True)
class Sequences:
    """Where a session stands: the next of either way, and the last report the member has stored."""

    next_command_seq: int
    next_report_seq: int
    acknowledged_seq: int


@dataclass(frozen=True, slots=True)
class Advance:
    """A session before and after a batch."""

    session_id: str
    before: Sequences
    after: Sequences


@dataclass(frozen=True, slots=True)
class OrderRow:
    """A member's order as received."""

    order: NewOrder
    session_id: str
    exchange_order_id: str
    received_at: datetime


@dataclass(frozen=True, slots=True)
class ReportRow:
    """A report with its wire form."""

    session_id: str
    report_seq: int
    client_order_id: str
    exec_id: str
    exec_type: int
    last_quantity: int
    last_price_micros: int
    body: bytes


_TERMS = attrgetter(*NewOrder.__slots__)
_REPORT = attrgetter(*ReportRow.__slots__)


class Superseded(Exception):
    """The sessions are not where this process left them, or a newer process runs the exchange."""


async def raise_epoch(connection: AsyncConnection) -> int:
    """Begin a new run of the exchange; older ones can write no more. Its number."""
    cursor = await connection.execute("UPDATE venue SET epoch = epoch + 1 RETURNING epoch")
    row = await cursor.fetchone()
    assert row is not None
    return int(row[0])


async def read_epoch(connection: AsyncConnection) -> int:
    """The number of the run that may write."""
    cursor = await connection.execute("SELECT epoch FROM venue")
    row = await cursor.fetchone()
    assert row is not None
    return int(row[0])


async def read_halts(connection: AsyncConnection) -> list[str]:
    """Symbols that are halted."""
    cursor = await connection.execute("SELECT symbol FROM halt ORDER BY symbol")
    return [row[0] for row in await cursor.fetchall()]


async def keep_halt(connection: AsyncConnection, symbol: str, is_halted: bool) -> None:
    """Remember whether a symbol is halted."""
    await connection.execute(
        "INSERT INTO halt (symbol) VALUES (%s) ON CONFLICT DO NOTHING"
        if is_halted
        else "DELETE FROM halt WHERE symbol = %s",
        [symbol],
    )


async def open_session(connection: AsyncConnection, epoch: int, session_id: str) -> Sequences:
    """Where a session stands; it is made when it is new. Raises Superseded."""
    await connection.execute(
        "INSERT INTO session (session_id) VALUES (%s) ON CONFLICT DO NOTHING", [session_id]
    )
    cursor = await connection.execute(
        "SELECT next_command_seq, next_report_seq, acknowledged_seq"
        " FROM session JOIN venue ON venue.epoch = %s WHERE session_id = %s"
        " FOR UPDATE OF session FOR SHARE OF venue",
        [epoch, session_id],
    )
    row = await cursor.fetchone()
    if row is None:
        raise Superseded
    return Sequences(*row)


async def find_orders(
    connection: AsyncConnection, client_order_ids: list[str]
) -> dict[str, NewOrder]:
    """The terms of those orders that are known, by id."""
    cursor = await connection.execute(
        "SELECT client_order_id, symbol, side, quantity, order_type, limit_price_micros,"
        " stop_price_micros, time_in_force, max_notional_micros"
        " FROM member_order WHERE client_order_id = ANY(%s)",
        [client_order_ids],
    )
    return {row[0]: NewOrder(*row) for row in await cursor.fetchall()}


async def keep_batch(
    connection: AsyncConnection,
    epoch: int,
    advances: Sequence[Advance],
    orders: Sequence[OrderRow],
    reports: Sequence[ReportRow],
) -> None:
    """Keep all of a batch. Raises Superseded, and the caller must not commit.

    Safe to repeat when it is open whether the same batch was committed: it then does nothing.
    """
    if await _advance(connection, epoch, advances):
        await _insert_orders(connection, orders)
        await _insert_reports(connection, reports)


async def keep_acknowledged(
    connection: AsyncConnection, epoch: int, acknowledged: dict[str, int]
) -> None:
    """Remember the last report each member has stored."""
    await connection.execute(
        "WITH fence AS (SELECT FROM venue WHERE epoch = %(epoch)s FOR SHARE)"
        " UPDATE session SET acknowledged_seq = new.seq"
        " FROM unnest(%(ids)s::text[], %(seqs)s::bigint[]) AS new (session_id, seq), fence"
        " WHERE session.session_id = new.session_id AND session.acknowledged_seq < new.seq",
        {"epoch": epoch, "ids": list(acknowledged), "seqs": list(acknowledged.values())},
    )


async def read_reports(
    connection: AsyncConnection, session_id: str, first_seq: int, below_seq: int
) -> list[bytes]:
    """Reports of a session from first_seq to before below_seq, in sequence."""
    cursor = await connection.execute(
        "SELECT body FROM report WHERE session_id = %s AND report_seq >= %s AND report_seq < %s"
        " ORDER BY report_seq",
        [session_id, first_seq, below_seq],
    )
    return [row[0] for row in await cursor.fetchall()]


async def read_reports_of_order(
    connection: AsyncConnection, client_order_id: str
) -> list[bytes] | None:
    """Every report that bears the id of an order, oldest first; None: the order is not known."""
    cursor = await connection.execute(
        "SELECT report.body FROM member_order LEFT JOIN report USING (client_order_id)"
        " WHERE client_order_id = %s"
        " ORDER BY report.session_id <> member_order.session_id, report.report_seq",
        [client_order_id],
    )
    rows = await cursor.fetchall()
    return [row[0] for row in rows if row[0] is not None] if rows else None


async def _advance(connection: AsyncConnection, epoch: int, advances: Sequence[Advance]) -> bool:
    """Move the sessions on; False: they stand there already. Raises Superseded."""
    parameters = {
        "epoch": epoch,
        "ids": [advance.session_id for advance in advances],
        "old_commands": [advance.before.next_command_seq for advance in advances],
        "old_reports": [advance.before.next_report_seq for advance in advances],
        "commands": [advance.after.next_command_seq for advance in advances],
        "reports": [advance.after.next_report_seq for advance in advances],
    }
    # The share lock makes a process that starts now wait for this commit; then we are fenced off.
    cursor = await connection.execute(
        "WITH fence AS (SELECT FROM venue WHERE epoch = %(epoch)s FOR SHARE)"
        " UPDATE session SET next_command_seq = new.commands, next_report_seq = new.reports"
        " FROM unnest(%(ids)s::text[], %(old_commands)s::bigint[], %(old_reports)s::bigint[],"
        "             %(commands)s::bigint[], %(reports)s::bigint[])"
        "   AS new (session_id, old_commands, old_reports, commands, reports), fence"
        " WHERE session.session_id = new.session_id"
        "   AND session.next_command_seq = new.old_commands"
        "   AND session.next_report_seq = new.old_reports",
        parameters,
    )
    if cursor.rowcount == len(advances):
        return True
    cursor = await connection.execute(
        "SELECT count(*) FROM session JOIN venue ON venue.epoch = %(epoch)s"
        " JOIN unnest(%(ids)s::text[], %(commands)s::bigint[], %(reports)s::bigint[])"
        "   AS new (session_id, commands, reports) ON session.session_id = new.session_id"
        " WHERE next_command_seq = new.commands AND next_report_seq = new.reports",
        parameters,
    )
    row = await cursor.fetchone()
    if cursor.rowcount != 1 or row is None or row[0] != len(advances):
        raise Superseded
    return False


async def _insert_orders(connection: AsyncConnection, rows: Sequence[OrderRow]) -> None:
    if not rows:
        return
    columns = zip(*(_TERMS(row.order) for row in rows), strict=True)
    await connection.execute(
        "INSERT INTO member_order (client_order_id, symbol, side, quantity, order_type,"
        " limit_price_micros, stop_price_micros, time_in_force, max_notional_micros,"
        " session_id, exchange_order_id, received_at)"
        " SELECT * FROM unnest(%s::text[], %s::text[], %s::int[], %s::bigint[], %s::int[],"
        " %s::bigint[], %s::bigint[], %s::int[], %s::bigint[],"
        " %s::text[], %s::text[], %s::timestamptz[])",
        [
            *map(list, columns),
            [row.session_id for row in rows],
            [row.exchange_order_id for row in rows],
            [row.received_at for row in rows],
        ],
    )


async def _insert_reports(connection: AsyncConnection, rows: Sequence[ReportRow]) -> None:
    if not rows:
        return
    columns = zip(*(_REPORT(row) for row in rows), strict=True)
    await connection.execute(
        "INSERT INTO report (session_id, report_seq, client_order_id, exec_id, exec_type,"
        " last_quantity, last_price_micros, body)"
        " SELECT * FROM unnest(%s::text[], %s::bigint[], %s::text[], %s::text[], %s::smallint[],"
        " %s::bigint[], %s::bigint[], %s::bytea[])",
        [list(column) for column in columns],
    )
