"""Taking trades up: each customer's oldest, one at a time, by the leader of the partition alone."""

import asyncio
from collections import Counter
from datetime import UTC, datetime
from typing import Any

import psycopg
import pytest

from libs.clock import SystemClock
from libs.partition import PARTITIONS, partition_of
from services.order.claiming import claim_trades
from services.order.domain.controls.setting import Book
from services.order.domain.placing import Placement
from services.order.domain.terms import Side, Terms
from services.order.guard import Guard
from services.order.placing import place_trades
from services.order.store.customers import Customers
from stockbroker.order.v1 import order_execution_service_pb2 as pb
from stockbroker.order.v1.order_pb2 import TradeEventKind as Kind
from stockbroker.order.v1.order_pb2 import TradeStatus as Status
from tests.order.client import Order, accepted, canceled, filled, in_doubt, refused, rejected, seqs
from tests.order.conftest import MakeHouse
from tests.order.replaced import a_limit
from tests.order.test_placing import rows
from tests.support.wait import until

ALICE = partition_of("alice")


async def test_a_trade_taken_up_is_in_progress(order: Order) -> None:
    placed = await order.place("alice")
    (claimed,) = await order.claim_as_leader("alice")

    assert claimed.trade.trade_id == placed.trade_id
    assert claimed.trade.status == Status.TRADE_STATUS_IN_PROGRESS
    assert (claimed.partition, claimed.epoch, claimed.attempts) == (ALICE, 1, 1)
    assert claimed.trade == await order.get("alice", placed.trade_id)
    events = await order.events("alice", placed.trade_id)
    assert [event.kind for event in events][1:] == [Kind.TRADE_EVENT_KIND_STARTED]


async def test_trades_are_taken_up_in_the_order_placed_one_after_the_other(order: Order) -> None:
    placed = [(await order.place("alice")).trade_id for _ in range(4)]
    epochs = await order.lead([ALICE])

    taken = []
    for end in (filled, rejected, canceled, filled):
        for _ in range(2):  # the next one is not given before this one is over
            (claimed,) = (await order.claim(epochs, "alice")).trades
            taken.append(claimed.trade.trade_id)
        await order.apply(end(claimed.trade.trade_id))
    assert taken == [trade_id for trade_id in placed for _ in range(2)]
    assert not (await order.claim(epochs, "alice")).trades


async def test_what_does_not_end_a_trade_does_not_let_the_next_one_pass(order: Order) -> None:
    first = (await order.place("alice")).trade_id
    await order.place("alice")
    epochs = await order.lead([ALICE])
    await order.claim(epochs, "alice")

    part = filled(first, 99, execution_id="e-1")
    for outcome in (accepted(first), in_doubt(first), part, in_doubt(first)):
        assert not (await order.apply(outcome)).open_customers
        (claimed,) = (await order.claim(epochs, "alice")).trades
        assert claimed.trade.trade_id == first


async def test_an_order_that_was_filled_in_part_before_it_was_accepted_rests(order: Order) -> None:
    first = await a_limit(order)
    behind = await order.place("alice")
    epochs = await order.lead([ALICE])
    await order.claim(epochs, "alice")

    answer = await order.apply(filled(first.trade_id, 40, 1_000_000))

    assert [each.trade_id for each in answer.open_customers] == [behind.trade_id]
    (claimed,) = (await order.claim(epochs, "alice")).trades
    assert claimed.trade.trade_id == behind.trade_id


async def test_a_trade_given_again_is_counted_and_makes_no_event(order: Order) -> None:
    trade = await order.place("alice")
    epochs = await order.lead([ALICE])
    for attempts in (1, 2, 3):
        (claimed,) = (await order.claim(epochs, "alice")).trades
        assert claimed.attempts == attempts
    newer = await order.lead([ALICE], "w2")
    (claimed,) = (await order.claim(newer, "alice")).trades
    assert (claimed.epoch, claimed.attempts) == (2, 4)
    assert seqs(await order.events("alice", trade.trade_id)) == [1, 2]


