"""Fills that are busted or corrected, on the operator's word: each word told once, durably."""

from dataclasses import dataclass

from psycopg import AsyncConnection

from libs.refusals import Invalid, NotFound, Refusal, Refused
from services.exchange_simulator.batch import Batch, Known
from services.exchange_simulator.domain import (
    MAX_PRICE_MICROS,
    Ending,
    ExecType,
    Filing,
    RejectReason,
    Report,
)
from services.exchange_simulator.roll import Roll
from services.exchange_simulator.store import Sequences
from services.exchange_simulator.terms import tick_of
from services.exchange_simulator.turns import Turns
from stockbroker.common.v1.reason_pb2 import Reason
from stockbroker.exchange.v1 import exchange_pb2 as pb

_FIND_AMENDMENT = """
SELECT body FROM report WHERE exec_id = %s AND exec_type IN (10, 11)
"""

_FIND = """
SELECT r.session_id, o.exchange_order_id, o.is_open, r.body,
       s.next_command_seq, s.next_report_seq, s.acknowledged_seq,
       (SELECT sum(f.last_quantity)::bigint FROM report f
        WHERE f.client_order_id = r.client_order_id AND f.session_id = r.session_id),
       ARRAY(SELECT a.body FROM report a
             WHERE a.client_order_id = r.client_order_id AND a.session_id = r.session_id
               AND a.exec_type IN (10, 11) ORDER BY a.report_seq)
FROM report r
JOIN member_order o USING (client_order_id)
JOIN session s ON s.session_id = r.session_id
WHERE r.exec_id = %s AND r.exec_type = 2
"""


@dataclass(frozen=True, slots=True)
class Amendment:
    """What the operator says of a fill: it never was, or it was another. 0: as it was.

    `exec_id`: the fill's, or that of its correction.
    """

    exec_id: str
    is_bust: bool
    reason_text: str
    quantity: int = 0
    price_micros: int = 0


@dataclass(frozen=True, slots=True)
class Executed:
    """A fill of a member's order, what it is by the report that was named, and what amended that.

    `cumulative_quantity`: the order's shares filled in all.
    """

    session_id: str
    exchange_order_id: str
    is_open: bool
    first: pb.ExecutionReport
    report: pb.ExecutionReport
    cumulative_quantity: int
    amended_by: pb.ExecutionReport | None


class Amending:
    """Amends fills in turn with all that trade."""

    def __init__(self, turns: Turns, roll: Roll) -> None:
        self._turns = turns
        self._roll = roll

    async def amend(self, amendment: Amendment) -> pb.ExecutionReport:
        """What the member is told, or was before. Raises a Refusal."""
        found: list[Executed | None] = []
        told: list[pb.ExecutionReport] = []

        async def ask(connection: AsyncConnection) -> Known:
            found[:] = [await self._find(connection, amendment.exec_id)]
            return Known({}, {})

        def act(batch: Batch) -> None:
            told.clear()
            fill = found[0]
            if fill is not None and fill.amended_by is None and _objection(fill, amendment) is None:
                batch.clerk.tell(fill.session_id, _filing(fill), _report(fill, amendment))
                told.append(batch.clerk.progress(fill.session_id).told[-1])

        await self._turns.run(act, ask=ask)
        if told:
            return told[0]
        if found[0] is None:
            raise NotFound(Reason.REASON_EXECUTION_NOT_FOUND, "no fill has that id")
        objection = _objection(found[0], amendment)
        if objection is not None:
            raise objection
        assert found[0].amended_by is not None
        return found[0].amended_by

    async def _find(self, connection: AsyncConnection, exec_id: str) -> Executed | None:
        """The fill of that id, or that so named amendment is of; where its session stands is
        known from then on.
        """
        cursor = await connection.execute(_FIND_AMENDMENT, [exec_id])
        row = await cursor.fetchone()
        named = pb.ExecutionReport.FromString(row[0]) if row is not None else None
        first_id = exec_id if named is None else _first_of(named)
        cursor = await connection.execute(_FIND, [first_id])
        row = await cursor.fetchone()
        if row is None:
            return None
        session_id, exchange_order_id, is_open, body, *sequences, filled, bodies = row
        self._roll.learn({session_id: Sequences(*sequences)})
        amendments = map(pb.ExecutionReport.FromString, bodies)
        first = pb.ExecutionReport.FromString(body)
        return Executed(
            session_id,
            exchange_order_id,
            is_open,
            first,
            named or first,
            filled,
            next((one for one in amendments if one.exec_ref_id == exec_id), None),
        )


def _first_of(amendment: pb.ExecutionReport) -> str:
    """The id of the fill that it is of."""
    return amendment.first_exec_id or amendment.exec_ref_id


def _objection(fill: Executed, amendment: Amendment) -> Refusal | None:
    """Why the fill is not amended so; None: it is, or was."""
    asked, before, was = _report(fill, amendment), fill.amended_by, fill.report
    if before is not None:
        terms = (int(before.exec_type), before.last_quantity, before.last_price_micros)
        if terms == (asked.exec_type, asked.last_quantity, asked.last_price_micros):
            return None
        text = f"it was amended before, by {before.exec_id}"
        return Refused(Reason.REASON_EXECUTION_AMENDED, text)
    if was.exec_type == pb.ExecutionReport.EXEC_TYPE_TRADE_CANCEL:
        return Refused(Reason.REASON_EXECUTION_AMENDED, "that busted it: it never was")
    if fill.is_open:
        return Refused(Reason.REASON_ORDER_WORKS, "the order has not ended: cancel it first")
    if not 1 <= asked.last_quantity <= fill.first.last_quantity:
        text = f"quantity is not within 1 and {fill.first.last_quantity}"
        return Invalid(Reason.REASON_INVALID_QUANTITY, text, field="quantity")
    price = asked.last_price_micros
    if not 1 <= price <= MAX_PRICE_MICROS or price % tick_of(price):
        text = "price_micros is none that can be traded at"
        return Invalid(Reason.REASON_INVALID_PRICE, text, field="price_micros")
    return None


def _report(fill: Executed, amendment: Amendment) -> Report:
    """What is said of an amended fill: a bust tells what it was, a correction what it is."""
    was = fill.report
    quantity = amendment.quantity or was.last_quantity
    change = -was.last_quantity if amendment.is_bust else quantity - was.last_quantity
    return Report(
        ExecType.TRADE_CANCEL if amendment.is_bust else ExecType.TRADE_CORRECT,
        last_quantity=quantity,
        last_price_micros=amendment.price_micros or was.last_price_micros,
        cumulative_quantity=fill.cumulative_quantity + change,
        ending=Ending(RejectReason.NONE, amendment.reason_text),
        exec_ref_id=was.exec_id,
        first_exec_id=_first_of(was) if was.exec_ref_id else "",
        change=change,
    )


def _filing(fill: Executed) -> Filing:
    was = fill.report
    return Filing(was.client_order_id, fill.exchange_order_id, was.symbol, was.side)
