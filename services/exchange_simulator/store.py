"""What the exchange keeps. One method, one question; the caller owns the transaction."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from psycopg import AsyncConnection

from libs.postgres.arrays import Texts
from services.exchange_simulator.days_store import read_days
from services.exchange_simulator.domain import NewOrder
from services.exchange_simulator.fence import Superseded, hold
from services.exchange_simulator.forms import plan_from, scripts_from, scripts_to
from services.exchange_simulator.hours import Change, Phase
from services.exchange_simulator.scripts import Script
from services.exchange_simulator.venue_clock import Reckoning
from services.exchange_simulator.working import Working


@dataclass(frozen=True, slots=True)
class Sequences:
    """Where a session stands: the next of either way, and the last report the member has stored."""

    next_command_seq: int
    next_report_seq: int
    acknowledged_seq: int


@dataclass(frozen=True, slots=True)
class State:
    """What the exchange has to know to go on: day, time, the orders that work, their sessions.

    `scripts` are an operator's; None: there are none of an operator.
    """

    phase: Phase
    day_ended_at: datetime
    clock: Reckoning | None
    scripts: list[Script] | None
    days: list[Change]
    working: list[Working]
    sequences: dict[str, Sequences]


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


async def keep_halt(connection: AsyncConnection, epoch: int, symbol: str, is_halted: bool) -> None:
    """Remember whether a symbol is halted. Raises Superseded."""
    await hold(connection, epoch)
    await connection.execute(
        "INSERT INTO halt (symbol) VALUES (%s) ON CONFLICT DO NOTHING"
        if is_halted
        else "DELETE FROM halt WHERE symbol = %s",
        [symbol],
    )


async def read_state(connection: AsyncConnection, epoch: int) -> State:
    """How the exchange stands, once whatever it was writing is kept or lost. Raises Superseded."""
    cursor = await connection.execute(
        "SELECT phase, day_ended_at, scripts, clock_real_at, clock_venue_at, clock_rate_millis"
        " FROM venue WHERE epoch = %s FOR UPDATE",
        [epoch],
    )
    row = await cursor.fetchone()
    if row is None:
        raise Superseded
    phase, day_ended_at, scripts, *reckoning = row
    clock = Reckoning(*reckoning) if reckoning[0] is not None else None
    cursor = await connection.execute(_WORKING)
    working = [
        Working(0, NewOrder(*row[:9]), *(*row[9:-1], plan_from(row[-1])))
        for row in await cursor.fetchall()
    ]
    cursor = await connection.execute(
        "SELECT session_id, next_command_seq, next_report_seq, acknowledged_seq FROM session"
        " WHERE session_id = ANY(%s)",
        [sorted({order.session_id for order in working})],
    )
    sequences = {row[0]: Sequences(*row[1:]) for row in await cursor.fetchall()}
    days = await read_days(connection)
    return State(Phase(phase), day_ended_at, clock, scripts_from(scripts), days, working, sequences)


async def keep_scripts(
    connection: AsyncConnection, epoch: int, scripts: Sequence[Script] | None
) -> None:
    """Remember an operator's scripts; None: there are none of an operator. Raises Superseded."""
    cursor = await connection.execute(
        "UPDATE venue SET scripts = %s WHERE epoch = %s", [scripts_to(scripts), epoch]
    )
    if cursor.rowcount != 1:
        raise Superseded


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
        " FROM member_order WHERE client_order_id = ANY(%b)",
        [Texts(client_order_ids)],
        binary=True,
    )
    return {row[0]: NewOrder(*row) for row in await cursor.fetchall()}


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
    """A session's latest report, and its fills, busts and corrections, in sequence.

    Those numbered after_seq < seq <= until_seq. The latest first: what is told after it was looked
    at is no gap.
    """
    cursor = await connection.execute(
        "SELECT next_report_seq - 1 FROM session WHERE session_id = %s", [session_id]
    )
    row = await cursor.fetchone()
    last = row[0] if row is not None else 0
    cursor = await connection.execute(
        "SELECT body FROM report WHERE session_id = %s AND report_seq > %s AND report_seq <= %s"
        " AND exec_type IN (2, 10, 11) ORDER BY report_seq",
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


_WORKING = """
SELECT
    client_order_id, o.symbol, o.side, o.quantity, o.order_type, o.limit_price_micros,
    o.stop_price_micros, o.time_in_force, o.max_notional_micros, o.session_id,
    o.exchange_order_id, o.received_at, w.place, w.quantity, w.filled, w.limit_price_micros,
    w.stop_price_micros, w.is_waiting, coalesce(w.max_notional_micros, o.max_notional_micros),
    w.plan
FROM working_order w JOIN member_order o USING (client_order_id)
ORDER BY w.place
"""
