"""Nothing a member was told, and nothing it sent, is forgotten or done twice."""

import asyncio
import json
import os
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import grpc
import psycopg
import pytest

from libs.embedded import Postgres
from services.exchange_simulator.main import Settings, house
from stockbroker.exchange.v1 import exchange_pb2 as pb
from stockbroker.exchange.v1 import exchange_service_pb2 as service_pb
from tests.exchange_simulator.member import (
    NEW,
    TRADE,
    Exchange,
    Member,
    an_order,
    is_over,
)
from tests.support.keys import Keys
from tests.support.wait import until

MakeSettings = Callable[..., Settings]


@asynccontextmanager
async def running(settings: Settings, keys: Keys) -> AsyncIterator[Exchange]:
    async with house(settings) as rpc, Exchange(rpc.address, keys) as exchange:
        await exchange.ready()
        yield exchange


def check_each_filled_once(orders: list[pb.NewOrder], reports: list[pb.ExecutionReport]) -> None:
    """Every order is filled whole, once, and the reports are the session's without gap."""
    by_seq = {report.seq: report for report in reports}
    assert sorted(by_seq) == list(range(1, len(by_seq) + 1))
    assert all(report == by_seq[report.seq] for report in reports), "told again means told the same"
    for order in orders:
        told = [r for r in by_seq.values() if r.client_order_id == order.client_order_id]
        assert [r.exec_type for r in told].count(NEW) == 1
        assert sum(r.last_quantity for r in told if r.exec_type == TRADE) == order.quantity
    assert len({report.exec_id for report in by_seq.values()}) == len(by_seq)


async def test_after_a_restart_orders_reports_and_sequences_are_the_same(
    settings: MakeSettings, keys: Keys
) -> None:
    order = an_order()
    async with running(settings(), keys) as exchange, exchange.member() as member:
        told = await member.trade(order)

    async with running(settings(), keys) as exchange, exchange.member() as member:
        await member.ended(order)
        assert member.reports == told
        assert await exchange.reports_of(order) == told
        assert member.logged_on is not None
        assert member.logged_on.next_command_seq == 2
        later = an_order()
        await member.trade(later)
        member.send(order)  # the same id once more
        last = an_order()
        await member.trade(last)
        check_each_filled_once([order, later, last], member.reports)


async def test_acknowledged_reports_stay_acknowledged_over_a_restart(
    settings: MakeSettings, keys: Keys
) -> None:
    async with running(settings(), keys) as exchange, exchange.member() as member:
        first = await member.trade(an_order())
        member.acknowledge(first[-1].seq)
        second = await member.trade(an_order())

    async with (
        running(settings(), keys) as exchange,
        exchange.member(next_report_seq=second[-1].seq + 1) as again,
    ):
        await again.trade(an_order())
        assert again.reports[: len(second)] == second


async def test_halts_outlast_a_restart(settings: MakeSettings, keys: Keys) -> None:
    async with running(settings(), keys) as exchange:
        await exchange.halt("AAPL", is_halted=True)
        await exchange.halt("MSFT", is_halted=True)
        await exchange.halt("MSFT", is_halted=False)

    async with running(settings(), keys) as exchange, exchange.member() as member:
        named = service_pb.ListQuotesRequest(symbols=["AAPL", "MSFT"])
        quotes = await exchange.service.ListQuotes(named, metadata=exchange.reader)
        assert [quote.is_halted for quote in quotes.quotes] == [True, False]
        (rejected,) = await member.trade(an_order())
        assert rejected.reject_reason == pb.REJECT_REASON_HALTED
        assert (await member.trade(an_order(symbol="MSFT")))[0].exec_type == NEW


@asynccontextmanager
async def process(settings: Settings) -> AsyncIterator[tuple[asyncio.subprocess.Process, str]]:
    """The exchange as a process of its own, and its address."""
    environment = os.environ | {
        f"STOCKBROKER_{name.upper()}": str(getattr(settings, name))
        for name in ("database_url", "jwks_file", "market_moves_per_second")
    }
    child = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "services.exchange_simulator.main",
        env=environment,
        stdout=asyncio.subprocess.PIPE,
    )
    try:
        assert child.stdout is not None
        async for line in child.stdout:
            event = json.loads(line)
            if event["event"] == "started":
                break
        yield child, event["listen"]
    finally:
        if child.returncode is None:
            child.kill()
        await child.communicate()


async def send_all(member: Member, orders: list[pb.NewOrder]) -> None:
    """Send what the exchange does not have yet, a few at a time."""
    for index in range(member.next_command_seq - 1, len(orders), 5):
        member.send(*orders[index : index + 5])
        await asyncio.sleep(0)


