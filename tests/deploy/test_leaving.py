"""A service ends when it is told to, and when it cannot do its work: a platform sees that."""

import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path

import psycopg
import pytest

from libs.embedded import Child, free_port
from libs.embedded.child import wait_until
from libs.probe import probe
from libs.proof.checkpoint import SigningKey
from tests.deploy import services
from tests.deploy.manifests import ROOT, compose
from tests.support.keys import Keys

_NOBODY = "127.0.0.1:1"
_EACH = pytest.mark.parametrize("name", services.WITH_DATABASE)


class Process:
    """A service as deployed, but on a database of this test and with no neighbours."""

    def __init__(self, name: str, database_url: str, keys: Keys, folder: Path) -> None:
        SigningKey.new().write(folder / "seal.pem", folder / "seal.pub")
        self.address = f"127.0.0.1:{free_port()}"
        here = {
            "DATABASE_URL": database_url,
            "JWKS_FILE": keys.jwks_file,
            "LISTEN": self.address,
            "NATS_URL": f"nats://{_NOBODY}",
            "SERVICE_TOKEN_FILE": keys.token_file(name),
            "SIGNING_KEY_FILE": str(folder / "seal.pem"),
        }
        told = compose()["services"][services.dashed(name)]["environment"]
        here["IDENTITY_CLAIM"] = told["STOCKBROKER_IDENTITY_CLAIM"]
        self._told = {
            key: here.get(key.removeprefix("STOCKBROKER_"), value and _NOBODY)
            for key, value in told.items()
        }
        self._log = folder / "log"
        self.child = Child(
            [sys.executable, "-m", services.module(name)], log=self._log, folder=ROOT
        )

    def __enter__(self) -> "Process":
        self.child.start({**os.environ, **self._told})
        return self

    def __exit__(self, *_: object) -> None:
        self.child.kill()

    @property
    def log(self) -> str:
        """What it wrote."""
        return self._log.read_text()

    def ends(self, *, seconds: float) -> bool:
        """Whether it is over within `seconds`."""
        return wait_until(lambda: not self.child.is_running, seconds=seconds)


@_EACH
def test_it_ends_when_told_also_while_there_is_no_database(
    name: str, keys: Keys, tmp_path: Path
) -> None:
    url = f"postgresql://{name}:secret@{_NOBODY}/{name}"
    with Process(name, url, keys, tmp_path) as process:
        assert wait_until(
            lambda: not probe(process.address, "liveness"), seconds=60, pause_seconds=0.2
        )
        process.child.send(signal.SIGTERM)
        assert process.ends(seconds=15), process.log
        assert process.child.returncode == 0, process.log


@_EACH
def test_it_ends_and_says_why_when_newer_software_had_its_database(
    name: str, keys: Keys, tmp_path: Path, new_database: Callable[[], str]
) -> None:
    url = new_database()
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(
            "CREATE TABLE schema_migration (name text PRIMARY KEY, sha256 text NOT NULL,"
            " applied_at timestamptz NOT NULL DEFAULT clock_timestamp())"
        )
        connection.execute("INSERT INTO schema_migration VALUES ('9999_of_tomorrow.sql', '')")
    with Process(name, url, keys, tmp_path) as process:
        assert process.ends(seconds=60), process.log
        assert process.child.returncode == 1
        assert "9999_of_tomorrow.sql is applied but its file is gone" in process.log
