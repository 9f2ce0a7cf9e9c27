import asyncio
import sys
from collections.abc import AsyncIterator

import pytest

from libs.auth import Verifier
from libs.rpc import RpcServer
from tests.support.keys import Keys

SERVICE = "stockbroker.order.v1.OrderService"


@pytest.fixture
async def server(keys: Keys) -> AsyncIterator[RpcServer]:
    server = RpcServer(listen="127.0.0.1:0", allow={}, verifier=Verifier(keys.jwks_file))
    server.serves(SERVICE)
    await server.start()
    yield server
    await server.stop(0)


async def _probe(*arguments: str) -> tuple[int | None, str]:
    """How the command ends and what it says, without the words of the C library."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "libs.probe", *arguments, stderr=asyncio.subprocess.PIPE
    )
    _, said = await process.communicate()
    lines = said.decode().splitlines()
    return process.returncode, lines[-1] if lines else ""


async def test_a_ready_server_passes_under_its_name_and_as_a_whole(server: RpcServer) -> None:
    await server.set_ready(True)
    assert await _probe(server.address, SERVICE) == (0, "")
    assert await _probe(server.address) == (0, "")


async def test_a_server_that_waits_for_its_database_is_alive_but_fails(server: RpcServer) -> None:
    assert await _probe(server.address, SERVICE) == (1, f"{server.address} {SERVICE}: NOT_SERVING")
    assert await _probe(server.address, "liveness") == (0, "")


async def test_a_name_the_server_does_not_serve_fails(server: RpcServer) -> None:
    await server.set_ready(True)
    status, said = await _probe(server.address, "stockbroker.order.v1.NoSuchService")
    assert (status, said.rpartition(": ")[2]) == (1, "NOT_FOUND")


async def test_nobody_there_fails_within_seconds(server: RpcServer) -> None:
    await server.stop(0)
    status, said = await _probe(server.address, SERVICE)
    assert (status, said.rpartition(": ")[2]) == (1, "UNAVAILABLE")


async def test_no_address_is_asking_wrongly() -> None:
    status, _ = await _probe()
    assert status == 2
