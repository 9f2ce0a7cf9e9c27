"""WatchTrades: everything after a sequence, then live; no gap, no repeat, whatever happens."""

import asyncio
import random
from typing import Any

import grpc
import psycopg
import pytest
from prometheus_client import REGISTRY

from libs.clock import SystemClock
from libs.partition import partition_of
from libs.rpc.status import reason_of, retry_after
from services.order import watchers
from services.order.applying import apply_outcomes
from services.order.outcomes_wire import told_from
from stockbroker.order.v1.order_execution_service_pb2 import OutcomeResult
from stockbroker.order.v1.order_pb2 import TradeEvent
from stockbroker.order.v1.order_pb2 import TradeEventKind as Kind
from tests.order.client import Order, accepted, events_of, filled, refused, seqs
from tests.order.conftest import MakeHouse
from tests.support.wait import until


async def trade_all(order: Order, customer: str, count: int) -> None:
    """Place and fill `count` trades one after the other: 4 events each."""
    epochs = await order.lead([partition_of(customer)])
    for _ in range(count):
        await order.place(customer)
    while claimed := (await order.claim(epochs, customer)).trades:
        trade_id = claimed[0].trade.trade_id
        await order.apply(accepted(trade_id), filled(trade_id))


async def test_a_stream_tells_the_past_and_then_what_happens(order: Order) -> None:
    first = await order.place("alice")
    stream = order.watch("alice")
    (placed,) = await events_of(stream, 1)
    assert placed.trade == first

    await order.claim_as_leader("alice")
    await order.apply(accepted(first.trade_id), filled(first.trade_id))
    told = [placed, *await events_of(stream, 3)]
    stream.cancel()

    assert told == await order.events("alice", first.trade_id)
    assert [event.kind for event in told] == [
        Kind.TRADE_EVENT_KIND_PLACED,
        Kind.TRADE_EVENT_KIND_STARTED,
        Kind.TRADE_EVENT_KIND_ACCEPTED,
        Kind.TRADE_EVENT_KIND_EXECUTED,
    ]


async def test_a_stream_resumes_after_any_sequence(order: Order) -> None:
    await trade_all(order, "alice", 3)
    for after_seq in range(13):
        stream = order.watch("alice", after_seq)
        assert seqs(await events_of(stream, 12 - after_seq)) == list(range(after_seq + 1, 13))
        stream.cancel()


async def test_a_long_past_is_told_page_by_page(order: Order) -> None:
    await asyncio.gather(*(order.place("alice") for _ in range(350)))
    stream = order.watch("alice")
    assert seqs(await events_of(stream, 350)) == list(range(1, 351))
    stream.cancel()


async def test_a_customer_has_so_many_streams_at_a_time_and_no_other_is_held_up(
    order: Order, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watchers, "_MOST_OF_A_CUSTOMER", 3)
    streams = [order.watch("alice") for _ in range(3)]
    for stream in streams:
        await stream.read()
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await order.watch("alice").read()
    assert (reason_of(refused.value), retry_after(refused.value) > 0) == ("OVERLOADED", True)

    assert (await order.watch("bob").read()).HasField("heartbeat")
    streams[0].cancel()

    async def is_let_in() -> bool:
        try:
            return bool((await order.watch("alice").read()).HasField("heartbeat"))
        except grpc.aio.AioRpcError:
            return False

    await until(is_let_in)


async def test_one_customer_never_hears_of_another(order: Order) -> None:
    stream = order.watch("alice")
    await order.place("bob")
    mine = await order.place("alice")
    (event,) = await events_of(stream, 1)
    assert event.trade == mine
    stream.cancel()


async def test_a_quiet_stream_hears_heartbeats_with_the_latest_sequence(order: Order) -> None:
    stream = order.watch("alice")
    for _ in range(3):
        message = await stream.read()
        assert message.HasField("heartbeat")
        assert message.heartbeat.head_seq == 0
    await order.place("alice")

    messages = [await stream.read() for _ in range(4)]
    kinds = [message.WhichOneof("message") for message in messages]
    assert "event" in kinds
    assert messages[-1].heartbeat.head_seq == 1
    stream.cancel()


async def test_a_stream_that_has_told_the_past_says_so_at_once(make_house: MakeHouse) -> None:
    async with make_house(heartbeat_seconds=3600) as order:
        await order.place("alice")
        stream = order.watch("alice")
        assert (await stream.read()).event.seq == 1
        assert (await stream.read()).heartbeat.head_seq == 1
        stream.cancel()


NO_SEQUENCES = [-1, 2, 2**63 - 1, -(2**63)]


async def test_a_sequence_that_is_not_of_the_past_is_invalid(order: Order) -> None:
    await order.place("alice")
    for after_seq in NO_SEQUENCES:
        stream = order.watch("alice", after_seq)
        assert await refused(stream) == ("INVALID_ARGUMENT", "INVALID_SEQUENCE")


