"""How members' orders stand, as the database has it: for a member to compare its books with."""

from collections.abc import Sequence
from dataclasses import dataclass

from psycopg import AsyncConnection

from services.exchange_simulator.domain import Filing

_STANDINGS = """
SELECT o.client_order_id, o.exchange_order_id, o.symbol, o.side,
       coalesce(w.quantity, o.replaced_quantity, o.quantity),
       coalesce(sum(r.last_quantity), 0)::bigint, o.is_open, coalesce(max(r.report_seq), 0),
       o.session_id, coalesce(w.limit_price_micros, 0), coalesce(w.stop_price_micros, 0)
FROM member_order o
LEFT JOIN working_order w USING (client_order_id)
LEFT JOIN report r ON r.client_order_id = o.client_order_id AND r.session_id = o.session_id
WHERE o.client_order_id = ANY(%s)
GROUP BY o.client_order_id, w.client_order_id
ORDER BY o.client_order_id
"""

_OPEN_OR_TOLD = """
SELECT client_order_id FROM member_order
WHERE session_id = %(session_id)s AND is_open AND client_order_id > %(after)s
UNION
SELECT client_order_id FROM report
WHERE session_id = %(session_id)s AND report_seq >= %(since)s AND %(since)s > 0
  AND client_order_id > %(after)s
ORDER BY client_order_id LIMIT %(most)s
"""


@dataclass(frozen=True, slots=True)
class Standing:
    """One order. Fields as in the contract, and the session it came by."""

    client_order_id: str
    exchange_order_id: str
    symbol: str
    side: int
    quantity: int
    cumulative_quantity: int
    is_open: bool
    last_report_seq: int
    session_id: str
    limit_price_micros: int
    stop_price_micros: int

    @property
    def filing(self) -> Filing:
        """As reports name the order."""
        return Filing(self.client_order_id, self.exchange_order_id, self.symbol, self.side)


@dataclass(frozen=True, slots=True)
class Span:
    """Part of a session's orders: open ones, and those told of since a report (0: no others)."""

    session_id: str
    since_report_seq: int
    after: str
    most: int


async def read_standings(
    connection: AsyncConnection, client_order_ids: Sequence[str]
) -> dict[str, Standing]:
    """How those orders stand, by id in order; an unknown one is left out."""
    cursor = await connection.execute(_STANDINGS, [list(client_order_ids)])
    return {row[0]: Standing(*row) for row in await cursor.fetchall()}


async def list_ids(connection: AsyncConnection, span: Span) -> list[str]:
    """The ids of such orders, in order."""
    cursor = await connection.execute(
        _OPEN_OR_TOLD,
        {
            "session_id": span.session_id,
            "since": span.since_report_seq,
            "after": span.after,
            "most": span.most,
        },
    )
    return [row[0] for row in await cursor.fetchall()]
