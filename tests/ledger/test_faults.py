"""Whatever breaks: what was acknowledged is there, and nothing is there twice."""

import asyncio
from typing import Any

import grpc
import psycopg
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc
from msgspec.structs import replace

from services.ledger.main import Settings, house
from stockbroker.common.v1.reason_pb2 import Reason
from stockbroker.ledger.v1 import ledger_service_pb2 as pb
from stockbroker.ledger.v1.ledger_service_pb2_grpc import LedgerServiceStub
from tests.ledger.desk import USD, Desk, a_fill, a_hold, new_id
from tests.ledger.wire_cutter import WireCutter
from tests.support.keys import Keys, bearer
from tests.support.wait import until

KILL_WRITERS = """
    SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity
    WHERE application_name IN ('ledger-writer', 'ledger-reader')
        AND datname = current_database()
        AND pid <> pg_backend_pid()
"""


TRADES = [new_id() for _ in range(8)]


async def test_a_commit_whose_answer_is_lost_is_neither_lost_nor_made_twice(
    settings: Settings, postgres_url: str, keys: Keys
) -> None:
    async with WireCutter(postgres_url) as cutter:
        here = replace(settings, database_url=cutter.url)
        async with house(here) as rpc, Desk(rpc.address, postgres_url, keys) as desk:
            await desk.deposit(1_000 * USD)
            trade = new_id()
            cutter.cut_after_commit()
            held = await desk.hold(a_hold(trade=trade, amount=100 * USD))
            cutter.cut_after_commit()
            filled = await desk.post(a_fill(trade, quantity=1, price=70 * USD, last=True))

            assert cutter.cuts == 2
            assert (held[0].reason, held[0].amount) == (0, 100 * USD)
            assert (filled[0].reason, filled[0].amount) == (0, 30 * USD)
            assert await desk.cash_of() == (930 * USD, 0)
            assert await desk.rows("SELECT count(*) FROM transfer") == [(3,)]
            await desk.assert_books_balance()


async def test_callers_see_nothing_of_connections_killed_under_load(desk: Desk) -> None:
    await desk.deposit(10_000 * USD)
    await desk.hold(*(a_hold(trade=trade, amount=100 * USD) for trade in TRADES))
    kills = 0

    async def trade(number: int) -> None:
        nonlocal kills
        for _ in range(20):
            fill = a_fill(TRADES[number], quantity=1, price=USD)
            posting = asyncio.create_task(desk.post(fill))
            if number == 0:
                ((count,),) = await desk.rows(KILL_WRITERS)
                kills += count
            first = await posting
            assert first[0].reason == 0
            assert await desk.post(fill) == first

    await asyncio.gather(*(trade(number) for number in range(len(TRADES))))

    assert kills >= 3
    assert (await desk.shares_of())[0] == 20 * len(TRADES)
    await desk.assert_books_balance()


async def test_a_poison_item_fails_alone(desk: Desk) -> None:
    """The table refuses one account: the others of its batch go through, and it may be retried."""
    for customer in ("alice", "bob", "carol"):
        await desk.deposit(USD, customer=customer)
    async with await psycopg.AsyncConnection.connect(
        desk.database_url, autocommit=True
    ) as connection:
        await connection.execute(
            "ALTER TABLE account ADD CONSTRAINT poison CHECK (name <> 'customer/bob' OR held = 0)"
        )
        holds = [a_hold(customer=customer, amount=1) for customer in ("alice", "bob", "carol")]
        results = await desk.hold(*holds)
        assert [r.amount for r in results] == [1, 0, 1]
        assert results[1].reason == Reason.REASON_INTERNAL
        await connection.execute("ALTER TABLE account DROP CONSTRAINT poison")
    assert [r.reason for r in await desk.hold(*holds)] == [0, 0, 0]
    await desk.assert_books_balance()


async def test_a_ledger_waits_for_its_database_and_says_so(
    settings: Settings, postgres_url: str, keys: Keys
) -> None:
    async with WireCutter(postgres_url, is_closed=True) as cutter:
        here = replace(settings, database_url=cutter.url)
        async with house(here) as rpc:
            async with grpc.aio.insecure_channel(rpc.address) as channel:
                health: Any = health_pb2_grpc.HealthStub(channel)  # its types name no methods
                for service, status in (("liveness", "SERVING"), ("", "NOT_SERVING")):
                    asked = health_pb2.HealthCheckRequest(service=service)
                    answer = await health.Check(asked)
                    assert (
                        health_pb2.HealthCheckResponse.ServingStatus.Name(answer.status) == status
                    )

                ledger = LedgerServiceStub(channel)
                with pytest.raises(grpc.aio.AioRpcError) as caught:
                    await ledger.PlaceHolds(
                        pb.PlaceHoldsRequest(holds=[a_hold()]),
                        metadata=bearer(keys.service("execution")),
                    )
                assert caught.value.code() == grpc.StatusCode.UNAVAILABLE

            cutter.is_closed = False
            async with Desk(rpc.address, postgres_url, keys) as desk:
                await desk.deposit(USD)
                cutter.close()

                async def is_away() -> bool:
                    return not await desk.is_ready()

                await until(is_away)
                cutter.is_closed = False
                await until(desk.is_ready)
                assert await desk.cash_of() == (USD, 0)