async def test_a_claim_under_an_older_epoch_gets_nothing(order: Order) -> None:
    await order.place("alice")
    await order.place("bob")
    old = await order.lead([ALICE, partition_of("bob")], "w1")
    await order.lead([ALICE], "w2")

    answer = await order.claim(old, "alice", "bob")
    assert [claimed.trade.customer_id for claimed in answer.trades] == ["bob"]
    assert list(answer.lost_partitions) == [ALICE]
    assert [each.claimed_epoch for each in await order.waiting(partitions=[ALICE])] == [0]


async def test_a_claim_under_an_epoch_never_granted_gets_nothing(order: Order) -> None:
    await order.place("alice")
    answer = await order.claim({ALICE: 7}, "alice")
    assert not answer.trades
    assert list(answer.lost_partitions) == [ALICE]


async def test_every_leader_has_an_epoch_of_its_own(make_house: MakeHouse) -> None:
    async with make_house() as one, make_house() as other:
        granted = await asyncio.gather(
            *(process.lead(range(PARTITIONS), "w") for process in (one, other) * 10)
        )
    for partition in range(PARTITIONS):
        assert sorted(epochs[partition] for epochs in granted) == list(range(1, 21))


async def test_no_claim_is_kept_under_an_epoch_that_has_passed(make_house: MakeHouse) -> None:
    """Leaders change while others claim: whoever was told of a trade led its partition then."""
    async with make_house() as one, make_house() as other:
        await asyncio.gather(*(one.place("alice") for _ in range(30)))
        claimed_ids: set[str] = set()
        newest = 0

        async def worker(order: Order, name: str) -> None:
            nonlocal newest
            while True:
                epochs = await order.lead([ALICE], name)
                newest = max(newest, epochs[ALICE])
                for _ in range(3):
                    seen = newest
                    answer = await order.claim(epochs, "alice")
                    if seen > epochs[ALICE]:
                        assert not answer.trades, "a leader that had passed was given a trade"
                    for claimed in answer.trades:
                        claimed_ids.add(claimed.trade.trade_id)
                        await order.apply(filled(claimed.trade.trade_id))
                if not await order.waiting(partitions=[ALICE]):
                    return

        await asyncio.gather(*(worker(order, str(n)) for n, order in enumerate([one, other] * 3)))
        page = await one.page("alice", page_size=100)

    assert {trade.status for trade in page.trades} == {Status.TRADE_STATUS_FILLED}
    assert claimed_ids == {trade.trade_id for trade in page.trades}


async def test_claimers_at_once_never_work_on_two_trades_of_a_customer(
    make_house: MakeHouse, postgres_url: str
) -> None:
    customers = [f"c{number}" for number in range(6)]
    async with make_house() as one, make_house() as other:
        await asyncio.gather(*(one.place(customers[n % 6]) for n in range(120)))
        epochs = await one.lead(sorted({partition_of(each) for each in customers}))
        given: Counter[str] = Counter()

        async def work(order: Order) -> None:
            while (answer := await order.claim(epochs, *customers)).trades:
                given.update(claimed.trade.trade_id for claimed in answer.trades)
                await order.apply(*(filled(each.trade.trade_id) for each in answer.trades))

        await asyncio.gather(*(work(order) for order in (one, other) * 4))

    assert len(given) == 120
    await check_single_flight(postgres_url)


async def check_single_flight(postgres_url: str) -> None:
    """From the events: one trade of a customer at a time, in the order placed."""
    async with await psycopg.AsyncConnection.connect(postgres_url) as connection:
        cursor = await connection.execute(
            b"""
            SELECT customer_id, trade_id, min(seq) FILTER (WHERE kind = 1) AS placed,
                min(seq) FILTER (WHERE kind = 2) AS started, max(seq) AS ended
            FROM trade_event GROUP BY customer_id, trade_id ORDER BY customer_id, placed
            """
        )
        last: dict[str, int] = {}
        async for customer_id, trade_id, _, started, ended in cursor:
            assert started > last.get(customer_id, 0), f"{trade_id} started too early"
            last[customer_id] = ended
        assert last


async def test_customers_of_other_partitions_and_nonsense_are_left_out(order: Order) -> None:
    await order.place("alice")
    partition = (ALICE + 1) % PARTITIONS
    epochs = await order.lead([partition])
    claim = pb.ClaimTradesRequest.Claim(
        grant=pb.PartitionGrant(partition=partition, epoch=epochs[partition]),
        customer_ids=["alice", "", "\0", "no such customer", "nobody", "x" * 10_000],
    )
    request = pb.ClaimTradesRequest(claims=[claim])
    answer = await order.execution.ClaimTrades(request, **order.as_service())
    assert not answer.trades
    assert not answer.lost_partitions


