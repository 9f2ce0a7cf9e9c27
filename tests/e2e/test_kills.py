"""Whatever dies, trades go on: every service and every part, killed in the middle of trading."""

import asyncio
import os
import signal
import uuid
from collections.abc import Iterator
from pathlib import Path

import grpc
import psycopg
import pytest
from tenacity import retry, retry_if_exception_type, stop_after_delay, wait_fixed

from libs.backend import BackEnd, InDoubt, NotPlaced
from libs.embedded.child import processes_in
from libs.probe import probe
from stockbroker.order.v1 import order_pb2
from stockbroker.order.v1 import order_service_pb2 as pb
from tests.support import books
from tests.support.app import BUY, App
from tests.support.house import House, is_alive, running_house
from tests.support.wait import until

pytestmark = pytest.mark.xdist_group("kills")

CASH = 100_000 * 1_000_000
PATIENCE_SECONDS = 15  # Compose has 20, Kubernetes 30
SERVICES = [
    "order",
    "ledger",
    "execution",
    "exchange_gateway",
    "exchange_simulator",
    "reconciliation",
]
PARTS = ["edge", "nats", "postgres"]


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    """A house of this module's own, to be mistreated."""
    with running_house(tmp_path_factory.mktemp("kills")) as house:
        yield house


@retry(
    retry=retry_if_exception_type(grpc.aio.AioRpcError),
    stop=stop_after_delay(60),
    wait=wait_fixed(0.1),
    reraise=True,
)
async def _insist(app: App, client_order_id: str) -> str:
    """Place until it is taken: the same id makes it one trade."""
    trade = await app.place(BUY, 1, "KO", client_order_id=client_order_id)
    return trade.trade_id


@retry(
    retry=retry_if_exception_type(grpc.aio.AioRpcError),
    stop=stop_after_delay(90),
    wait=wait_fixed(0.2),
    reraise=True,
)
async def _story(app: App, trade_ids: set[str]) -> list[order_pb2.TradeEvent]:
    return await app.story(trade_ids, seconds=90)


@pytest.mark.timeout(300)
@pytest.mark.parametrize("victim", [*SERVICES, *PARTS])
async def test_trades_go_on_after_kill_9(house: House, victim: str) -> None:
    customers = [f"k{uuid.uuid4().hex[:12]}" for _ in range(5)]
    for customer in customers:
        await house.endow(customer, cash=CASH)

    async def trade(customer: str) -> None:
        async with house.app(customer) as app:
            placed = [await _insist(app, f"order-{number}") for number in range(10)]
            story = await _story(app, set(placed))
            assert [event.seq for event in story] == list(range(1, len(story) + 1))
            filled = [
                event.trade
                for event in story
                if event.trade.status == order_pb2.TRADE_STATUS_FILLED
            ]
            assert [trade.trade_id for trade in filled] == placed
            portfolio = await app.portfolio()
            paid = sum(trade.filled_notional_micros for trade in filled)
            assert portfolio.cash.total_micros == CASH - paid
            assert portfolio.positions[0].quantity == 10

    trading = [asyncio.create_task(trade(customer)) for customer in customers]
    async with house.app(customers[0]) as app:
        async for event in app.events():
            if event.kind == order_pb2.TRADE_EVENT_KIND_STARTED:
                break
    house.kill(victim)
    await asyncio.gather(*trading)
    books.check(house.database_url("ledger"))


@pytest.mark.timeout(300)
async def test_nobody_says_to_be_ready_while_the_database_stands_still(house: House) -> None:
    ready = ["order", "ledger", "exchange_gateway", "reconciliation"]
    addresses = {name: house.service_address(name) for name in ready}

    def ready_ones() -> list[str]:
        return [name for name, address in addresses.items() if not probe(address)]

    database = processes_in(house.folder / "postgres" / "data", "postgres")
    for pid in database:
        os.kill(pid, signal.SIGSTOP)
    try:
        await until(lambda: not ready_ones())
    finally:
        for pid in database:
            os.kill(pid, signal.SIGCONT)
    await until(lambda: ready_ones() == ready)


