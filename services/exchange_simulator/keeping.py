"""How a batch is kept: one set-based statement for all of it. The caller owns the transaction."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from operator import attrgetter
from typing import Any, NamedTuple

import msgspec
from psycopg import AsyncConnection

from libs.postgres.arrays import Bigints, Flags, Moments, Octets, Texts
from services.exchange_simulator.domain import NewOrder
from services.exchange_simulator.fence import Superseded
from services.exchange_simulator.forms import plan_to
from services.exchange_simulator.hours import Phase
from services.exchange_simulator.store import Sequences
from services.exchange_simulator.venue_clock import Reckoning
from services.exchange_simulator.working import Working


@dataclass(frozen=True, slots=True)
class Advance:
    """A session before and after a batch."""

    session_id: str
    before: Sequences
    after: Sequences


class OrderRow(msgspec.Struct, frozen=True, gc=False):
    """A member's order as received, and shares in all as they are now."""

    order: NewOrder
    session_id: str
    exchange_order_id: str
    received_at: datetime
    is_open: bool
    replaced_quantity: int


class ReportRow(NamedTuple):
    """A report with its wire form. `last_quantity`: by how much it changes the shares filled."""

    session_id: str
    report_seq: int
    client_order_id: str
    exec_id: str
    exec_type: int
    last_quantity: int
    last_price_micros: int
    body: bytes


@dataclass(frozen=True, slots=True)
class Day:
    """Whether an operator has opened or closed the exchange, the last day that is over, the time.

    `clock`: None is the real time.
    """

    phase: Phase
    day_ended_at: datetime
    clock: Reckoning | None


@dataclass(frozen=True, slots=True)
class Records:
    """All that is to be kept of a batch."""

    advances: Sequence[Advance]
    orders: Sequence[OrderRow]
    reports: Sequence[ReportRow]
    changed: Sequence[Working]
    dropped: Sequence[Working]
    day: Day | None


_Columns = Mapping[str, Callable[[Any], object]]
_TERMS = attrgetter(*NewOrder.__struct_fields__)
# The type of each column; a statement casts where the table has a narrower one.
_ORDER: _Columns = {
    "client_order_id": Texts,
    "symbol": Texts,
    "side": Bigints,
    "quantity": Bigints,
    "order_type": Bigints,
    "limit_price_micros": Bigints,
    "stop_price_micros": Bigints,
    "time_in_force": Bigints,
    "max_notional_micros": Bigints,
    "session_id": Texts,
    "exchange_order_id": Texts,
    "received_at": Moments,
    "is_open": Flags,
    "replaced": Bigints,
}
_ADVANCE: _Columns = {
    "ids": Texts,
    "old_commands": Bigints,
    "old_reports": Bigints,
    "commands": Bigints,
    "reports": Bigints,
}
_TOLD: _Columns = {
    "session_id": Texts,
    "report_seq": Bigints,
    "client_order_id": Texts,
    "exec_id": Texts,
    "exec_type": Bigints,
    "last_quantity": Bigints,
    "last_price_micros": Bigints,
    "body": Octets,
}
_WORKING: _Columns = {
    "id": Texts,
    "place": Bigints,
    "quantity": Bigints,
    "filled": Bigints,
    "limit": Bigints,
    "stop": Bigints,
    "is_waiting": Flags,
    "max_notional": Bigints,
    "plan": list,  # most are null
}
_DROPPED: _Columns = {"id": Texts, "quantity": Bigints}


async def keep_batch(connection: AsyncConnection, epoch: int, records: Records) -> None:
    """Keep all of a batch. Raises Superseded, and the caller must not commit.

    Safe to repeat when it is open whether the same batch was committed: it then does nothing new.
    """
    if records.day is not None:
        await _keep_day(connection, epoch, records.day)
    parameters = {
        "epoch": epoch,
        "sessions": len(records.advances),
        **_columns("session", _ADVANCE, map(_advance_of, records.advances)),
        **_columns("order", _ORDER, map(_order_of, records.orders)),
        **_columns("report", _TOLD, records.reports),
        **_columns("working", _WORKING, map(_working_of, records.changed)),
        **_columns("dropped", _DROPPED, map(_dropped_of, records.dropped)),
    }
    cursor = await connection.execute(_KEEP_BATCH, parameters)
    row = await cursor.fetchone()
    if row == (len(records.advances), len(records.orders), len(records.reports)):
        return
    cursor = await connection.execute(_FIND_ADVANCED, parameters)
    row = await cursor.fetchone()
    if row is None or row[0] != len(records.advances):
        raise Superseded


