"""The house of docker-compose.yml, without an engine: each container a process with an address.

Commands, settings and secrets are those of the file; what an engine would do is done by hand: a
loopback address stands for each host, a folder for the volume. A trade is placed by command line.
"""

import contextlib
import json
import os
import re
import secrets
import subprocess
import sys
import sysconfig
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from psycopg.conninfo import conninfo_to_dict

from deploy import keys
from libs.embedded import Child, Postgres
from libs.embedded.child import wait_until
from libs.probe import probe
from tests.deploy import services
from tests.deploy.manifests import GRPC_PORT, ROOT, compose
from tests.deploy.test_databases import run_script
from tests.support.provider import Provider

_PROGRAMS = Path(sysconfig.get_path("scripts"))
_START_SECONDS = 60.0


class Rehearsal:
    """The containers as processes below `folder`; `told` is what .env says."""

    def __init__(self, postgres: Postgres, folder: Path, told: Mapping[str, str]) -> None:
        self._postgres = postgres
        self._folder = folder
        self._told = told
        self._house = compose(told)["services"]
        self._configs = compose(told)["configs"]
        # A network of this run alone, out of the sixteen million loopback addresses.
        network = f"127.{secrets.randbelow(200) + 20}.{secrets.randbelow(250) + 1}"
        self._hosts = {
            name: f"{network}.{number}" for number, name in enumerate(self._house, start=10)
        }
        self._children: dict[str, Child] = {}

    def start(self) -> None:
        """What `docker compose up` does, in its order."""
        keys.make(self._folder / "secrets")
        superuser = conninfo_to_dict(self._postgres.url("postgres", "postgres"))
        password = self._folder / "secrets" / "databases" / "superuser.password"
        password.write_text(str(superuser["password"]))
        done = run_script(self._postgres, password.parent, *services.WITH_DATABASE)
        assert done.returncode == 0, done.stderr
        self._start_nats()
        for name in services.WITH_DATABASE:
            self._start(name)
        self._start("edge")
        for name in services.WITH_DATABASE:
            self._wait(name)

    def stop(self) -> None:
        """End everything, callers first."""
        for child in reversed(self._children.values()):
            child.stop(seconds=10)
        for name in services.WITH_DATABASE:
            self._postgres.drop_role_and_database(name)

    def kill(self, name: str) -> None:
        """kill -9 of a service; nobody starts it again here."""
        self._children[name].kill()

    def command_line(self, *arguments: str, token: str = "") -> subprocess.CompletedProcess[str]:
        """`docker compose run --rm cli ...`, with the token in STOCKBROKER_TOKEN."""
        cli = compose({**self._told, "STOCKBROKER_TOKEN": token})["services"]["cli"]
        notes = self._folder / "secrets" / "cli"
        house = json.loads((notes / "house.json").read_text())
        for door in ("public", "operators"):
            house[door] = self._here(house[door])
        (notes / "house.json").write_text(json.dumps(house))
        return subprocess.run(
            [sys.executable, *cli["entrypoint"][1:], *arguments],
            env=self._environment(cli["environment"], {"/secrets/cli": str(notes)}),
            cwd=ROOT,
            capture_output=True,
            text=True,
            check=False,
        )

    def keeps_a_checkpoint(self) -> bool:
        """Whether the ledger does, within seconds of what it signed."""
        kept = self._folder / "secrets" / "kept" / "seal.checkpoint"
        return wait_until(kept.exists, seconds=10)

    def _start_nats(self) -> None:
        text = (ROOT / "deploy" / "nats.conf").read_text()
        text = text.replace("0.0.0.0", self._hosts["nats"])
        path = self._folder / "nats.conf"
        path.write_text(text.replace("/data", str(self._folder / "nats")))
        self._run("nats", [str(_PROGRAMS / "nats-server"), "-c", str(path)], dict(os.environ))

    def _start(self, name: str) -> None:
        service = self._house[services.dashed(name)]
        folders = {
            volume["target"]: str(self._folder / "secrets" / volume["volume"]["subpath"])
            for volume in service["volumes"]
        }
        folders |= {f"/{name}": self._configs[name]["file"] for name in service["configs"]}
        told = self._environment(service["environment"], folders)
        host = self._hosts[services.dashed(name)]
        told = {key: value.replace("0.0.0.0", host) for key, value in told.items()}
        told["STOCKBROKER_CONFIG_FILE"] = str(self._folder / "envoy.yaml")  # its own /tmp
        told["STOCKBROKER_ADMIN_LISTEN"] = f"{host}:9901"  # and loopback
        self._run(name, [sys.executable, *service["command"][1:]], told)

    def _run(self, name: str, command: list[str], told: dict[str, str]) -> None:
        child = Child(command, log=self._folder / f"{name}.log", folder=ROOT)
        child.start(told)
        self._children[name] = child

    def _environment(self, told: dict[str, str], paths: dict[str, str]) -> dict[str, str]:
        here = {key: self._here(value) for key, value in told.items()}
        for there, path in paths.items():
            here = {key: value.replace(there, path) for key, value in here.items()}
        return {**os.environ, **here}

    def _here(self, value: str) -> str:
        """The same with addresses of this machine for names of hosts."""
        value = value.replace("@postgres/", f"@127.0.0.1:{self._postgres.port}/")
        return re.sub(
            r"(?<![\w-])([a-z-]+):(\d+)",
            lambda m: f"{self._hosts[m[1]]}:{m[2]}" if m[1] in self._hosts else m[0],
            value,
        )

    def _wait(self, name: str) -> None:
        """Until the health check of the file passes."""
        *_, asked = self._house[services.dashed(name)]["healthcheck"]["test"]
        address = f"{self._hosts[services.dashed(name)]}:{GRPC_PORT}"
        deadline = time.monotonic() + _START_SECONDS
        while fault := probe(address, asked):
            log = (self._folder / f"{name}.log").read_text()
            assert time.monotonic() < deadline, f"{name}: {fault}\n{log[-3000:]}"
            time.sleep(0.1)


