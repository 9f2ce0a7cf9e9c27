"""A service that cannot start says why in a sentence; one that can takes what it may have."""

import contextlib
import json
import os
import resource
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from libs.auth import make_key
from libs.probe import probe
from libs.proof.checkpoint import SigningKey


def _environment(folder: Path) -> dict[str, str]:
    """All a ledger needs but its database, which it would wait for."""
    make_key(folder / "signing.pem", folder / "jwks.json")
    SigningKey.new().write(folder / "ledger.pem", folder / "ledger.pub")
    return {
        "STOCKBROKER_DATABASE_URL": "postgresql://ledger@127.0.0.1:1/ledger",
        "STOCKBROKER_JWKS_FILE": str(folder / "jwks.json"),
        "STOCKBROKER_SIGNING_KEY_FILE": str(folder / "ledger.pem"),
    }


def _run(environment: dict[str, str]) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "-m", "services.ledger.main"],
        env=os.environ | environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


@pytest.mark.parametrize(
    ("setting", "words"),
    [("JWKS_FILE", "no set of public keys"), ("SIGNING_KEY_FILE", "no private key in PEM")],
)
@pytest.mark.parametrize("content", [None, "nonsense"])
def test_a_file_that_is_not_there_or_not_what_it_should_be_is_named(
    tmp_path: Path, setting: str, words: str, content: str | None
) -> None:
    file = tmp_path / "given"
    if content is not None:
        file.write_text(content)

    ended = _run(_environment(tmp_path) | {f"STOCKBROKER_{setting}": str(file)})

    assert ended.returncode == 1
    (told,) = map(json.loads, ended.stdout.splitlines())
    assert told["event"] == "not_started"
    assert str(file) in told["error"]
    assert (words if content else "No such file") in told["error"]
    assert not ended.stderr


@pytest.mark.parametrize("setting", ["LISTEN", "METRICS_LISTEN"])
def test_a_port_in_use_is_named(tmp_path: Path, setting: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        ended = _run(_environment(tmp_path) | {f"STOCKBROKER_{setting}": address})

    assert ended.returncode == 1
    (told,) = map(json.loads, ended.stdout.splitlines())
    assert told["event"] == "not_started"
    assert address in told["error"]
    assert "Traceback" not in ended.stderr  # gRPC has a line of its own


def test_an_address_of_a_database_that_is_none_is_refused_and_not_shown(tmp_path: Path) -> None:
    ended = _run(_environment(tmp_path) | {"STOCKBROKER_DATABASE_URL": "secret of nobody"})

    assert ended.returncode == 2
    assert ended.stderr == (
        "stockbroker: setting STOCKBROKER_DATABASE_URL is no address of a database\n"
    )


def test_what_took_too_long_at_the_start_is_told_with_its_place(tmp_path: Path) -> None:
    program = tmp_path / "late.py"
    program.write_text(
        "import contextlib, msgspec\n"
        "from libs import process\n"
        "@contextlib.asynccontextmanager\n"
        "async def house(settings):\n"
        "    raise TimeoutError\n"
        "    yield\n"
        "process.run('late', msgspec.defstruct('Settings', []), house)\n"
    )

    ended = subprocess.run(
        [sys.executable, str(program)],
        env=os.environ | {"PYTHONPATH": str(Path(__file__).parents[2])},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )

    assert ended.returncode == 1
    assert "late.py" in ended.stderr
    assert "TimeoutError" in ended.stderr


def _begin_with_few_files() -> None:
    """As a container of today does."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (100, most))


def test_it_takes_as_many_connections_as_the_system_allows(tmp_path: Path) -> None:
    with contextlib.ExitStack() as stack:
        service = stack.enter_context(
            subprocess.Popen(
                [sys.executable, "-m", "services.ledger.main"],
                env=os.environ | _environment(tmp_path),
                stdout=subprocess.PIPE,
                preexec_fn=_begin_with_few_files,
            )
        )
        stack.callback(service.kill)
        assert service.stdout is not None
        lines = map(json.loads, service.stdout)
        address = next(line["listen"] for line in lines if line["event"] == "started")
        host, _, port = address.partition(":")
        for _ in range(200):
            stack.enter_context(socket.create_connection((host, int(port))))
        assert probe(address, "liveness") == ""
