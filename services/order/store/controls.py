"""What operators have set."""

from collections.abc import Sequence
from typing import Any

import psycopg

from services.order.domain.controls.changing import Change
from services.order.domain.controls.setting import Action, Control, Scope, Setting, Terms


class Settings:
    """The history of settings. Only ever added to."""

    def __init__(self, connection: psycopg.AsyncConnection) -> None:
        self._connection = connection

    async def after(self, version: int) -> list[Setting]:
        """Those newer than that, in order."""
        cursor = await self._connection.execute(
            """
            SELECT version, control, customer_id, symbol, action, limit_amount, seconds,
                passes_without_price, effective_at, actor, reason_text, recorded_at
            FROM control_setting
            WHERE version > %(version)s
            ORDER BY version
            """,
            {"version": version},
            binary=True,
        )
        return [_setting_from(row) async for row in cursor]

    async def add(self, change: Change) -> Setting:
        """The next version. In a transaction of its own: versions are committed in their order.

        A change that is on record already, by a commit that was not answered, is not added again.
        """
        await self._connection.execute("LOCK TABLE control_setting IN SHARE ROW EXCLUSIVE MODE")
        terms = change.terms
        cursor = await self._connection.execute(
            """
            WITH before AS (
                SELECT * FROM control_setting
                WHERE (control, customer_id, symbol, action, limit_amount, seconds,
                        passes_without_price, effective_at, actor, reason_text, recorded_at)
                    = (%(control)s, %(customer_id)s, %(symbol)s, %(action)s, %(limit)s, %(seconds)s,
                        %(passes)s, %(effective_at)s, %(actor)s, %(reason_text)s, %(recorded_at)s)
            ), added AS (
                INSERT INTO control_setting (version, control, customer_id, symbol, action,
                    limit_amount, seconds, passes_without_price, effective_at, actor, reason_text,
                    recorded_at)
                SELECT coalesce(max(version), 0) + 1, %(control)s, %(customer_id)s, %(symbol)s,
                    %(action)s, %(limit)s, %(seconds)s, %(passes)s, %(effective_at)s, %(actor)s,
                    %(reason_text)s, %(recorded_at)s
                FROM control_setting
                HAVING NOT EXISTS (SELECT FROM before)
                RETURNING *
            )
            SELECT version, control, customer_id, symbol, action, limit_amount, seconds,
                passes_without_price, effective_at, actor, reason_text, recorded_at
            FROM (TABLE before UNION ALL TABLE added) AS recorded
            """,
            {
                "control": int(terms.control),
                "customer_id": terms.scope.customer_id,
                "symbol": terms.scope.symbol,
                "action": int(terms.action),
                "limit": terms.limit,
                "seconds": terms.seconds,
                "passes": terms.passes_without_price,
                "effective_at": change.effective_at,
                "actor": change.actor,
                "reason_text": change.reason_text,
                "recorded_at": change.recorded_at,
            },
            binary=True,
        )
        row = await cursor.fetchone()
        if row is None:
            raise LookupError("neither on record nor added")
        return _setting_from(row)


def _setting_from(row: Sequence[Any]) -> Setting:
    version, control, customer_id, symbol, action, limit, seconds, passes, *record = row
    effective_at, actor, reason_text, recorded_at = record
    return Setting(
        version=version,
        terms=Terms(
            control=Control(control),
            scope=Scope(customer_id, symbol),
            action=Action(action),
            limit=limit,
            seconds=seconds,
            passes_without_price=passes,
        ),
        effective_at=effective_at,
        actor=actor,
        reason_text=reason_text,
        recorded_at=recorded_at,
    )
