"""The partitions of the months to come, made while the months are still to come."""

from collections.abc import Sequence

import psycopg
import structlog

from libs.clock import Clock
from libs.months import Month, MonthlyTable, months_between
from libs.postgres.lost import TIMEOUTS
from libs.postgres.partitions import ensure

_MONTHS_AHEAD = 3  # this one and the two after it
_DAY_SECONDS = 86_400.0
_SOON_SECONDS = 60.0
_log = structlog.get_logger()


async def look_ahead(dsn: str, tables: Sequence[MonthlyTable], clock: Clock) -> None:
    """See to it that this month and the next two have their partitions."""
    this = Month.of(clock.now())
    months = list(months_between(this, this.plus(_MONTHS_AHEAD)))
    connection = await psycopg.AsyncConnection.connect(
        dsn, autocommit=True, application_name="months", **TIMEOUTS
    )
    async with connection:
        for table in tables:
            await ensure(connection, table, months)


async def keep_ahead(dsn: str, tables: Sequence[MonthlyTable], clock: Clock) -> None:
    """Look ahead now and once a day, for ever.

    Where that fails, again in a minute: nothing waits for it, since what finds no partition of its
    own goes to the default one.
    """
    while True:
        seconds = _DAY_SECONDS
        try:
            await look_ahead(dsn, tables, clock)
        except psycopg.Error as error:
            _log.warning("months_not_made", error=str(error).strip())
            seconds = _SOON_SECONDS
        await clock.sleep(seconds)
