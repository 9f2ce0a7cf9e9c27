"""PlaceTrade over a real channel on a real database."""

import asyncio
from collections.abc import Callable
from itertools import count
from typing import Any

import grpc
import nats
import psycopg

from libs.partition import partition_of
from stockbroker.common.v1.terms_pb2 import OrderType, Side, TimeInForce
from stockbroker.order.v1 import order_service_pb2 as pb
from stockbroker.order.v1.order_pb2 import Trade, TradeStatus
from tests.order.client import Order, an_order, filled, refused
from tests.order.conftest import ListingGateway, MakeHouse
from tests.support.wait import until


async def rows(postgres_url: str, query: str) -> list[Any]:
    """Straight from the database."""
    async with await psycopg.AsyncConnection.connect(postgres_url) as connection:
        cursor = await connection.execute(query.encode())
        return await cursor.fetchall()


async def test_a_trade_is_recorded_as_placed(order: Order) -> None:
    trade = await order.place("alice", client_order_id="mine-1")

    assert trade.status == TradeStatus.TRADE_STATUS_PLACED
    assert (trade.customer_id, trade.client_order_id) == ("alice", "mine-1")
    assert (trade.symbol, trade.side, trade.quantity) == ("AAPL", Side.SIDE_BUY, 100)
    assert trade.order_type == OrderType.ORDER_TYPE_MARKET
    assert trade.time_in_force == TimeInForce.TIME_IN_FORCE_DAY
    assert trade.seq == 1
    assert await order.get("alice", trade.trade_id) == trade


async def test_an_id_is_made_where_none_is_given_and_each_call_is_a_new_trade(
    order: Order,
) -> None:
    first, second = await order.place(), await order.place()
    assert first.client_order_id
    assert first.client_order_id != second.client_order_id
    assert (first.seq, second.seq) == (1, 2)


async def test_64_identical_calls_at_once_are_one_trade_and_64_equal_answers(
    order: Order, postgres_url: str
) -> None:
    answers = await asyncio.gather(*(order.place(client_order_id="once") for _ in range(64)))

    assert all(answer == answers[0] for answer in answers)
    assert await rows(postgres_url, "SELECT count(*) FROM trade") == [(1,)]
    assert await rows(postgres_url, "SELECT head_seq FROM customer_head") == [(1,)]


async def test_two_processes_at_once_record_a_call_once(
    make_house: MakeHouse, postgres_url: str
) -> None:
    async with make_house() as one, make_house() as other:
        for number in range(20):
            calls = (
                process.place(f"c{number % 3}", client_order_id=f"id-{number}")
                for process in (one, other) * 8
            )
            answers = await asyncio.gather(*calls)
            assert all(answer == answers[0] for answer in answers)

    assert await rows(postgres_url, "SELECT count(*) FROM trade") == [(20,)]
    assert await gaps(postgres_url) == []


async def gaps(postgres_url: str) -> list[Any]:
    """Customers whose sequence is not 1, 2, ... head."""
    return await rows(
        postgres_url,
        """
        SELECT customer_id, head_seq, array_agg(seq ORDER BY seq) FROM customer_head
        LEFT JOIN trade_event USING (customer_id)
        GROUP BY customer_id
        HAVING array_agg(seq ORDER BY seq) <> array(SELECT generate_series(1, head_seq))
        """,
    )


async def test_a_repeated_call_gets_the_trade_as_first_recorded_for_ever(order: Order) -> None:
    first = await order.place("alice", client_order_id="once")
    await order.claim_as_leader("alice")
    await order.apply(filled(first.trade_id))

    assert await order.place("alice", client_order_id="once") == first
    assert (await order.get("alice", first.trade_id)).status == TradeStatus.TRADE_STATUS_FILLED