async def test_nothing_is_lost_or_done_twice_when_the_exchange_is_killed(
    settings: MakeSettings, keys: Keys
) -> None:
    orders = [an_order(quantity=1 + n % 7) for n in range(400)]
    heard: list[pb.ExecutionReport] = []
    for enough in (60, 300):
        async with (
            process(settings()) as (child, address),
            Exchange(address, keys) as exchange,
        ):
            await exchange.ready()
            async with exchange.member() as member:
                sending = asyncio.create_task(send_all(member, orders))
                await until(lambda m=member, n=enough: len(m.reports) > n)  # type: ignore[misc]
                child.kill()
                await until(lambda m=member: m.is_ended)  # type: ignore[misc]
                await sending
                heard += member.reports

    async with running(settings(), keys) as exchange, exchange.member() as member:
        await send_all(member, orders)
        await until(lambda: {order.client_order_id for order in orders} <= over(member))
        check_each_filled_once(orders, heard + member.reports)


def over(member: Member) -> set[str]:
    return {report.client_order_id for report in member.reports if is_over(report)}


async def test_a_batch_that_cannot_be_kept_leaves_no_trace_and_is_done_later(
    settings: MakeSettings, keys: Keys
) -> None:
    async with running(settings(), keys) as exchange:
        before = await exchange.levels("AAPL"), await exchange.levels("MSFT")
        orders = [an_order(quantity=900), an_order(symbol="MSFT", quantity=900)]
        with psycopg.connect(settings().database_url, autocommit=True) as database:
            database.execute("ALTER TABLE report RENAME TO elsewhere")
            async with exchange.member() as member:
                member.send(*orders)
                assert await member.code_at_end() == grpc.StatusCode.UNAVAILABLE
                assert member.reports == []
            database.execute("ALTER TABLE elsewhere RENAME TO report")

        assert (await exchange.levels("AAPL"), await exchange.levels("MSFT")) == before
        assert await exchange.reports_of(orders[0]) is None
        async with exchange.member() as member:
            assert member.next_command_seq == 1
            member.send(*orders)
            for order in orders:
                await member.ended(order)
            check_each_filled_once(orders, member.reports)


async def test_orders_go_on_when_the_connections_to_the_database_break(
    settings: MakeSettings, keys: Keys, postgres: Postgres
) -> None:
    name = settings().database_url.rpartition("/")[2]
    orders = [an_order() for _ in range(50)]
    async with running(settings(), keys) as exchange, exchange.member() as member:
        with psycopg.connect(postgres.url("postgres"), autocommit=True) as database:
            for index in range(0, len(orders), 10):
                member.send(*orders[index : index + 5])
                database.execute(
                    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s",
                    [name],
                )
                member.send(*orders[index + 5 : index + 10])
                await until(lambda n=index + 10: member.kept_seq == n)  # type: ignore[misc]
        await member.ended(orders[-1])
        check_each_filled_once(orders, member.reports)


async def test_the_exchange_serves_once_its_database_is_there(
    keys: Keys, postgres: Postgres
) -> None:
    name = f"late_{os.getpid()}"
    settings = Settings(database_url=postgres.url(name), jwks_file=keys.jwks_file)
    async with house(settings) as rpc, Exchange(rpc.address, keys) as exchange:
        assert not await exchange.is_ready()
        async with exchange.member() as early:
            assert await early.code_at_end() == grpc.StatusCode.UNAVAILABLE
        postgres.create_role_and_database(name)
        await exchange.ready()
        async with exchange.member() as member:
            assert (await member.trade(an_order()))[0].exec_type == NEW
    postgres.drop_role_and_database(name)


async def test_a_newer_process_fences_the_older_one_off(settings: MakeSettings, keys: Keys) -> None:
    async with running(settings(), keys) as older, older.member() as member:
        await member.trade(an_order())
        async with running(settings(), keys) as newer:
            order = an_order()
            member.send(order)
            assert await member.code_at_end() == grpc.StatusCode.UNAVAILABLE
            await until(lambda: not_ready(older))
            async with older.member() as again:
                assert await again.code_at_end() == grpc.StatusCode.UNAVAILABLE
            with pytest.raises(grpc.aio.AioRpcError) as refused:
                await older.halt("AAPL", is_halted=True)
            assert refused.value.code() == grpc.StatusCode.UNAVAILABLE

            assert await newer.reports_of(order) is None
            async with newer.member() as successor:
                assert (await successor.trade(order))[0].exec_type == NEW


async def not_ready(exchange: Exchange) -> bool:
    return not await exchange.is_ready()
