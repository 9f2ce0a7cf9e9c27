"""What the exchange keeps. One method, one question; the caller owns the transaction."""

from collections.abc import Iterable, Sequence
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
    is_open: bool


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
_ORDER = (*NewOrder.__slots__, "session_id", "exchange_order_id", "received_at", "is_open")
_ADVANCE = ("ids", "old_commands", "old_reports", "commands", "reports")


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
    parameters = {
        "epoch": epoch,
        **_columns("session", _ADVANCE, map(_advance_of, advances)),
        **_columns("order", _ORDER, map(_order_of, orders)),
        **_columns("report", ReportRow.__slots__, map(_REPORT, reports)),
    }
    cursor = await connection.execute(_KEEP_BATCH, parameters)
    row = await cursor.fetchone()
    if row == (len(advances), len(orders), len(reports)):
        return
    cursor = await connection.execute(_FIND_ADVANCED, parameters)
    row = await cursor.fetchone()
    if row is None or row[0] != len(advances):
        raise Superseded


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


async def read_executions(
    connection: AsyncConnection, session_id: str, after_seq: int, until_seq: int
) -> tuple[int, list[bytes]]:
    """A session's latest report, and the TRADE reports after_seq < seq <= until_seq, in sequence.

    The latest first: what is told after it was looked at is no gap.
    """
    cursor = await connection.execute(
        "SELECT next_report_seq - 1 FROM session WHERE session_id = %s", [session_id]
    )
    row = await cursor.fetchone()
    last = row[0] if row is not None else 0
    cursor = await connection.execute(
        "SELECT body FROM report WHERE session_id = %s AND report_seq > %s AND report_seq <= %s"
        " AND exec_type = 2 ORDER BY report_seq",
        [session_id, after_seq, min(until_seq, last)],
    )
    return last, [row[0] for row in await cursor.fetchall()]


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


# The share lock makes a process that starts now wait for this commit; then we are fenced off.
_KEEP_BATCH = """
WITH fence AS (
    SELECT FROM venue WHERE epoch = %(epoch)s FOR SHARE
), moved AS (
    UPDATE session SET next_command_seq = new.commands, next_report_seq = new.reports
    FROM unnest(
        %(session_ids)s::text[], %(session_old_commands)s::bigint[],
        %(session_old_reports)s::bigint[], %(session_commands)s::bigint[],
        %(session_reports)s::bigint[]
    ) AS new (session_id, old_commands, old_reports, commands, reports), fence
    WHERE session.session_id = new.session_id
        AND session.next_command_seq = new.old_commands
        AND session.next_report_seq = new.old_reports
    RETURNING 1
), placed AS (
    INSERT INTO member_order (
        client_order_id, symbol, side, quantity, order_type, limit_price_micros,
        stop_price_micros, time_in_force, max_notional_micros, session_id, exchange_order_id,
        received_at, is_open
    )
    SELECT * FROM unnest(
        %(order_client_order_id)s::text[], %(order_symbol)s::text[], %(order_side)s::int[],
        %(order_quantity)s::bigint[], %(order_order_type)s::int[],
        %(order_limit_price_micros)s::bigint[], %(order_stop_price_micros)s::bigint[],
        %(order_time_in_force)s::int[], %(order_max_notional_micros)s::bigint[],
        %(order_session_id)s::text[], %(order_exchange_order_id)s::text[],
        %(order_received_at)s::timestamptz[], %(order_is_open)s::boolean[]
    )
    ON CONFLICT DO NOTHING
    RETURNING 1
), told AS (
    INSERT INTO report (
        session_id, report_seq, client_order_id, exec_id, exec_type, last_quantity,
        last_price_micros, body
    )
    SELECT * FROM unnest(
        %(report_session_id)s::text[], %(report_report_seq)s::bigint[],
        %(report_client_order_id)s::text[], %(report_exec_id)s::text[],
        %(report_exec_type)s::smallint[], %(report_last_quantity)s::bigint[],
        %(report_last_price_micros)s::bigint[], %(report_body)s::bytea[]
    )
    ON CONFLICT DO NOTHING
    RETURNING 1
)
SELECT
    (SELECT count(*) FROM moved), (SELECT count(*) FROM placed), (SELECT count(*) FROM told)
"""

_FIND_ADVANCED = """
SELECT count(*)
FROM session
JOIN venue ON venue.epoch = %(epoch)s
JOIN unnest(
    %(session_ids)s::text[], %(session_commands)s::bigint[], %(session_reports)s::bigint[]
) AS new (session_id, commands, reports) ON session.session_id = new.session_id
WHERE next_command_seq = new.commands AND next_report_seq = new.reports
"""


def _columns(
    prefix: str, names: Sequence[str], rows: Iterable[tuple[object, ...]]
) -> dict[str, list[object]]:
    """Rows as one array per column, each a parameter `<prefix>_<name>`."""
    columns = list(zip(*rows, strict=True)) or [()] * len(names)
    return {f"{prefix}_{name}": list(c) for name, c in zip(names, columns, strict=True)}


def _advance_of(advance: Advance) -> tuple[object, ...]:
    before, after = advance.before, advance.after
    return (
        advance.session_id,
        before.next_command_seq,
        before.next_report_seq,
        after.next_command_seq,
        after.next_report_seq,
    )


def _order_of(row: OrderRow) -> tuple[object, ...]:
    return (
        *_TERMS(row.order),
        row.session_id,
        row.exchange_order_id,
        row.received_at,
        row.is_open,
    )