async def test_other_terms_under_a_used_id_are_refused_and_change_nothing(order: Order) -> None:
    first = await order.place("alice", client_order_id="once")

    for changes in ({"quantity": 101}, {"symbol": "MSFT"}, {"side": Side.SIDE_SELL}):
        call = order.place("alice", client_order_id="once", **changes)
        assert await refused(call) == ("ALREADY_EXISTS", "CLIENT_ORDER_ID_REUSED")
    assert await order.get("alice", first.trade_id) == first
    assert (await order.place("alice")).seq == 2


async def test_the_same_id_of_two_customers_is_two_trades(order: Order) -> None:
    hers = await order.place("alice", client_order_id="once")
    his = await order.place("bob", client_order_id="once", quantity=7)
    assert hers.trade_id != his.trade_id


REFUSED: list[tuple[dict[str, Any], str, str]] = [
    ({"client_order_id": "x" * 65}, "INVALID_ARGUMENT", "INVALID_CLIENT_ORDER_ID"),
    ({"client_order_id": "\0"}, "INVALID_ARGUMENT", "INVALID_CLIENT_ORDER_ID"),
    ({"symbol": ""}, "INVALID_ARGUMENT", "INVALID_SYMBOL"),
    ({"symbol": "aapl"}, "INVALID_ARGUMENT", "INVALID_SYMBOL"),
    ({"symbol": "A" * 1_000_000}, "INVALID_ARGUMENT", "INVALID_SYMBOL"),
    ({"symbol": "ZZZZ"}, "INVALID_ARGUMENT", "UNKNOWN_SYMBOL"),
    ({"symbol": "HALT"}, "INVALID_ARGUMENT", "UNKNOWN_SYMBOL"),
    ({"side": Side.SIDE_UNSPECIFIED}, "INVALID_ARGUMENT", "INVALID_SIDE"),
    ({"quantity": 0}, "INVALID_ARGUMENT", "INVALID_QUANTITY"),
    ({"quantity": -1}, "INVALID_ARGUMENT", "INVALID_QUANTITY"),
    ({"quantity": 2**31}, "INVALID_ARGUMENT", "INVALID_QUANTITY"),
    ({"limit_price_micros": 1}, "INVALID_ARGUMENT", "INVALID_PRICE"),
    ({"order_type": OrderType.ORDER_TYPE_LIMIT}, "INVALID_ARGUMENT", "INVALID_PRICE"),
    (
        {"order_type": OrderType.ORDER_TYPE_LIMIT, "limit_price_micros": 1},
        "INVALID_ARGUMENT",
        "INVALID_PRICE",
    ),
]


async def test_what_is_refused_records_nothing(order: Order, postgres_url: str) -> None:
    for changes, code, reason in REFUSED:
        assert await refused(order.place(**changes)) == (code, reason), [*changes]
        assert await rows(postgres_url, "SELECT FROM trade") == []
        assert await rows(postgres_url, "SELECT FROM customer_head") == []


async def test_only_customers_place_trades(order: Order) -> None:
    for caller in (order.as_operator(), order.as_service()):
        call = order.trades.PlaceTrade(an_order(), **caller)
        assert await refused(call) == ("PERMISSION_DENIED", "PERMISSION_DENIED")
    call = order.trades.PlaceTrade(an_order())
    assert await refused(call) == ("UNAUTHENTICATED", "UNAUTHENTICATED")


async def test_a_customers_sequence_has_no_gap_however_calls_and_outcomes_mix(
    order: Order, postgres_url: str
) -> None:
    customers = [f"c{number}" for number in range(7)]
    epochs = await order.lead(sorted({partition_of(customer) for customer in customers}))

    async def place(number: int) -> None:
        await order.place(customers[number % 7], client_order_id=f"id-{number % 150}")

    async def work() -> int:
        claimed = (await order.claim(epochs, *customers)).trades
        await order.apply(*(filled(each.trade.trade_id) for each in claimed))
        return len(claimed)

    placing = asyncio.gather(*(place(number) for number in range(300)), return_exceptions=True)
    while not placing.done() or await work():
        await work()

    assert not [error for error in await placing if error is not None]
    assert await gaps(postgres_url) == []
    statuses = await rows(postgres_url, "SELECT DISTINCT status FROM trade")
    assert statuses == [(int(TradeStatus.TRADE_STATUS_FILLED),)]
    assert await rows(postgres_url, "SELECT FROM open_trade") == []


