"""One process at a time speaks for the session, and whichever it is carries on."""

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial
from typing import Any

import grpc
import msgspec
import psycopg
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc

from libs.clock import SystemClock
from libs.embedded import free_port
from libs.postgres import Lane
from libs.refusals import Unavailable
from libs.rpc import connect
from services.exchange_gateway.main import NAME, Settings, house
from services.exchange_gateway.session.lease import Lease
from services.exchange_gateway.store.progress import Deposed, Seat, Step, advance, lock
from stockbroker.exchange_gateway.v1 import exchange_gateway_service_pb2 as pb
from stockbroker.exchange_gateway.v1.exchange_gateway_service_pb2_grpc import (
    ExchangeGatewayServiceStub,
)
from tests.exchange_gateway.conftest import Gateway, Scene, an_order, is_serving
from tests.support.keys import Keys
from tests.support.wait import until


async def test_a_second_process_waits_and_takes_over_when_the_first_ends(
    scene: Scene, keys: Keys
) -> None:
    async with AsyncExitStack() as first_stack, AsyncExitStack() as second_stack:
        first = await first_stack.enter_async_context(scene.gateway())
        rpc = await second_stack.enter_async_context(house(scene.settings()))
        channel = connect(rpc.address, keys.token_file("execution"))
        second = Gateway(
            ExchangeGatewayServiceStub(await second_stack.enter_async_context(channel))
        )
        await first.submit(before := an_order())
        await until(lambda: scene.execution.is_filled(before.trade_id))
        await until(lambda: _is_waiting(second))
        assert await _health(rpc.address) == health_pb2.HealthCheckResponse.NOT_SERVING

        await first_stack.aclose()

        await until(lambda: is_serving(second))
        await second.submit(after := an_order())
        await until(lambda: scene.execution.is_filled(after.trade_id))
        assert await _health(rpc.address) == health_pb2.HealthCheckResponse.SERVING
    assert scene.venue.sends == {before.trade_id: 1, after.trade_id: 1}
    assert sorted({r.report_seq for r in scene.execution.reports}) == [1, 2, 3, 4]


async def _is_waiting(gateway: Gateway) -> bool:
    """It can read the books, and refuses orders."""
    try:
        await gateway.session()
        await gateway.submit(an_order())
    except grpc.aio.AioRpcError as error:
        return error.code() == grpc.StatusCode.UNAVAILABLE
    return False


async def _health(address: str) -> int:
    async with grpc.aio.insecure_channel(address) as channel:
        stub: Any = health_pb2_grpc.HealthStub(channel)
        answer = await stub.Check(health_pb2.HealthCheckRequest(service=NAME), timeout=30)
        return int(answer.status)


async def _move(connection: psycopg.AsyncConnection, *, seat: Seat, step: Step) -> None:
    await advance(connection, seat, step, to=99)


async def test_who_lost_the_session_can_write_nothing_any_more(scene: Scene) -> None:
    async with scene.gateway():
        [(term,)] = scene.rows("SELECT term FROM venue_session")
    async with scene.gateway():
        lane = Lane(scene.database_url, name="paused")
        seat = Seat("stockbroker", term)
        for step in Step:
            with pytest.raises(Deposed):
                await lane.run(partial(lock, seat=seat, step=step))
            with pytest.raises(Deposed):
                await lane.run(partial(_move, seat=seat, step=step))
        await lane.close()
    assert set(scene.rows("SELECT next_seq FROM progress")) == {(1,)}


async def test_a_gateway_whose_connection_for_its_lease_is_cut_keeps_the_session(
    scene: Scene,
) -> None:
    async with scene.gateway() as gateway:
        with psycopg.connect(scene.database_url, autocommit=True) as connection:
            connection.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                " WHERE datname = current_database() AND application_name = 'gateway-lease'"
            )
            [(seen_at,)] = scene.rows("SELECT seen_at FROM venue_session")
            await until(lambda: [(seen_at,)] != scene.rows("SELECT seen_at FROM venue_session"))

        await gateway.submit(after := an_order())
        await until(lambda: scene.execution.is_filled(after.trade_id))
    assert scene.rows("SELECT term, seen_at::text FROM venue_session") == [(1, "-infinity")]


