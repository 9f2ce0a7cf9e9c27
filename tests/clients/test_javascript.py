"""The JavaScript client in web/, under Node by gRPC-web, against a running house."""

import os
import re
import shutil
import subprocess
import uuid
from pathlib import Path

import pytest

from tests.support.house import House

WEB = Path(__file__).parents[2] / "web"
OLDEST_NODE = 20
# Packages come out of npm's cache where it has them; without a network it shall give up at once.
INSTALL = ("npm", "ci", "--prefer-offline", "--fetch-retries=0")

pytestmark = pytest.mark.xdist_group("house")


def _run(
    *command: str, seconds: int, environment: dict[str, str] | None = None
) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        command,
        cwd=WEB,
        env={**os.environ, "FORCE_COLOR": "0", **(environment or {})},
        capture_output=True,
        text=True,
        timeout=seconds,
        check=False,
    )


def _packages_are_there() -> bool:
    """Whether node_modules is what the lock file says."""
    installed = WEB / "node_modules" / ".package-lock.json"
    lock = WEB / "package-lock.json"
    return installed.exists() and installed.stat().st_mtime >= lock.stat().st_mtime


@pytest.fixture(scope="module")
def web() -> Path:
    """The folder of the client, with its packages and the contracts' code; else a skip.

    Where CI is set there is no excuse: what is missing fails.
    """
    lack = pytest.fail if os.environ.get("CI") else pytest.skip
    if not shutil.which("node") or not shutil.which("npm"):
        lack("the JavaScript client needs node and npm")
    version = _run("node", "--version", seconds=30).stdout.strip()
    if int(version.lstrip("v").split(".")[0]) < OLDEST_NODE:
        lack(f"the JavaScript client needs Node {OLDEST_NODE} or newer, this is {version}")
    if not _packages_are_there():
        installed = _run(*INSTALL, seconds=100)
        if installed.returncode != 0:
            lack(f"npm cannot install the packages: {installed.stderr.strip()[-300:]}")
    generated = _run("npm", "run", "generate", seconds=60)
    assert generated.returncode == 0, generated.stderr
    return WEB


@pytest.mark.timeout(300)
async def test_the_javascript_client_keeps_its_promises(web: Path, house: House) -> None:
    customer, other = (f"js{uuid.uuid4().hex[:12]}" for _ in range(2))
    await house.endow(customer, cash=10**12)
    environment = {
        "STOCKBROKER_ADDRESS": f"http://{house.public_address}",
        "STOCKBROKER_TOKEN": house.token(customer),
        "STOCKBROKER_OTHER_TOKEN": house.token(other),
    }
    result = _run("npm", "test", "--", "--test-reporter=tap", seconds=200, environment=environment)
    assert result.returncode == 0, result.stdout + result.stderr
    passed = re.search(r"^# pass (\d+)$", result.stdout, re.MULTILINE)
    claims = re.findall(r'^test\("', (web / "client.test.js").read_text(), re.MULTILINE)
    assert passed is not None
    assert int(passed[1]) == len(claims) > 0


def test_the_lock_file_names_no_registry() -> None:
    assert '"resolved"' not in (WEB / "package-lock.json").read_text()