async def test_too_many_calls_at_once_are_refused_early_and_none_is_lost(
    make_house: MakeHouse, postgres_url: str
) -> None:
    async with make_house(max_batch=1, max_queued=3) as order:
        await order.place("alice", client_order_id="first")
        async with await psycopg.AsyncConnection.connect(postgres_url) as blocker:
            await blocker.execute(b"SELECT FROM customer_head FOR UPDATE")
            calls = [
                asyncio.ensure_future(order.place("alice", client_order_id=f"id-{number}"))
                for number in range(20)
            ]
            await until(lambda: sum(call.done() for call in calls) >= 16)
            overloaded = [call for call in calls if call.done()]
            for call in overloaded:
                assert await refused(call) == ("RESOURCE_EXHAUSTED", "OVERLOADED")
        taken = [await call for call in calls if call not in overloaded]

    assert 1 <= len(taken) <= 4
    count = len(taken) + 1
    assert await rows(postgres_url, "SELECT count(*) FROM trade") == [(count,)]


async def test_a_lost_connection_loses_and_doubles_nothing(
    order: Order, postgres_url: str, terminate: Callable[[], Any]
) -> None:
    calls: list[asyncio.Task[Trade]] = []
    killed = 0
    while killed < 5:
        if all(call.done() for call in calls):
            calls += [
                asyncio.create_task(order.place(f"c{number % 5}", client_order_id=f"id-{number}"))
                for number in range(len(calls), len(calls) + 400)
            ]
        killed += await terminate()
    answers = await asyncio.gather(*calls)

    assert len({answer.trade_id for answer in answers}) == len(calls)
    assert await rows(postgres_url, "SELECT count(*) FROM trade") == [(len(calls),)]
    assert await gaps(postgres_url) == []


async def test_execution_is_nudged_after_the_commit(
    make_house: MakeHouse, nats_url: str, postgres_url: str
) -> None:
    async with make_house(nudge_stream="PLACED", nudge_prefix="placed") as order:
        client = await nats.connect(nats_url)
        subscription = await client.subscribe("placed.*.*")
        await client.flush()

        customers = map("alice-{}".format, count())

        async def placed_and_nudged() -> str:
            await order.place(next(customers))
            try:
                return (await subscription.next_msg(timeout=0.5)).subject
            except TimeoutError:  # the connection to NATS is made in the background
                return ""

        subject = await until(placed_and_nudged)
        await client.close()
    customer = subject.rpartition(".")[2]
    assert customer.startswith("alice-")
    assert subject == f"placed.{partition_of(customer)}.{customer}"


async def test_execution_is_nudged_for_the_first_in_line_alone(
    make_house: MakeHouse, nats_url: str
) -> None:
    async with make_house(nudge_stream="FIRST", nudge_prefix="first") as order:
        client = await nats.connect(nats_url)
        subscription = await client.subscribe("first.*.*")
        await client.flush()

        probes = map("probe-{}".format, count())

        async def nudged() -> bool:  # the connection to NATS is made in the background
            await order.place(next(probes))
            return subscription.pending_msgs > 0

        await until(nudged)
        for customer in ("alice", "alice", "bob", "alice", "carol"):
            await order.place(customer)
        told: list[str] = []
        while "carol" not in told:
            told.append((await subscription.next_msg(timeout=30)).subject.rpartition(".")[2])
        await client.close()
    assert [each for each in told if not each.startswith("probe")] == ["alice", "bob", "carol"]


async def test_trades_are_placed_without_nats(make_house: MakeHouse) -> None:
    async with make_house(nats_url="nats://127.0.0.1:1") as order:
        assert (await order.place("alice")).seq == 1
        stream = order.watch("alice")
        await stream.read()
        stream.cancel()


