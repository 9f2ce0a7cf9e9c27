"""NATS takes our configurations, and what it acknowledges is on the disk."""

import asyncio
import http.client
import json
import os
import re
import subprocess
import sysconfig
from collections.abc import AsyncIterator
from pathlib import Path

import nats
import pytest
from nats.js.api import StreamConfig

from libs.embedded import free_port
from tests.deploy.manifests import (
    K8S,
    OVERLAYS,
    ROOT,
    container,
    named,
    needs_kubectl,
    of_kind,
    rendered,
)
from tests.support.wait import until

_CLUSTER = K8S / "base" / "nats.conf"
_CONFIGURATIONS = (ROOT / "deploy" / "nats.conf", _CLUSTER, K8S / "overlays" / "dev" / "nats.conf")
_SERVER = str(Path(sysconfig.get_path("scripts")) / "nats-server")
# As the manifest passes it: in quotes, for it may look like a number.
_TOLD = {"POD_NAME": "nats-0", "NATS_PASSWORD": '"12e5"'}


def _is_taken(path: Path) -> bool:
    done = subprocess.run(
        [_SERVER, "-t", "-c", str(path)],
        env={**os.environ, **_TOLD},
        capture_output=True,
        check=False,
    )
    return done.returncode == 0


@pytest.mark.parametrize("path", _CONFIGURATIONS, ids=lambda path: str(path.parent.name))
def test_the_server_takes_it(path: Path, tmp_path: Path) -> None:
    assert _is_taken(path)
    broken = tmp_path / "nats.conf"
    broken.write_text(path.read_text().replace("sync_interval: always", "sync_interval: often"))
    assert not _is_taken(broken)


@pytest.mark.parametrize("path", _CONFIGURATIONS, ids=lambda path: str(path.parent.name))
def test_each_syncs_before_it_acknowledges(path: Path) -> None:
    assert "  sync_interval: always\n" in path.read_text()


@needs_kubectl
@pytest.mark.parametrize("overlay", OVERLAYS)
def test_what_it_keeps_in_memory_is_less_than_its_pod_has(overlay: str) -> None:
    manifests = rendered(overlay)
    (configuration,) = of_kind(manifests, "ConfigMap")
    (kept,) = re.findall(r"max_memory_store: (\d+)MB", configuration["data"]["nats.conf"])
    limit = container(named(manifests, "StatefulSet", "nats"))["resources"]["limits"]["memory"]
    assert limit.endswith("Gi")
    assert int(kept) * 10**6 <= int(limit.removesuffix("Gi")) * 2**30 / 2


class Nodes:
    """Three servers with the configuration of the cluster, on this machine's ports."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._clients = [free_port() for _ in range(3)]
        self._routes = [free_port() for _ in range(3)]
        self._monitors = [free_port() for _ in range(3)]
        self._processes: dict[int, asyncio.subprocess.Process] = {}

    def configuration(self, number: int) -> str:
        """The file as deployed, with hosts and ports of here."""
        text = _CLUSTER.read_text()
        text = text.replace("0.0.0.0:4222", f"127.0.0.1:{self._clients[number]}")
        text = text.replace("0.0.0.0:8222", f"127.0.0.1:{self._monitors[number]}")
        text = text.replace("0.0.0.0:6222", f"127.0.0.1:{self._routes[number]}")
        for other in range(3):
            host = f"nats-{other}.nats-nodes:6222"
            assert host in text
            text = text.replace(host, f"127.0.0.1:{self._routes[other]}")
        return text.replace("/data", str(self._folder / str(number))).replace(
            "/tmp/nats.pid", str(self._folder / f"{number}.pid")
        )

    async def start(self) -> None:
        """All three at once, as the StatefulSet starts them."""
        for number in range(3):
            path = self._folder / f"{number}.conf"
            path.write_text(self.configuration(number))
            self._processes[number] = await asyncio.create_subprocess_exec(
                _SERVER,
                "-c",
                str(path),
                env={**os.environ, **_TOLD, "POD_NAME": f"nats-{number}"},
                stderr=asyncio.subprocess.DEVNULL,
            )

    async def kill(self, number: int) -> None:
        """kill -9."""
        process = self._processes.pop(number)
        process.kill()
        await process.wait()

    async def stop(self) -> None:
        """End what still runs."""
        for number in list(self._processes):
            await self.kill(number)

    def urls(self) -> list[str]:
        """How clients get in."""
        return [f"nats://stockbroker:12e5@127.0.0.1:{port}" for port in self._clients]

    def answers(self, path: str) -> bool:
        """Whether every node that runs says 200."""
        return all(self._get(number, path)[0] == 200 for number in self._processes)

    def told(self, number: int, path: str) -> dict[str, object]:
        """What a node says of itself."""
        found: dict[str, object] = json.loads(self._get(number, path)[1])
        return found

    def _get(self, number: int, path: str) -> tuple[int, bytes]:
        connection = http.client.HTTPConnection("127.0.0.1", self._monitors[number], timeout=2)
        try:
            connection.request("GET", path)
            answer = connection.getresponse()
            return answer.status, answer.read()
        except OSError:
            return 0, b""
        finally:
            connection.close()


@pytest.fixture
async def nodes(tmp_path: Path) -> AsyncIterator[Nodes]:
    nodes = Nodes(tmp_path)
    await nodes.start()
    yield nodes
    await nodes.stop()


async def test_three_nodes_keep_a_stream_when_one_is_lost(nodes: Nodes) -> None:
    for probe in ("/healthz", "/healthz?js-server-only=true", "/healthz?js-enabled-only=true"):
        await until(lambda probe=probe: nodes.answers(probe), seconds=30, what=probe)
    assert nodes.told(0, "/jsz")["config"]["sync_always"] is True  # type: ignore[index]
    client = await nats.connect(servers=nodes.urls(), reconnect_time_wait=0.1)
    try:
        jetstream = client.jetstream(timeout=10)
        kept = StreamConfig(name="KEPT", subjects=["kept"], num_replicas=3)

        async def is_made() -> bool:
            try:
                await jetstream.add_stream(kept)
            except nats.errors.Error:  # they may not have heard of each other yet
                return False
            return True

        await until(is_made, what="all three have room for the stream")

        async def is_published() -> bool:
            try:
                await jetstream.publish("kept", b"", timeout=1)
            except nats.errors.Error:
                return False
            return True

        await until(is_published, seconds=30, what="the stream has a leader")
        await nodes.kill(0)
        await until(is_published, seconds=30, what="the two that are left go on")
        assert (await jetstream.stream_info("KEPT")).state.messages >= 2
    finally:
        await client.close()


async def test_nobody_enters_without_the_password(nodes: Nodes) -> None:
    await until(lambda: nodes.answers("/healthz"), seconds=30)
    address = nodes.urls()[0].replace("12e5", "1200000")
    with pytest.raises(nats.errors.Error):
        await nats.connect(address, max_reconnect_attempts=0, allow_reconnect=False)
