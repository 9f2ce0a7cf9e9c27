"""What runs share: one PostgreSQL with a migrated database per service, keys and tokens."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg

from deploy import keys
from libs.embedded import Postgres
from libs.postgres import migrate
from simulation.database import Database
from simulation.house import MIGRATIONS
from simulation.run import Tools, tokens_of

_SIMULATED_TIME = """
CREATE SCHEMA sim;
CREATE FUNCTION sim.clock_timestamp() RETURNS timestamptz LANGUAGE sql STABLE
RETURN coalesce(
    nullif(current_setting('simulation.now', true), ''), '2026-01-05 15:00Z'
)::timestamptz;
"""


@contextmanager
def tools(postgres: Postgres, folder: Path, *, prefix: str = "") -> Iterator[Tools]:
    """Fresh databases on `postgres` and keys below `folder`.

    In them clock_timestamp() tells the simulated time: sim stands before pg_catalog.
    """
    keys.make(folder)
    databases = {}
    try:
        for name, migrations in MIGRATIONS.items():
            postgres.create_role_and_database(prefix + name)
            url = postgres.url(prefix + name, "postgres")
            with psycopg.connect(url, autocommit=True) as connection:
                connection.execute(_SIMULATED_TIME)
            path = f"{url}?options=-csearch_path%3Dsim%2Cpg_catalog"
            asyncio.run(migrate(path, migrations))
            databases[name] = Database(name, url)
        yield Tools(databases, folder, tokens_of(folder))
    finally:
        for name, database in databases.items():
            database.close()
            postgres.drop_role_and_database(prefix + name)
