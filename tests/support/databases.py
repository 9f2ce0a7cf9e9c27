"""Databases for tests: fresh ones by the hundred, cheaply."""

import asyncio
import itertools
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psycopg
from psycopg import sql

from libs.embedded import Postgres
from libs.postgres import migrate

_numbers = itertools.count(1)


class Databases:
    """On one server. Those made with the same migrations are copies of one that was migrated."""

    def __init__(self, server: Postgres) -> None:
        self._server = server
        self._connection = psycopg.connect(server.url("postgres"), autocommit=True)
        self._migrated: dict[Path, str] = {}  # what to copy, which is its owner's name too

    def close(self) -> None:
        """Disconnect."""
        self._connection.close()

    def make(self, migrations: Path | None = None) -> str:
        """The URL of a new database with these migrations applied; without any it is empty, and
        has a role of its own."""
        name = f"test_{next(_numbers)}"
        if migrations is None:
            self._server.create_role_and_database(name)
            return self._server.url(name)
        model = self._model(migrations)
        self._connection.execute(
            sql.SQL("CREATE DATABASE {} TEMPLATE {} OWNER {}").format(
                *map(sql.Identifier, (name, model, model))
            )
        )
        return self._server.url(name, model)

    def drop(self, url: str) -> None:
        """Do away with what was made, whoever is connected."""
        parts = psycopg.conninfo.conninfo_to_dict(url)
        name, role = str(parts["dbname"]), str(parts["user"])
        if name == role:
            self._server.drop_role_and_database(name)
            return
        self._connection.execute(
            sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(name))
        )

    def _model(self, migrations: Path) -> str:
        if migrations not in self._migrated:
            name = f"model_{len(self._migrated) + 1}"
            self._server.create_role_and_database(name)
            with ThreadPoolExecutor(1) as beside:  # whatever loop runs here
                beside.submit(asyncio.run, migrate(self._server.url(name), migrations)).result()
            self._migrated[migrations] = name
        return self._migrated[migrations]
