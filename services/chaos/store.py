"""SQL: the databases of others, read past the services under test. Nothing is written."""

from collections.abc import Iterable, Mapping
from typing import Any, LiteralString

import psycopg

from services.chaos.domain.history import Fill, Gateway, HeldStop, Terms, Venue
from services.chaos.wire import amendment_of, revision_of

_CONNECT_SECONDS = 3
# ExecType of the exchange's contract: TRADE, REJECTED, CANCELED, EXPIRED.
_FILLS = """
    SELECT exec_id, client_order_id, last_quantity, last_price_micros FROM report
    WHERE exec_type = 2 ORDER BY session_id, report_seq"""
_ENDED = """
    SELECT client_order_id FROM report GROUP BY client_order_id
    HAVING bool_or(exec_type IN (3, 4, 5))
        OR sum(last_quantity) FILTER (WHERE exec_type = 2) >= (
            SELECT coalesce(replaced_quantity, quantity) FROM member_order AS o
            WHERE o.client_order_id = report.client_order_id)"""
_AMENDMENTS = "SELECT body FROM report WHERE exec_type IN (10, 11) ORDER BY session_id, report_seq"
_SENT = """
    SELECT client_order_id, quantity, limit_price_micros, stop_price_micros FROM member_order"""
_REVISIONS = "SELECT body FROM report WHERE exec_type = 7 ORDER BY session_id, report_seq"
_TRIGGERED = "SELECT DISTINCT client_order_id FROM report WHERE exec_type = 9"
_ORDERS = """
    SELECT trade_id::text, quantity, limit_price_micros, stop_price_micros FROM venue_order
    WHERE NOT is_withdrawn"""
_HELD = """
    SELECT trade_id::text, CASE side WHEN 1 THEN 'BUY' ELSE 'SELL' END, h.stop_price_micros,
        h.state = 3, h.trigger_price_micros
    FROM held_stop h JOIN venue_order USING (trade_id)"""
# By service: what has no answer, as trade and words. At the gateway an end is one.
_UNANSWERED: Mapping[str, LiteralString] = {
    "order": """
        SELECT trade_id::text, 'order: a request is open' FROM open_request
        UNION ALL SELECT trade_id::text, 'order: replace ' || client_order_id || ' has no answer'
        FROM trade_replace WHERE answered_seq IS NULL""",
    "exchange_gateway": """
        SELECT trade_id::text, 'exchange_gateway: replace ' || replace_id || ' has no answer'
        FROM venue_replace JOIN venue_order USING (trade_id)
        WHERE answered_by_seq IS NULL AND venue_replace.command_seq > 0 AND state <> 4
        UNION ALL SELECT trade_id::text, 'exchange_gateway: it is held still'
        FROM held_stop WHERE state IN (1, 2)""",
}
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
        sent = await self._ask("exchange_simulator", _SENT)
        revised = await self._ask("exchange_simulator", _REVISIONS)
        triggered = await self._ask("exchange_simulator", _TRIGGERED)
        return Venue(
            [Fill(*row) for row in fills],
            frozenset(row[0] for row in ended),
            [amendment_of(row[0]) for row in taken_back],
            _terms_of(sent) | dict(revision_of(row[0]) for row in revised),
            frozenset(row[0] for row in triggered),
        )

    async def gateway(self) -> Gateway:
        """All the house's door to the exchange was given. Raises Away."""
        orders = await self._ask("exchange_gateway", _ORDERS)
        held = await self._ask("exchange_gateway", _HELD)
        return Gateway(_terms_of(orders), [HeldStop(*row) for row in held])

    async def unanswered(self) -> list[tuple[str, str]]:
        """Requests without an answer: trade, and words. Raises Away."""
        return [
            (trade_id, words)
            for service, question in _UNANSWERED.items()
            for trade_id, words in await self._ask(service, question)
        ]

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


def _terms_of(rows: Iterable[tuple[Any, ...]]) -> dict[str, Terms]:
    return {row[0]: Terms(*row[1:]) for row in rows}
