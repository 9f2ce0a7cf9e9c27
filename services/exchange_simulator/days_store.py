"""The dates that an operator has given other hours. The caller owns the transaction."""

from datetime import date

from psycopg import AsyncConnection

from services.exchange_simulator.fence import hold
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


async def keep_day(
    connection: AsyncConnection, epoch: int, day: date, change: Change | None
) -> None:
    """Remember the hours of a date; None: those of the calendar. Raises Superseded."""
    await hold(connection, epoch)
    await connection.execute("DELETE FROM trading_day WHERE day = %s", [day])
    if change is not None:
        session = change.session
        times = (session.opens_at, session.closes_at) if session else (None, None)
        await connection.execute(
            "INSERT INTO trading_day (day, opens_at, closes_at, reason_text)"
            " VALUES (%s, %s, %s, %s)",
            [day, *times, change.reason],
        )