async def test_a_process_frozen_within_a_transaction_loses_the_session_and_all_it_says_later(
    scene: Scene, keys: Keys
) -> None:
    async with AsyncExitStack() as stack:
        frozen, first = await _running(scene, keys, stack)
        await until(lambda: is_serving(first))
        await first.submit(before := an_order())
        await until(lambda: scene.execution.is_filled(before.trade_id))
        _, second = await _running(scene, keys, stack)
        with psycopg.connect(scene.database_url) as connection:
            connection.execute("LOCK TABLE venue_order IN SHARE MODE")
            late = asyncio.create_task(first.submit(late_order := an_order()))
            stuck = (
                "SELECT 1 FROM pg_locks WHERE NOT granted AND relation = 'venue_order'::regclass"
            )
            await until(lambda: connection.execute(stuck).fetchall())
            frozen.send_signal(signal.SIGSTOP)

        await until(lambda: is_serving(second))
        await second.submit(meanwhile := an_order())
        await until(lambda: scene.execution.is_filled(meanwhile.trade_id))
        frozen.send_signal(signal.SIGCONT)

        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await late
        assert refused.value.code() == grpc.StatusCode.UNAVAILABLE
        await until(lambda: _is_waiting(first))
        await second.submit(after := an_order())
        await until(lambda: scene.execution.is_filled(after.trade_id))
    sent = {order.trade_id: 1 for order in (before, meanwhile, after)}
    assert scene.venue.sends == sent
    assert late_order.trade_id not in scene.venue.orders
    assert len(scene.venue.logons) == 2


async def _running(
    scene: Scene, keys: Keys, stack: AsyncExitStack
) -> tuple[asyncio.subprocess.Process, Gateway]:
    """A gateway as a process of its own, and a neighbour's view of it."""
    address = f"127.0.0.1:{free_port()}"
    child = await stack.enter_async_context(_process(scene.settings(listen=address)))
    channel = await stack.enter_async_context(connect(address, keys.token_file("execution")))
    return child, Gateway(ExchangeGatewayServiceStub(channel), address)


async def test_every_connection_to_the_database_may_be_cut_at_any_moment(scene: Scene) -> None:
    async with scene.gateway() as gateway:
        orders = [an_order(customer_id=f"c{n}") for n in range(100)]
        work = asyncio.gather(*(_submit_until_taken(gateway, order) for order in orders))
        for _ in range(3):
            wanted = min(100, len(scene.execution.filled) + 1)
            with scene.database_away():
                pass
            await until(partial(scene.execution.has_filled, wanted), what="a fill")
        await work
        await until(lambda: scene.execution.has_filled(100), seconds=30)
    assert set(scene.venue.sends.values()) == {1}
    seqs = [report.report_seq for report in scene.execution.reports]
    assert sorted(set(seqs)) == list(range(1, 201))


async def _submit_until_taken(gateway: Gateway, order: pb.Order) -> None:
    """As execution does: a submit without an answer is tried again."""

    async def is_taken() -> bool:
        try:
            [result] = await gateway.submit(order)
        except grpc.aio.AioRpcError:
            return False
        assert not result.reason
        return True

    await until(is_taken, seconds=30)


async def test_killed_at_any_moment_it_comes_back_and_each_order_is_executed_once(
    scene: Scene, keys: Keys
) -> None:
    address = f"127.0.0.1:{free_port()}"
    settings = scene.settings(listen=address)
    orders = [an_order(customer_id=f"c{n}") for n in range(300)]
    async with connect(address, keys.token_file("execution")) as channel:
        gateway = Gateway(ExchangeGatewayServiceStub(channel))
        work = asyncio.gather(*(_submit_until_taken(gateway, order) for order in orders))
        for filled in (1, 150):
            async with _process(settings):
                await until(partial(scene.execution.has_filled, filled), seconds=30, what="fills")
        async with _process(settings):
            await work
            await until(lambda: scene.execution.has_filled(300), seconds=30)

    assert set(scene.venue.sends.values()) == {1}
    seqs = [report.report_seq for report in scene.execution.reports]
    assert sorted(set(seqs)) == list(range(1, 601))
    parked = scene.rows("SELECT 1 FROM parked_report")
    assert parked == []


@asynccontextmanager
async def _process(settings: Settings) -> AsyncIterator[asyncio.subprocess.Process]:
    """The gateway as a process of its own, until kill -9."""
    fields = msgspec.structs.asdict(settings)
    variables = {f"STOCKBROKER_{name.upper()}": str(value) for name, value in fields.items()}
    child = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "services.exchange_gateway.main",
        env={**os.environ, **variables},
        stdout=asyncio.subprocess.DEVNULL,
    )
    try:
        yield child
    finally:
        child.kill()
        await child.wait()


class Hasty(SystemClock):
    """Sleeps for no time, and ten seconds have gone by."""

    seconds = 0.0

    def monotonic(self) -> float:
        return self.seconds

    async def sleep(self, seconds: float) -> None:
        self.seconds += 10.0


async def test_who_cannot_say_that_it_is_there_gives_the_session_up() -> None:
    lease = Lease(f"postgresql://127.0.0.1:{free_port()}/none", session_id="s", clock=Hasty())
    async with asyncio.timeout(30):
        with pytest.raises(Unavailable):
            await lease.keep(Seat("s", term=1))
    await lease.close()
