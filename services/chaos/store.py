"""SQL: the databases of others, read past the services under test. Nothing is written."""

from collections.abc import Mapping
from typing import Any, LiteralString

import psycopg

from services.chaos.domain.history import Fill, Venue
from services.chaos.wire import amendment_of

_CONNECT_SECONDS = 3
# ExecType of the exchange's contract: TRADE, REJECTED, CANCELED, EXPIRED.
_FILLS = """
    SELECT exec_id, client_order_id, last_quantity, last_price_micros FROM report
    WHERE exec_type = 2 ORDER BY session_id, report_seq"""
_ENDED = """
    SELECT client_order_id FROM report GROUP BY client_order_id
    HAVING bool_or(exec_type IN (3, 4, 5))
        OR sum(last_quantity) FILTER (WHERE exec_type = 2) >= (
            SELECT quantity FROM member_order AS o
            WHERE o.client_order_id = report.client_order_id)"""
_AMENDMENTS = "SELECT body FROM report WHERE exec_type IN (10, 11) ORDER BY session_id, report_seq"
# The last fills of buys that have ended.
_LATEST = """
    SELECT r.exec_id, r.client_order_id, r.last_quantity, r.last_price_micros
    FROM report r JOIN member_order o USING (client_order_id)
    WHERE r.exec_type = 2 AND NOT o.is_open AND o.side = 1 ORDER BY r.report_seq DESC LIMIT 50"""
_COUNT_FILLS = "SELECT count(*) FROM report WHERE exec_type = 2"
_COUNT_POSTINGS = "SELECT count(*) FROM transfer WHERE kind = 'execution' AND reason = 0"
_LEADERS = "SELECT partition, worker FROM execution_partition"


class Away(Exception):
    """The database does not answer, for now."""


class Databases:
    """By service. Each question has a connection of its own: the database may be gone any time."""

    def __init__(self, urls: Mapping[str, str]) -> None:
        self._urls = urls

    async def venue(self) -> Venue:
        """All the exchange did for its members. Raises Away."""
        fills = await self._ask("exchange_simulator", _FILLS)
        ended = await self._ask("exchange_simulator", _ENDED)
        taken_back = await self._ask("exchange_simulator", _AMENDMENTS)
        return Venue(
            [Fill(*row) for row in fills],
            frozenset(row[0] for row in ended),
            [amendment_of(row[0]) for row in taken_back],
        )

    async def latest_buys(self) -> list[Fill]:
        """Some fills that the exchange may still amend, newest first. Raises Away."""
        return [Fill(*row) for row in await self._ask("exchange_simulator", _LATEST)]

    async def count_fills(self) -> tuple[int, int]:
        """How many fills the exchange made, and how many the ledger has posted. Raises Away."""
        made = await self._ask("exchange_simulator", _COUNT_FILLS)
        posted = await self._ask("ledger", _COUNT_POSTINGS)
        return made[0][0], posted[0][0]

    async def leaders(self) -> dict[int, str]:
        """Partition -> the worker that leads it. Raises Away."""
        return dict(await self._ask("order", _LEADERS))

    async def answers(self) -> bool:
        """Whether statements are taken now."""
        try:
            await self._ask("order", "SELECT 1")
        except Away:
            return False
        return True

    async def _ask(self, service: str, question: LiteralString) -> list[tuple[Any, ...]]:
        try:
            async with await psycopg.AsyncConnection.connect(
                self._urls[service], connect_timeout=_CONNECT_SECONDS, autocommit=True
            ) as connection:
                await connection.execute("SET statement_timeout = '60s'")
                cursor = await connection.execute(question)
                return await cursor.fetchall()
        except psycopg.OperationalError as error:
            raise Away(str(error)) from None
