"""A service that is told to end while it starts ends, whatever it waits for."""

import os
import signal
import sys
from pathlib import Path

import pytest

from libs.embedded import Child, free_port
from libs.embedded.child import wait_until
from libs.probe import probe
from libs.proof.checkpoint import SigningKey
from tests.deploy import services
from tests.deploy.manifests import ROOT, compose
from tests.support.keys import Keys

_NOBODY = "127.0.0.1:1"


@pytest.mark.parametrize("name", services.WITH_DATABASE)
def test_it_ends_when_told_also_while_there_is_no_database(
    name: str, keys: Keys, tmp_path: Path
) -> None:
    SigningKey.new().write(tmp_path / "seal.pem", tmp_path / "seal.pub")
    address = f"127.0.0.1:{free_port()}"
    here = {
        "DATABASE_URL": f"postgresql://{name}:secret@{_NOBODY}/{name}",
        "JWKS_FILE": keys.jwks_file,
        "LISTEN": address,
        "NATS_URL": f"nats://{_NOBODY}",
        "SERVICE_TOKEN_FILE": keys.token_file(name),
        "SIGNING_KEY_FILE": str(tmp_path / "seal.pem"),
    }
    told = {
        variable: here.get(variable.removeprefix("STOCKBROKER_"), _NOBODY)
        for variable in compose()["services"][services.dashed(name)]["environment"]
    }
    command = [sys.executable, "-m", services.module(name)]
    child = Child(command, log=tmp_path / "log", folder=ROOT)
    child.start({**os.environ, **told})
    try:
        assert wait_until(lambda: not probe(address, "liveness"), seconds=60, pause_seconds=0.2)
        child.send(signal.SIGTERM)
        assert wait_until(lambda: not child.is_running, seconds=15), (tmp_path / "log").read_text()
    finally:
        child.kill()
