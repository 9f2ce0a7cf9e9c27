"""What operators did, and what they look at."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

import psycopg

from services.exchange_gateway.domain.operators import Signature
from services.exchange_gateway.store.progress import Deposed, Seat

_RECORD = """
INSERT INTO operator_action
    (session_id, actor, action, trade_id, report_seq, reason_text, evidence, detail)
VALUES (%(session_id)s, %(actor)s, %(action)s, %(trade_id)s, %(report_seq)s, %(reason_text)s,
        %(evidence)s, %(detail)s)
"""

_FIND = """
SELECT report_seq FROM operator_action
WHERE trade_id = %(trade_id)s AND action = %(action)s AND detail = %(detail)s
ORDER BY id LIMIT 1
"""

_LIST = """
SELECT id, actor, action, coalesce(trade_id::text, ''), coalesce(report_seq, 0), reason_text,
       evidence, detail, done_at
FROM operator_action WHERE session_id = %(session_id)s AND id > %(after)s
ORDER BY id LIMIT %(most)s
"""

_WRITE_REPORT = """
INSERT INTO venue_report (session_id, seq, trade_id, kind, execution_id, raw, author)
VALUES (%(session_id)s, %(seq)s, %(trade_id)s, %(kind)s, %(execution_id)s, %(raw)s, %(author)s)
"""

_SHIFT = """
UPDATE venue_session SET report_offset = report_offset + 1
WHERE session_id = %(session_id)s AND term = %(term)s
"""

_UNANSWERED = """
SELECT o.trade_id::text, o.customer_id, o.symbol, o.side, o.quantity, o.command_seq, o.created_at,
       extract(epoch FROM clock_timestamp() - o.created_at)::bigint
FROM unanswered_order u JOIN venue_order o ON o.trade_id = u.trade_id
WHERE u.session_id = %(session_id)s AND o.command_seq > %(after)s
ORDER BY o.command_seq LIMIT %(most)s
"""


@dataclass(frozen=True, slots=True)
class Action:
    """Something an operator does; `detail` holds the terms of it."""

    deed: str
    signature: Signature
    trade_id: str | None = None
    report_seq: int | None = None
    detail: str = ""


@dataclass(frozen=True, slots=True)
class Recorded:
    """Something an operator did."""

    id: int
    actor: str
    action: str
    trade_id: str
    report_seq: int
    reason_text: str
    evidence: str
    detail: str
    done_at: datetime


@dataclass(frozen=True, slots=True)
class Unanswered:
    """An order the venue has not said a word about."""

    trade_id: str
    customer_id: str
    symbol: str
    side: int
    quantity: int
    command_seq: int
    created_at: datetime
    age_seconds: int


@dataclass(frozen=True, slots=True)
class Written:
    """A report an operator wrote, under the gateway's number of it."""

    seq: int
    trade_id: str
    kind: int
    execution_id: str
    raw: bytes
    author: str


class OperatorStore:
    """Speaks within the caller's transaction."""

    def __init__(self, connection: psycopg.AsyncConnection, session_id: str) -> None:
        self._connection = connection
        self._session_id = session_id

    async def record(self, action: Action) -> None:
        """Put it on record."""
        await self._connection.execute(
            _RECORD,
            {
                "session_id": self._session_id,
                "actor": action.signature.actor,
                "action": action.deed,
                "trade_id": action.trade_id,
                "report_seq": action.report_seq,
                "reason_text": action.signature.reason_text,
                "evidence": action.signature.evidence,
                "detail": action.detail,
            },
        )

    async def find(self, action: Action) -> int | None:
        """The report of the same deed on the same trade in the same terms, if it was done."""
        cursor = await self._connection.execute(
            _FIND, {"trade_id": action.trade_id, "action": action.deed, "detail": action.detail}
        )
        row = await cursor.fetchone()
        return int(row[0]) if row is not None else None

    async def list(self, after: int, most: int) -> Sequence[Recorded]:
        """At most `most` with a higher id than `after`, in order."""
        cursor = await self._connection.execute(
            _LIST, {"session_id": self._session_id, "after": after, "most": most}
        )
        return [Recorded(*row) for row in await cursor.fetchall()]

    async def write(self, seat: Seat, report: Written) -> None:
        """Store a report of an operator; the venue's numbers go on behind it. Raises Deposed."""
        await self._connection.execute(
            _WRITE_REPORT,
            {
                "session_id": self._session_id,
                "seq": report.seq,
                "trade_id": report.trade_id,
                "kind": report.kind,
                "execution_id": report.execution_id,
                "raw": report.raw,
                "author": report.author,
            },
        )
        cursor = await self._connection.execute(
            _SHIFT, {"session_id": self._session_id, "term": seat.term}
        )
        if cursor.rowcount != 1:
            raise Deposed

    async def list_unanswered(self, after: int, most: int) -> Sequence[Unanswered]:
        """Orders behind command `after`, oldest first."""
        cursor = await self._connection.execute(
            _UNANSWERED, {"session_id": self._session_id, "after": after, "most": most}
        )
        return [Unanswered(*row) for row in await cursor.fetchall()]