@pytest.mark.timeout(300)
async def test_every_service_ends_in_time_although_the_database_stands_still(house: House) -> None:
    """Before anybody loses patience and kills it: some wait for an answer, which never comes."""
    customer = f"k{uuid.uuid4().hex[:12]}"
    await house.endow(customer, cash=CASH)
    pids = {name: house.pid(name) for name in SERVICES}
    async with house.app(customer) as app:
        placing = [asyncio.create_task(_insist(app, f"order-{n}")) for n in range(20)]
        await asyncio.wait(placing, return_when=asyncio.FIRST_COMPLETED)
        database = processes_in(house.folder / "postgres" / "data", "postgres")
        for pid in database:
            os.kill(pid, signal.SIGSTOP)
        try:
            for pid in pids.values():
                os.kill(pid, signal.SIGTERM)
            await until(lambda: not any(map(is_alive, pids.values())), seconds=PATIENCE_SECONDS)
        finally:
            for pid in database:
                os.kill(pid, signal.SIGCONT)
        placed = await asyncio.gather(*placing)
        await _story(app, set(placed))


@pytest.mark.timeout(300)
@pytest.mark.parametrize("harm", ["order frozen", "order killed", "edge killed"])
async def test_what_a_back_end_is_told_of_its_trades_is_so(house: House, harm: str) -> None:
    """A trade that is placed is there once, one that is not is not, and no doubt is left."""
    victim = house.pid(harm.split()[0])
    is_frozen = harm.endswith("frozen")
    customers = [f"k{uuid.uuid4().hex[:12]}" for _ in range(20)]
    wanted = [(customers[number % 20], f"order-{number}") for number in range(400)]
    room = asyncio.Semaphore(100)

    async def place(firm: BackEnd, customer: str, client_order_id: str) -> str:
        async with room:
            trade = pb.PlaceTradeRequest(
                client_order_id=client_order_id, symbol="KO", side=BUY, quantity=1
            )
            return (await firm.place(customer, trade)).trade_id

    async with BackEnd(house.public_address, house.back_end_token, patience_seconds=1) as firm:
        placing = [asyncio.create_task(place(firm, *each)) for each in wanted]
        await asyncio.wait(placing, return_when=asyncio.FIRST_COMPLETED)
        os.kill(victim, signal.SIGSTOP if is_frozen else signal.SIGKILL)
        ends = await asyncio.gather(*placing, return_exceptions=True)
        if is_frozen:
            os.kill(victim, signal.SIGCONT)
    told = dict(zip(wanted, ends, strict=True))
    assert all(isinstance(each, str | NotPlaced | InDoubt) for each in told.values())
    there = _placed(house, customers)
    assert not [each for each in there if isinstance(told[each], NotPlaced)]

    doubts = [each for each in wanted if isinstance(told[each], InDoubt)]
    async with BackEnd(house.public_address, house.back_end_token, patience_seconds=90) as firm:
        again = await asyncio.gather(*(place(firm, *each) for each in doubts))
    told |= dict(zip(doubts, again, strict=True))
    assert all(told[each] == trade_id for each, trade_id in there.items())
    assert _placed(house, customers) == {
        each: end for each, end in told.items() if isinstance(end, str)
    }


def _placed(house: House, customers: list[str]) -> dict[tuple[str, str], str]:
    """The trades of these customers, by theirs and their own ids."""
    with psycopg.connect(house.database_url("order")) as connection:
        rows = connection.execute(
            "SELECT customer_id, client_order_id, trade_id::text FROM trade"
            " WHERE customer_id = ANY(%s)",
            [customers],
        ).fetchall()
    placed = {(customer, name): trade_id for customer, name, trade_id in rows}
    assert len(placed) == len(rows)
    return placed


async def test_after_kill_9_of_the_supervisor_the_next_start_carries_on(tmp_path: Path) -> None:
    customer = f"k{uuid.uuid4().hex[:12]}"
    with running_house(tmp_path) as house:
        await house.endow(customer, cash=CASH)
        async with house.app(customer) as app:
            first = await app.settle(await app.place(BUY, 1, "KO"))
        house.kill_supervisor()
        house.wait_gone()
    with running_house(tmp_path) as house:
        async with house.app(customer) as app:
            assert (await app.get(first.trade_id)).status == order_pb2.TRADE_STATUS_FILLED
            second = await app.settle(await app.place(BUY, 1, "KO"))
            assert second.status == order_pb2.TRADE_STATUS_FILLED
            assert (await app.portfolio()).positions[0].quantity == 2
        books.check(house.database_url("ledger"))