async def test_a_process_waits_for_its_database_and_says_so(
    make_house: MakeHouse, postgres_url: str
) -> None:
    nowhere = "postgresql://nobody@127.0.0.1:1/nothing"
    async with make_house(is_ready=False, database_url=nowhere) as order:
        assert not await order.is_ready()
        for call in (
            order.place(),
            order.page("alice"),
            order.watch("alice"),
            order.lead([1]),
            order.get("alice", "019aa000-0000-7000-8000-000000000001"),
        ):
            assert await refused(call) == ("UNAVAILABLE", "UNAVAILABLE")


async def test_a_newly_listed_symbol_can_be_traded_at_once(
    order: Order, gateway: tuple[ListingGateway, str]
) -> None:
    assert await refused(order.place(symbol="NEWS")) == ("INVALID_ARGUMENT", "UNKNOWN_SYMBOL")
    gateway[0].symbols["NEWS"] = True

    async def is_taken() -> bool:
        try:
            await order.place(symbol="NEWS")
        except grpc.aio.AioRpcError:
            return False
        return True

    await until(is_taken)


async def test_unknown_symbols_do_not_flood_the_gateway(
    order: Order, gateway: tuple[ListingGateway, str]
) -> None:
    before = gateway[0].asked
    calls = (refused(order.place(symbol=f"NO{number}")) for number in range(200))
    assert set(await asyncio.gather(*calls)) == {("INVALID_ARGUMENT", "UNKNOWN_SYMBOL")}
    assert gateway[0].asked - before <= 5


async def test_the_list_of_symbols_outlives_the_gateway_and_the_process(
    make_house: MakeHouse, gateway: tuple[ListingGateway, str]
) -> None:
    async with make_house() as order:
        await until(lambda: gateway[0].asked)
        await order.place("alice", client_order_id="before")
    async with make_house(gateway_address="127.0.0.1:1") as order:
        assert (await order.place("alice")).seq == 2
        assert await refused(order.place(symbol="ZZZZ")) == ("INVALID_ARGUMENT", "UNKNOWN_SYMBOL")


async def test_without_any_list_of_symbols_a_call_may_be_tried_again(
    make_house: MakeHouse,
) -> None:
    async with make_house(is_ready=False, gateway_address="127.0.0.1:1") as order:
        assert await refused(order.place()) == ("UNAVAILABLE", "UNAVAILABLE")


async def test_a_call_taken_before_stays_the_same_call_when_its_symbol_is_gone(
    make_house: MakeHouse, gateway: tuple[ListingGateway, str]
) -> None:
    async with make_house(instruments_refresh_seconds=0.05) as order:
        first = await order.place("alice", client_order_id="once")
        del gateway[0].symbols["AAPL"]

        async def is_gone() -> bool:
            try:
                await order.place("alice")
            except grpc.aio.AioRpcError:
                return True
            return False

        await until(is_gone)
        assert await order.place("alice", client_order_id="once") == first
        other = order.place("alice", client_order_id="once", quantity=5)
        assert await refused(other) == ("ALREADY_EXISTS", "CLIENT_ORDER_ID_REUSED")


SIZES = [0, 1, 64]


async def test_every_answer_is_durable_before_it_is_given(order: Order, postgres_url: str) -> None:
    for size in SIZES:
        answers = await asyncio.gather(*(order.place("alice") for _ in range(size)))
        known = {str(row[0]) for row in await rows(postgres_url, "SELECT trade_id FROM trade")}
        assert {answer.trade_id for answer in answers} <= known


async def test_an_id_made_of_quotes_and_spaces_is_just_an_id(order: Order) -> None:
    trade = await order.place("alice", client_order_id="' OR 1=1; -- \"\\")
    request = pb.GetTradeRequest(client_order_id=trade.client_order_id)
    found = await order.trades.GetTrade(request, **order.as_customer("alice"))
    assert found.trade == trade
