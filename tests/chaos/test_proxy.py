"""The ways between the parts: open, cut, stalled, slow."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress

import pytest

from libs.embedded import free_port
from services.chaos.proxy import HOST, Mode, Way, Ways


async def _echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with suppress(ConnectionError):
        while octets := await reader.read(100):
            writer.write(octets)
            await writer.drain()
    writer.close()


@pytest.fixture
async def way() -> AsyncIterator[Way]:
    """A way to a server that says what it hears."""
    server = await asyncio.start_server(_echo, HOST, 0)
    port = server.sockets[0].getsockname()[1]
    one = Way(free_port(), f"{HOST}:{port}")
    async with server, Ways({"order": {"nats": one}}):
        yield one


class Caller:
    """One connection over a way."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self._writer = writer

    @classmethod
    async def connect(cls, way: Way) -> "Caller":
        host, _, port = way.address.rpartition(":")
        return cls(*await asyncio.open_connection(host, int(port)))

    def say(self, words: bytes) -> None:
        self._writer.write(words)

    async def hear(self) -> bytes:
        async with asyncio.timeout(20):
            return await self.reader.read(100)

    async def is_broken_off(self) -> bool:
        try:
            return await self.hear() == b""
        except ConnectionError:
            return True


async def test_what_is_said_arrives_and_is_answered(way: Way) -> None:
    caller = await Caller.connect(way)
    for words in (b"one", b"two"):
        caller.say(words)
        assert await caller.hear() == words


async def test_a_cut_breaks_connections_off_and_refuses_new_ones(way: Way) -> None:
    before = await Caller.connect(way)
    before.say(b"hello")
    assert await before.hear() == b"hello"
    way.set(Mode.CUT)
    assert await before.is_broken_off()
    assert await (await Caller.connect(way)).is_broken_off()
    way.set(Mode.OPEN)
    after = await Caller.connect(way)
    after.say(b"again")
    assert await after.hear() == b"again"


async def test_on_a_stalled_way_nothing_passes_and_nothing_is_lost(way: Way) -> None:
    before = await Caller.connect(way)
    before.say(b"hello")
    assert await before.hear() == b"hello"
    way.set(Mode.STALLED)
    during = await Caller.connect(way)
    before.say(b"patience")
    during.say(b"patience")
    hearing = [asyncio.create_task(one.hear()) for one in (before, during)]
    done, _ = await asyncio.wait(hearing, timeout=0.2)
    assert not done
    way.set(Mode.OPEN)
    assert await asyncio.gather(*hearing) == [b"patience", b"patience"]


async def test_on_a_slow_way_everything_passes_late(way: Way) -> None:
    caller = await Caller.connect(way)
    way.set(Mode.OPEN, delay_ms=100)
    caller.say(b"slowly")
    loop = asyncio.get_running_loop()
    began = loop.time()
    assert await caller.hear() == b"slowly"
    assert loop.time() - began >= 0.2  # there and back
    way.set(Mode.OPEN)


async def test_a_server_that_is_away_ends_the_connection() -> None:
    way = Way(free_port(), f"{HOST}:{free_port()}")
    async with Ways({"order": {"nats": way}}):
        assert await (await Caller.connect(way)).is_broken_off()


def test_a_process_is_cut_off_from_those_it_calls_and_those_who_call_it() -> None:
    ways = {
        "order": {"nats": Way(1, "h:1"), "postgres": Way(2, "h:2")},
        "execution": {"order": Way(3, "h:3"), "nats": Way(4, "h:1")},
    }
    house = Ways(ways)
    assert [way.port for way in house.of("order")] == [1, 2, 3]
    assert [way.port for way in house.of("nats")] == [1, 4]
    assert [way.port for way in house.of("execution>nats")] == [4]
    assert house.addresses()["execution"]["order"] == "127.0.0.1:3"