async def test_reconnecting_at_random_loses_and_repeats_nothing(make_house: MakeHouse) -> None:
    """Two processes, streams cut at random places, one process restarted meanwhile."""
    chance = random.Random(20261121)
    told: list[TradeEvent] = []
    async with make_house() as order:

        async def listen() -> None:
            while len(told) < 200:
                async with make_house() as other:
                    for process in (order, other, order):
                        wanted = chance.randint(1, 30)
                        after_seq = told[-1].seq if told else 0
                        stream = process.watch("alice", after_seq)
                        told.extend(await events_of(stream, min(wanted, 200 - len(told))))
                        stream.cancel()
                        if len(told) == 200:
                            return

        listening = asyncio.create_task(listen())
        await trade_all(order, "alice", 50)
        await asyncio.wait_for(listening, 60)
        past = await events_of(order.watch("alice"), 200)

    assert seqs(told) == list(range(1, 201))
    assert told == past


async def test_processes_wake_each_others_streams(make_house: MakeHouse) -> None:
    """By NATS: long before the heartbeat."""
    async with (
        make_house(heartbeat_seconds=3600) as one,
        make_house(heartbeat_seconds=3600) as other,
    ):
        stream = other.watch("alice")
        await stream.read()
        reading = asyncio.create_task(events_of(stream, 1))

        async def is_heard() -> bool:
            await one.place("alice")  # more than once: they reach NATS in the background
            return reading.done()

        await until(is_heard)
        assert seqs(await reading) == [1]
        stream.cancel()


async def test_what_was_recorded_and_never_told_is_heard_when_it_is_repeated(
    make_house: MakeHouse, postgres_url: str
) -> None:
    async with (
        make_house(heartbeat_seconds=3600) as order,
        await psycopg.AsyncConnection.connect(postgres_url) as connection,
    ):
        stream = order.watch("alice")
        await stream.read()
        trade_id = (await order.place("alice")).trade_id
        await order.claim_as_leader("alice")
        outcomes = accepted(trade_id), filled(trade_id)
        # A process that dies right after its commit.
        await apply_outcomes(connection, list(map(told_from, outcomes)), SystemClock())
        await connection.commit()

        answer = await order.apply(*outcomes)

        assert {each.code for each in answer.results} == {OutcomeResult.CODE_REPEATED}
        assert seqs(await asyncio.wait_for(events_of(stream, 4), 30)) == [1, 2, 3, 4]
        stream.cancel()


async def test_without_nats_a_stream_hears_of_other_processes_at_its_heartbeat(
    make_house: MakeHouse,
) -> None:
    nowhere = {"nats_url": "nats://127.0.0.1:1"}
    async with make_house(**nowhere) as one, make_house(**nowhere) as other:
        stream = other.watch("alice")
        await stream.read()
        placed = await one.place("alice")
        (event,) = await events_of(stream, 1)
        assert event.trade == placed
        stream.cancel()


async def test_a_process_that_stops_ends_its_streams_at_once(make_house: MakeHouse) -> None:
    async with make_house() as order:
        stream = order.watch("alice")
        await stream.read()
        reading = asyncio.create_task(refused_in_the_end(stream))
    assert await asyncio.wait_for(reading, 30) == ("UNAVAILABLE", "UNAVAILABLE")


async def refused_in_the_end(stream: Any) -> tuple[str, str]:
    """(code, reason) a stream ends with."""

    async def read_all() -> None:
        while await stream.read() is not grpc.aio.EOF:
            pass

    return await refused(read_all())


async def test_a_slow_reader_holds_nothing_in_memory_and_gets_everything(order: Order) -> None:
    slow = order.watch("alice")
    await slow.read()
    quick = order.watch("alice")
    for _ in range(10):
        await asyncio.gather(*(order.place("alice") for _ in range(100)))
    assert seqs(await events_of(quick, 1000)) == list(range(1, 1001))
    assert seqs(await events_of(slow, 1000)) == list(range(1, 1001))
    slow.cancel()
    quick.cancel()


async def test_a_stream_that_is_gone_leaves_nothing_behind(order: Order) -> None:
    def open_watches() -> float:
        return REGISTRY.get_sample_value("order_watches") or 0.0

    before = open_watches()
    streams = [order.watch("alice") for _ in range(20)]
    for stream in streams:
        await stream.read()
    assert open_watches() == before + 20
    for stream in streams:
        stream.cancel()
    await until(lambda: open_watches() == before)


async def test_many_streams_hear_everything_without_waiting_for_a_heartbeat(
    make_house: MakeHouse,
) -> None:
    customers = [f"c{number}" for number in range(10)]
    async with make_house(heartbeat_seconds=3600) as order:
        streams = {each: [order.watch(each) for _ in range(10)] for each in customers}
        for stream in (stream for several in streams.values() for stream in several):
            assert (await stream.read()).HasField("heartbeat")
        listening = {
            customer: [asyncio.create_task(events_of(stream, 60)) for stream in several]
            for customer, several in streams.items()
        }
        for _ in range(20):
            await asyncio.gather(*(order.place(each) for each in customers for _ in range(3)))
        for customer, tasks in listening.items():
            trades = (await order.page(customer, page_size=60)).trades
            for events in await asyncio.gather(*tasks):
                assert seqs(events) == list(range(1, 61))
                assert [event.trade for event in reversed(events)] == list(trades)