@pytest.fixture
def provider(tmp_path: Path) -> Provider:
    return Provider(tmp_path)


@pytest.fixture
def rehearsal(
    request: pytest.FixtureRequest, postgres: Postgres, provider: Provider, tmp_path: Path
) -> Iterator[Rehearsal]:
    """Of a house that names everybody itself, or (parameter True) whose provider does."""
    named = {
        "STOCKBROKER_IDENTITY_ISSUER": provider.issuer,
        "STOCKBROKER_IDENTITY_JWKS_FILE": provider.jwks_file,
    }
    rehearsal = Rehearsal(postgres, tmp_path, named if getattr(request, "param", False) else {})
    with contextlib.ExitStack() as stack:
        stack.callback(rehearsal.stop)
        rehearsal.start()
        yield rehearsal


def _answer(done: subprocess.CompletedProcess[str]) -> dict[str, Any]:
    assert done.returncode == 0, done.stdout + done.stderr
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


@pytest.mark.timeout(240)
def test_a_trade_goes_through_the_house_of_the_file_which_tells_how_it_stands(
    rehearsal: Rehearsal,
) -> None:
    _deposit(rehearsal)
    placed = _answer(rehearsal.command_line("place", "AAPL", "buy", "10", "--json"))
    assert placed["trade"]["status"] == "TRADE_STATUS_FILLED"
    portfolio = rehearsal.command_line("portfolio", "--json")
    assert portfolio.returncode == 0, portfolio.stderr
    (position,) = json.loads(portfolio.stdout)["positions"]
    assert (position["symbol"], int(position["quantity"])) == ("AAPL", 10)
    assert rehearsal.keeps_a_checkpoint()
    assert _health(rehearsal, ends_with=0) == dict.fromkeys(services.WITH_DATABASE, "SERVING")
    rehearsal.kill("ledger")
    assert _health(rehearsal, ends_with=4)["ledger"] == "UNAVAILABLE"


@pytest.mark.timeout(240)
@pytest.mark.parametrize("rehearsal", [True], indirect=True, ids=["provider"])
def test_a_provider_in_env_names_people_and_the_house_its_services_alone(
    rehearsal: Rehearsal, provider: Provider
) -> None:
    _deposit(rehearsal, token=provider.token("olivia", aud="stockbroker-ops"))
    placed = rehearsal.command_line("place", "AAPL", "buy", "10", "--json", token=provider.token())
    assert _answer(placed)["trade"]["status"] == "TRADE_STATUS_FILLED"
    minted_by_the_house = rehearsal.command_line("portfolio")
    assert "UNAUTHENTICATED" in minted_by_the_house.stderr


def _deposit(rehearsal: Rehearsal, *, token: str = "") -> None:
    """Give alice money, as soon as the house takes it."""
    command = ("deposit", "alice", "100000", "--json")
    deadline = time.monotonic() + _START_SECONDS
    while (done := rehearsal.command_line(*command, token=token)).returncode:
        assert time.monotonic() < deadline, done.stdout + done.stderr


def _health(rehearsal: Rehearsal, *, ends_with: int) -> dict[str, str]:
    """What `status` says of each service, through the operators' door."""
    done = rehearsal.command_line("status", "--json")
    assert done.returncode == ends_with, done.stdout + done.stderr
    return {one["name"]: one["health"] for one in json.loads(done.stdout)["services"]}