async def _keep_day(connection: AsyncConnection, epoch: int, day: Day) -> None:
    clock = day.clock
    reckoning = (clock.real_at, clock.venue_at, clock.rate_millis) if clock else (None,) * 3
    cursor = await connection.execute(
        "UPDATE venue SET phase = %s, day_ended_at = %s, clock_real_at = %s, clock_venue_at = %s,"
        " clock_rate_millis = %s WHERE epoch = %s",
        [day.phase, day.day_ended_at, *reckoning, epoch],
    )
    if cursor.rowcount != 1:
        raise Superseded


# The share lock makes a process that starts now wait for this commit; then we are fenced off. Where
# every session moves all rows are new; where none does, all were kept before: none is looked for.
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
        received_at, is_open, replaced_quantity
    )
    SELECT * FROM unnest(
        %(order_client_order_id)s::text[], %(order_symbol)s::text[], %(order_side)s::int[],
        %(order_quantity)s::bigint[], %(order_order_type)s::int[],
        %(order_limit_price_micros)s::bigint[], %(order_stop_price_micros)s::bigint[],
        %(order_time_in_force)s::int[], %(order_max_notional_micros)s::bigint[],
        %(order_session_id)s::text[], %(order_exchange_order_id)s::text[],
        %(order_received_at)s::timestamptz[], %(order_is_open)s::boolean[],
        %(order_replaced)s::bigint[]
    )
    WHERE (SELECT count(*) FROM moved) = %(sessions)s
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
    WHERE (SELECT count(*) FROM moved) = %(sessions)s
    RETURNING 1
), worked AS (
    INSERT INTO working_order (
        client_order_id, place, quantity, filled, limit_price_micros, stop_price_micros, is_waiting,
        max_notional_micros, plan
    )
    SELECT * FROM unnest(
        %(working_id)s::text[], %(working_place)s::bigint[], %(working_quantity)s::bigint[],
        %(working_filled)s::bigint[], %(working_limit)s::bigint[], %(working_stop)s::bigint[],
        %(working_is_waiting)s::boolean[], %(working_max_notional)s::bigint[],
        %(working_plan)s::text[]
    )
    ON CONFLICT (client_order_id) DO UPDATE SET
        place = excluded.place, quantity = excluded.quantity, filled = excluded.filled,
        limit_price_micros = excluded.limit_price_micros,
        stop_price_micros = excluded.stop_price_micros, is_waiting = excluded.is_waiting,
        max_notional_micros = excluded.max_notional_micros, plan = excluded.plan
), dropped AS (
    DELETE FROM working_order USING unnest(%(dropped_id)s::text[]) AS gone (client_order_id)
    WHERE working_order.client_order_id = gone.client_order_id
), ended AS (
    UPDATE member_order SET is_open = false, replaced_quantity = gone.quantity
    FROM unnest(%(dropped_id)s::text[], %(dropped_quantity)s::bigint[])
        AS gone (client_order_id, quantity)
    WHERE member_order.client_order_id = gone.client_order_id
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


def _columns(prefix: str, kinds: _Columns, rows: Iterable[tuple[object, ...]]) -> dict[str, object]:
    """Rows as one array per column, each a parameter `<prefix>_<name>`."""
    columns: Sequence[Any] = list(zip(*rows, strict=True)) or [()] * len(kinds)
    named = zip(kinds.items(), columns, strict=True)
    return {f"{prefix}_{name}": pack(column) for (name, pack), column in named}


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
        row.replaced_quantity,
    )


def _working_of(working: Working) -> tuple[object, ...]:
    return (
        working.order.client_order_id,
        working.place,
        working.quantity,
        working.filled,
        working.limit,
        working.stop,
        working.is_waiting,
        working.max_notional,
        plan_to(working.plan),
    )


def _dropped_of(working: Working) -> tuple[object, ...]:
    return (working.order.client_order_id, working.quantity)
