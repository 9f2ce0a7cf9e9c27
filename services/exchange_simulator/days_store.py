"""The dates that an operator has given other hours. The caller owns the transaction."""

from collections.abc import Sequence
from datetime import date

from psycopg import AsyncConnection

from services.exchange_simulator.hours import Change, Session


async def read_days(connection: AsyncConnection) -> list[Change]:
    """Every one, by date."""
    cursor = await connection.execute(
        "SELECT day, opens_at, closes_at, reason_text FROM trading_day ORDER BY day"
    )
    return [
        Change(day, Session(opens_at, closes_at) if opens_at is not None else None, reason)
        for day, opens_at, closes_at, reason in await cursor.fetchall()
    ]


async def keep_days(connection: AsyncConnection, day: date, changes: Sequence[Change]) -> None:
    """Remember what of `changes` is about this date; nothing: it is as it was."""
    await connection.execute("DELETE FROM trading_day WHERE day = %s", [day])
    for change in changes:
        if change.day == day:
            session = change.session
            times = (session.opens_at, session.closes_at) if session else (None, None)
            await connection.execute(
                "INSERT INTO trading_day (day, opens_at, closes_at, reason_text)"
                " VALUES (%s, %s, %s, %s)",
                [day, *times, change.reason],
            )
