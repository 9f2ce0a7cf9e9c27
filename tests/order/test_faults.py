"""What callers see when PostgreSQL or the process itself dies."""

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import grpc
import pytest

from libs.embedded import Postgres, Tuning, free_port
from stockbroker.order.v1 import order_pb2
from tests.order.client import Order, seqs
from tests.order.conftest import ListingGateway, MakeHouse
from tests.order.test_placing import gaps, rows
from tests.support.keys import Keys
from tests.support.wait import until

PASSING = (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED)


async def place_until_taken(order: Order, customer: str, number: int) -> order_pb2.Trade:
    """As an app does it: the same call again until it is answered."""
    while True:
        try:
            return await order.place(customer, client_order_id=f"id-{number}")
        except grpc.aio.AioRpcError as error:
            if error.code() not in PASSING:
                raise
            await asyncio.sleep(0.05)


async def hear(order: Order, customer: str, count: int) -> list[order_pb2.TradeEvent]:
    """As an app does it: resume after the last sequence seen until all is heard."""
    heard: list[order_pb2.TradeEvent] = []
    while len(heard) < count:
        stream = order.watch(customer, heard[-1].seq if heard else 0)
        try:
            while len(heard) < count:
                message = await stream.read()
                if message is grpc.aio.EOF:
                    break
                if message.HasField("event"):
                    heard.append(message.event)
        except grpc.aio.AioRpcError as error:
            if error.code() not in PASSING:
                raise
            await asyncio.sleep(0.05)
        stream.cancel()
    return heard


async def test_postgresql_killed_under_load_loses_and_doubles_nothing(
    make_house: MakeHouse, tmp_path: Path
) -> None:
    tuning = Tuning(shared_buffers_mb=32, max_wal_size_mb=256)
    with Postgres(tmp_path / "postgres", tuning=tuning) as server:
        server.create_role_and_database("order")
        async with make_house(database_url=server.url("order"), max_batch=10) as order:
            listening = asyncio.create_task(hear(order, "c0", 60))
            placing = asyncio.gather(
                *(place_until_taken(order, f"c{number % 3}", number) for number in range(180))
            )
            url = server.url("order")

            async def is_busy() -> bool:
                return len(await rows(url, "SELECT FROM trade")) >= 20

            await until(is_busy)
            server.kill()
            server.start()
            placed = await placing
            assert len({trade.trade_id for trade in placed}) == 180
            assert seqs(await asyncio.wait_for(listening, 60)) == list(range(1, 61))
            await until(order.is_ready)
        assert await rows(server.url("order"), "SELECT count(*) FROM trade") == [(180,)]
        assert await gaps(server.url("order")) == []


class Running:
    """The service as a process of its own."""

    def __init__(self, environment: dict[str, str]) -> None:
        self.environment = environment
        self._process: asyncio.subprocess.Process | None = None

    async def start(self) -> None:
        self._process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "services.order.main", env=self.environment
        )

    async def end(self, number: signal.Signals) -> int:
        """The exit status after the signal."""
        assert self._process is not None
        self._process.send_signal(number)
        return await asyncio.wait_for(self._process.wait(), 60)


@pytest.fixture
async def running(
    postgres_url: str, nats_url: str, keys: Keys, gateway: tuple[ListingGateway, str]
) -> AsyncIterator[tuple[Running, Order]]:
    """A process that can be killed and started again, and a client of it."""
    address = f"127.0.0.1:{free_port()}"
    settings = {
        "DATABASE_URL": postgres_url,
        "NATS_URL": nats_url,
        "JWKS_FILE": keys.jwks_file,
        "SERVICE_TOKEN_FILE": keys.token_file("order"),
        "GATEWAY_ADDRESS": gateway[1],
        "LEDGER_ADDRESS": "127.0.0.1:1",
        "LISTEN": address,
        "NUDGE_STREAM": "KILLED",
        "NUDGE_PREFIX": "killed",
        "LONGEST_WAIT_MS": "60000",
    }
    prefixed = {f"STOCKBROKER_{name}": value for name, value in settings.items()}
    process = Running({**os.environ, **prefixed})
    async with _channel(address) as channel:
        yield process, Order(channel, keys)


@asynccontextmanager
async def _channel(address: str) -> AsyncIterator[grpc.aio.Channel]:
    options = [("grpc.max_reconnect_backoff_ms", 100), ("grpc.min_reconnect_backoff_ms", 100)]
    async with grpc.aio.insecure_channel(address, options=options) as channel:
        yield channel


async def tells_health(order: Order, *, is_ready: bool) -> bool:
    """Whether it is there and says that."""
    try:
        return await order.is_ready() == is_ready
    except grpc.aio.AioRpcError:
        return False


@pytest.mark.timeout(400)
async def test_the_process_killed_under_load_loses_and_doubles_nothing(
    running: tuple[Running, Order], postgres_url: str
) -> None:
    process, order = running
    await process.start()
    listening = asyncio.create_task(hear(order, "c0", 100))
    placing = asyncio.gather(
        *(place_until_taken(order, f"c{number % 3}", number) for number in range(300))
    )
    for share in (50, 200):

        async def is_placed(share: int = share) -> bool:
            return len(await rows(postgres_url, "SELECT FROM trade")) >= share

        async def is_there() -> bool:
            query = "SELECT FROM pg_tables WHERE tablename = 'open_trade'"
            return bool(await rows(postgres_url, query)) and await is_placed()

        await until(is_there, seconds=90)
        assert await process.end(signal.SIGKILL) == -signal.SIGKILL
        await process.start()
    placed = await placing
    heard = await asyncio.wait_for(listening, 90)
    await until(lambda: tells_health(order, is_ready=True), seconds=90)
    assert await process.end(signal.SIGTERM) == 0

    assert len({trade.trade_id for trade in placed}) == 300
    assert seqs(heard) == list(range(1, 101))
    assert await gaps(postgres_url) == []


@pytest.mark.timeout(200)
async def test_a_process_that_waits_for_its_database_stops_when_told(
    running: tuple[Running, Order], keys: Keys
) -> None:
    process, order = running
    process.environment["STOCKBROKER_DATABASE_URL"] = "postgresql://nobody@127.0.0.1:1/nothing"
    await process.start()

    await until(lambda: tells_health(order, is_ready=False), seconds=90)
    assert await process.end(signal.SIGTERM) == 0


async def test_it_is_ready_only_once_it_has_heard_what_can_be_traded(
    make_house: MakeHouse, gateway: tuple[ListingGateway, str]
) -> None:
    servicer, _ = gateway
    listed, servicer.symbols = servicer.symbols, {}
    async with make_house(is_ready=False) as order:
        await until(lambda: servicer.asked > 1, what="it asks again while it knows nothing")
        assert not await order.is_ready()
        servicer.symbols = listed
        await until(order.is_ready, what="it is ready once it knows")
    async with make_house(gateway_address="127.0.0.1:1") as order:
        assert await order.is_ready(), "it keeps the list over a restart"