NO_GRANTS = [[(-1, 1)], [(128, 1)], [(2**31 - 1, 1)], [(5, 0)], [(5, -1)], [(5, 1), (5, 2)]]


async def test_a_claim_that_names_no_partition_is_invalid(order: Order) -> None:
    for grants in NO_GRANTS:
        claims = [
            pb.ClaimTradesRequest.Claim(grant=pb.PartitionGrant(partition=partition, epoch=epoch))
            for partition, epoch in grants
        ]
        request = pb.ClaimTradesRequest(claims=claims)
        call = order.execution.ClaimTrades(request, **order.as_service())
        assert await refused(call) == ("INVALID_ARGUMENT", "INVALID_REQUEST")


NO_LEADERS = [([128], "w"), ([-1], "w"), ([1], ""), ([1], "w\0"), ([1], "w" * 129)]


async def test_a_leader_has_a_name_and_partitions_that_exist(order: Order) -> None:
    for partitions, worker in NO_LEADERS:
        call = order.lead(partitions, worker)
        assert await refused(call) == ("INVALID_ARGUMENT", "INVALID_REQUEST")


async def test_no_leader_is_made_while_a_claim_of_the_one_before_is_under_way(
    order: Order, postgres_url: str
) -> None:
    """So a claim is either seen by the next leader or refused."""
    await order.place("alice")
    epochs = await order.lead([ALICE])
    async with await psycopg.AsyncConnection.connect(postgres_url) as claiming:
        claims = await claim_trades(claiming, epochs, ["alice"], SystemClock())
        assert len(claims.trades) == 1
        leading = asyncio.create_task(order.lead([ALICE], "w2"))

        async def is_waiting() -> bool:
            assert not leading.done(), "there is a new leader already"
            waiting = await rows(
                postgres_url,
                "SELECT FROM pg_stat_activity WHERE datname = current_database()"
                " AND wait_event_type = 'Lock'",
            )
            return bool(waiting)

        await until(is_waiting)
        await claiming.commit()
    assert (await leading)[ALICE] == 2
    (waiting,) = await order.waiting(partitions=[ALICE])
    assert waiting.claimed_epoch == 1


async def test_a_customer_whose_first_trade_is_not_committed_cannot_be_locked(
    order: Order, postgres_url: str
) -> None:
    """Else its sequence would be given out twice."""
    terms = Terms(symbol="AAPL", side=Side.BUY, quantity=1)
    placement = Placement(
        trade_id="019aa000-0000-7000-8000-000000000001",
        client_order_id="c-1",
        customer_id="alice",
        terms=terms,
    )
    connect = psycopg.AsyncConnection.connect
    async with await connect(postgres_url) as placing, await connect(postgres_url) as claiming:
        await place_trades(placing, [placement], Guard(SystemClock(), book=Book()))
        locking = await Customers(claiming).lock_known(["alice"])
        assert await locking.read() == {}
        await placing.commit()
        locking = await Customers(claiming).lock_known(["alice"])
        assert await locking.read() == {"alice": 1}


@pytest.mark.parametrize("by_trade", [False, True])
async def test_who_waited_for_a_customer_is_told_the_sequence_as_it_is_then(
    order: Order, postgres_url: str, by_trade: bool
) -> None:
    """Not as it was when the waiting began: else a seq would be given out twice."""
    first = await order.place("alice")
    terms = Terms(symbol="AAPL", side=Side.BUY, quantity=1)
    placement = Placement(
        trade_id="019aa000-0000-7000-8000-000000000001",
        client_order_id="c-1",
        customer_id="alice",
        terms=terms,
    )
    connect = psycopg.AsyncConnection.connect
    async with await connect(postgres_url) as placing, await connect(postgres_url) as other:
        await place_trades(placing, [placement], Guard(SystemClock(), book=Book()))
        customers = Customers(other)
        locking = asyncio.create_task(
            customers.lock_owners([first.trade_id]) if by_trade else customers.lock_known(["alice"])
        )
        locked = "SELECT FROM pg_locks WHERE NOT granted"
        await until(lambda: rows(postgres_url, locked))
        await placing.commit()
        assert await (await locking).read() == {"alice": 2}


