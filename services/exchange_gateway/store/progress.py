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


async def lock(connection: psycopg.AsyncConnection, seat: Seat, step: Step) -> int:
    """The step's next number, held until the transaction ends. Raises Deposed."""
    cursor = await connection.execute(
        "SELECT next_seq FROM progress"
        " WHERE session_id = %(session_id)s AND lane = %(lane)s AND term = %(term)s FOR UPDATE",
        {"session_id": seat.session_id, "lane": step, "term": seat.term},
    )
    row = await cursor.fetchone()
    if row is None:
        raise Deposed
    return int(row[0])


async def advance(connection: psycopg.AsyncConnection, seat: Seat, *steps: Step, to: int) -> None:
    """Move the steps on to `to`, never back. Raises Deposed."""
    cursor = await connection.execute(
        "UPDATE progress SET next_seq = greatest(next_seq, %(to)s)"
        " WHERE session_id = %(session_id)s AND lane = ANY(%(lanes)s) AND term = %(term)s",
        {"session_id": seat.session_id, "lanes": list(steps), "term": seat.term, "to": to},
    )
    if cursor.rowcount != len(steps):
        raise Deposed
