"""What execution keeps: halts, their audit, and signs of life of the workers."""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from importlib.resources import files
from pathlib import Path

from libs.postgres import Pool
from services.execution.domain.halts import Halt, HaltEvent, Halts, Scope, ScopeKind

MIGRATIONS = Path(str(files("services.execution"))) / "migrations"


@dataclass(frozen=True, slots=True)
class SignOfLife:
    """A worker that wrote to the database lately."""

    name: str
    has_broker: bool
    leads: frozenset[int]


class Store:
    """Reads and rare writes; every method is one transaction and raises Unavailable."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def halts(self) -> Halts:
        """All halts in force."""
        async with self._pool.connection() as connection:
            cursor = await connection.execute(
                "SELECT scope_kind, scope_name, reason_text, actor, halted_at FROM halt"
                " ORDER BY halted_at, scope_kind, scope_name"
            )
            return Halts([_halt(row) for row in await cursor.fetchall()])

    async def halt(self, halt: Halt) -> Halt:
        """Put a halt in force; the one that stands if there is one already. Audited either way."""
        async with self._pool.connection() as connection:
            cursor = await connection.execute(
                "WITH placed AS ("
                "  INSERT INTO halt (scope_kind, scope_name, reason_text, actor, halted_at)"
                "  VALUES (%(kind)s, %(name)s, %(reason_text)s, %(actor)s, %(at)s)"
                "  ON CONFLICT (scope_kind, scope_name) DO UPDATE SET actor = halt.actor"
                "  RETURNING scope_kind, scope_name, reason_text, actor, halted_at,"
                "            xmax = 0 AS took_effect"
                "), audited AS ("
                "  INSERT INTO halt_audit"
                "    (action, scope_kind, scope_name, reason_text, actor, took_effect, at)"
                "  SELECT 'halt', %(kind)s, %(name)s, %(reason_text)s, %(actor)s,"
                "         took_effect, %(at)s FROM placed"
                ") SELECT scope_kind, scope_name, reason_text, actor, halted_at FROM placed",
                _terms(halt),
            )
            row = await cursor.fetchone()
        assert row is not None
        return _halt(row)

    async def resume(self, end: Halt) -> bool:
        """End the halt of this scope; false if there was none. Audited either way."""
        async with self._pool.connection() as connection:
            cursor = await connection.execute(
                "WITH ended AS ("
                "  DELETE FROM halt WHERE scope_kind = %(kind)s AND scope_name = %(name)s"
                "  RETURNING 1"
                "), audited AS ("
                "  INSERT INTO halt_audit"
                "    (action, scope_kind, scope_name, reason_text, actor, took_effect, at)"
                "  SELECT 'resume', %(kind)s, %(name)s, %(reason_text)s, %(actor)s,"
                "         EXISTS (SELECT FROM ended), %(at)s"
                ") SELECT EXISTS (SELECT FROM ended)",
                _terms(end),
            )
            row = await cursor.fetchone()
        return row is not None and bool(row[0])

    async def halt_events(self, *, before_id: int, limit: int) -> list[HaltEvent]:
        """What was asked for, newest first; `before_id` 0: from the newest."""
        async with self._pool.connection() as connection:
            cursor = await connection.execute(
                "SELECT id, action = 'halt', scope_kind, scope_name, reason_text, actor,"
                "       took_effect, at"
                " FROM halt_audit WHERE %(before_id)s = 0 OR id < %(before_id)s"
                " ORDER BY id DESC LIMIT %(limit)s",
                {"before_id": before_id, "limit": limit},
            )
            rows = await cursor.fetchall()
        return [
            HaltEvent(event_id, is_halt, _halt((kind, name, reason_text, actor, at)), took_effect)
            for event_id, is_halt, kind, name, reason_text, actor, took_effect, at in rows
        ]

    async def beat(self, worker: str, *, has_broker: bool, leads: Collection[int]) -> None:
        """Give a sign of life."""
        async with self._pool.connection() as connection:
            await connection.execute(
                "INSERT INTO worker (name, has_broker, leads, seen_at)"
                " VALUES (%(name)s, %(has_broker)s, %(leads)s::smallint[], clock_timestamp())"
                " ON CONFLICT (name) DO UPDATE SET has_broker = excluded.has_broker,"
                " leads = excluded.leads, seen_at = excluded.seen_at",
                {"name": worker, "has_broker": has_broker, "leads": sorted(leads)},
            )

    async def alive(self, *, within_seconds: float) -> list[SignOfLife]:
        """Workers that gave a sign of life lately, by the database's own clock."""
        async with self._pool.connection() as connection:
            cursor = await connection.execute(
                "SELECT name, has_broker, leads FROM worker"
                " WHERE seen_at > clock_timestamp() - make_interval(secs => %(seconds)s)",
                {"seconds": within_seconds},
            )
            rows = await cursor.fetchall()
        return [SignOfLife(name, has_broker, frozenset(leads)) for name, has_broker, leads in rows]

    async def leave(self, worker: str) -> None:
        """Take back the sign of life, and those of workers not seen for a day."""
        async with self._pool.connection() as connection:
            await connection.execute(
                "DELETE FROM worker WHERE name = %(name)s"
                " OR seen_at < clock_timestamp() - interval '1 day'",
                {"name": worker},
            )


def _terms(halt: Halt) -> dict[str, object]:
    return {
        "kind": halt.scope.kind.value,
        "name": halt.scope.name,
        "reason_text": halt.reason_text,
        "actor": halt.actor,
        "at": halt.halted_at,
    }


def _halt(row: tuple[str, str, str, str, datetime]) -> Halt:
    kind, name, reason_text, actor, halted_at = row
    return Halt(Scope(ScopeKind(kind), name), reason_text, actor, halted_at)
