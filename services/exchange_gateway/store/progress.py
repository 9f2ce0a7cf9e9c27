"""How far each lane has come, and the fence that keeps out who lost the session."""

from dataclasses import dataclass
from enum import StrEnum

import psycopg

from libs.refusals import Unavailable
from stockbroker.common.v1.reason_pb2 import Reason


class Deposed(Unavailable):
    """Another process holds the session now."""

    def __init__(self) -> None:
        super().__init__(Reason.REASON_UNAVAILABLE, "another process holds the session")


class Step(StrEnum):
    """What `next_seq` counts."""

    COMMANDS = "commands"
    STORED = "stored"
    JUDGED = "judged"
    DELIVERED = "delivered"


@dataclass(frozen=True, slots=True)
class Seat:
    """The right to speak for a session: good while no other process has raised the term."""

    session_id: str
    term: int


@dataclass(frozen=True, slots=True)
class Positions:
    """What has been asked for, and is looked at once more is on its way."""

    cursor: psycopg.AsyncCursor

    async def one(self) -> int:
        """Of the only step. Raises Deposed."""
        row = await self.cursor.fetchone()
        if row is None:
            raise Deposed
        return int(row[1])

    async def both(self) -> tuple[int, int]:
        """The next report to store, and to judge. Raises Deposed."""
        found: dict[str, int] = dict(await self.cursor.fetchall())
        if len(found) != 2:
            raise Deposed
        return found[Step.STORED], found[Step.JUDGED]


async def lock(connection: psycopg.AsyncConnection, seat: Seat, step: Step) -> Positions:
    """The step's next number, held until the transaction ends."""
    cursor = await connection.execute(
        "SELECT lane, next_seq FROM progress"
        " WHERE session_id = %(session_id)s AND lane = %(lane)s AND term = %(term)s FOR UPDATE",
        {"session_id": seat.session_id, "lane": step, "term": seat.term},
    )
    return Positions(cursor)


async def lock_reports(connection: psycopg.AsyncConnection, seat: Seat) -> Positions:
    """Both steps that reports take here, held until the transaction ends."""
    cursor = await connection.execute(
        "SELECT lane, next_seq FROM progress"
        " WHERE session_id = %(session_id)s AND lane IN ('stored', 'judged') AND term = %(term)s"
        " ORDER BY lane DESC FOR UPDATE",
        {"session_id": seat.session_id, "term": seat.term},
    )
    return Positions(cursor)


async def advance(
    connection: psycopg.AsyncConnection, seat: Seat, *steps: Step, to: int, is_locked: bool = False
) -> None:
    """Move the steps on to `to`, never back. Raises Deposed, which cannot be if they are locked."""
    cursor = await connection.execute(
        "UPDATE progress SET next_seq = greatest(next_seq, %(to)s)"
        " WHERE session_id = %(session_id)s AND lane = ANY(%(lanes)s) AND term = %(term)s"
        " RETURNING lane",
        {"session_id": seat.session_id, "lanes": list(steps), "term": seat.term, "to": to},
    )
    if not is_locked and len(await cursor.fetchall()) != len(steps):
        raise Deposed
