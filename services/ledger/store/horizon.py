"""Up to where entries are archived.

A month is declared archived in the transaction that takes its entries out. So who reads entries
first, and then looks up to where they are archived, never takes what is left of a month for all of
it.
"""

from datetime import datetime

import msgspec
from psycopg import AsyncConnection

from libs.reasons import Reason
from libs.refusals import Archived

READ_HORIZON = """
    SELECT last_transfer_seq, recorded_until, effective_until
    FROM archived_month
    ORDER BY month DESC
    LIMIT 1
"""


class Horizon(msgspec.Struct, frozen=True):
    """Of transfers up to `seq` entries are archived; 0: of none, and the times are None."""

    seq: int = 0
    recorded_until: datetime | None = None  # when the last of them was recorded
    effective_until: datetime | None = None  # when the latest of them was effective, if not before


async def read_horizon(connection: AsyncConnection) -> Horizon:
    """As it is now."""
    cursor = await connection.execute(READ_HORIZON)
    row = await cursor.fetchone()
    return Horizon() if row is None else Horizon(*row)


async def check_archived(connection: AsyncConnection, after: int) -> None:
    """See that all entries of transfers above `after`, which were read before, were there.

    Raises Archived.
    """
    horizon = await read_horizon(connection)
    if after < horizon.seq:
        raise archived(horizon)


def archived(horizon: Horizon) -> Archived:
    """What is asked for needs entries that are archived."""
    return _refusal(horizon, "recorded", horizon.recorded_until)


def archived_as_of(horizon: Horizon) -> Archived:
    """A figure as of a time is asked for at which something archived was not effective yet."""
    return _refusal(horizon, "effective", horizon.effective_until)


def _refusal(horizon: Horizon, what: str, until: datetime | None) -> Archived:
    told = until.isoformat() if until else ""
    return Archived(
        Reason.REASON_HISTORY_ARCHIVED,
        f"entries of transfers up to {horizon.seq}, {what} until {told}, are archived",
        archived_through_seq=str(horizon.seq),
        archived_until=told,
    )