async def test_the_sweep_finds_who_waits_longest_first(order: Order) -> None:
    customers = ["alice", "bob", "carol", "dave"]
    oldest = {each: (await order.place(each)).trade_id for each in customers}
    for each in reversed(customers):
        await order.place(each)

    waiting = await order.waiting()
    assert [each.customer_id for each in waiting] == customers
    assert {each.customer_id: each.trade_id for each in waiting} == oldest
    assert [each.partition for each in waiting] == [partition_of(each) for each in customers]
    assert [each.customer_id for each in await order.waiting(limit=2)] == customers[:2]
    (hers,) = await order.waiting(partitions=[ALICE])
    assert hers.customer_id == "alice"
    assert not await order.waiting(older_than_ms=60_000)


async def test_the_sweep_finds_who_waits_also_when_the_clock_was_set_back(
    order: Order, connection: psycopg.AsyncConnection
) -> None:
    mine, hers = (await order.place("alice")).trade_id, (await order.place("bob")).trade_id
    await connection.execute("UPDATE open_trade SET placed_at = placed_at + interval '1 hour'")

    for older_than_ms in (0, 1_000):
        waiting = await order.waiting(older_than_ms=older_than_ms)
        assert [each.trade_id for each in waiting] == [mine, hers]


async def test_the_sweep_shows_the_claim_and_then_the_next_trade(order: Order) -> None:
    first = (await order.place("alice")).trade_id
    second = (await order.place("alice")).trade_id
    await order.claim_as_leader("alice")
    (waiting,) = await order.waiting()
    assert (waiting.trade_id, waiting.claimed_epoch) == (first, 1)

    await order.apply(filled(first))
    (waiting,) = await order.waiting()
    assert (waiting.trade_id, waiting.claimed_epoch) == (second, 0)
    await order.claim_as_leader("alice")
    await order.apply(filled(second))
    assert not await order.waiting()


async def test_the_sweep_sees_exactly_the_heads_of_the_queues(
    order: Order, postgres_url: str
) -> None:
    """After any mix of placing and ending, also of trades that never had their turn."""
    customers = [f"c{number}" for number in range(5)]
    for number in range(40):
        await order.place(customers[number % 5])
        if number % 3 == 2:
            page = await order.page(customers[number % 4], statuses=[Status.TRADE_STATUS_PLACED])
            ids = [trade.trade_id for trade in page.trades]
            await order.apply(*(rejected(trade_id) for trade_id in ids[:: 1 + number % 2]))
        heads = {each.trade_id for each in await order.waiting()}
        assert heads == {str(row[0]) for row in await oldest_open(postgres_url)}


async def oldest_open(postgres_url: str) -> list[Any]:
    """Each customer's oldest open trade, from the trades themselves."""
    async with await psycopg.AsyncConnection.connect(postgres_url) as connection:
        cursor = await connection.execute(
            b"""
            SELECT DISTINCT ON (customer_id) trade_id FROM trade
            WHERE status NOT IN (4, 7, 8, 9) ORDER BY customer_id, placed_seq
            """
        )
        return await cursor.fetchall()


NO_SWEEPS: list[dict[str, Any]] = [
    {"limit": -1},
    {"limit": 100_001},
    {"older_than_ms": -1},
    {"partitions": [128]},
]


async def test_a_sweep_that_cannot_be_is_invalid(order: Order) -> None:
    for changes in NO_SWEEPS:
        assert await refused(order.waiting(**changes)) == ("INVALID_ARGUMENT", "INVALID_REQUEST")


async def test_clocks_do_not_decide_the_order(order: Order, postgres_url: str) -> None:
    first = await order.place("alice")
    second = await order.place("alice")
    async with await psycopg.AsyncConnection.connect(postgres_url) as connection:
        for trade, year in ((first, 2030), (second, 2020)):
            at = datetime(year, 1, 1, tzinfo=UTC)
            await connection.execute(
                b"UPDATE open_trade SET placed_at = %s WHERE trade_id = %s", [at, trade.trade_id]
            )
    (claimed,) = await order.claim_as_leader("alice")
    assert claimed.trade.trade_id == first.trade_id
