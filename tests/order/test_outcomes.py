"""ApplyOutcomes: what became of trades is recorded in order, once, and harms no neighbour."""

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from libs.partition import partition_of
from stockbroker.common.v1.reason_pb2 import Reason
from stockbroker.order.v1 import order_execution_service_pb2 as pb
from stockbroker.order.v1.order_pb2 import TradeEventKind as Kind
from stockbroker.order.v1.order_pb2 import TradeStatus as Status
from tests.order.client import (
    Order,
    Outcome,
    accepted,
    canceled,
    filled,
    in_doubt,
    rejected,
    seqs,
)
from tests.order.conftest import MakeHouse
from tests.order.test_placing import gaps, rows

Code = pb.OutcomeResult.Code
UNKNOWN_ID = "019aa000-0000-7000-8000-000000000001"


async def a_trade_in_progress(order: Order, customer: str = "alice") -> str:
    """Its id."""
    trade = await order.place(customer)
    await order.claim_as_leader(customer)
    return trade.trade_id


def codes(answer: pb.ApplyOutcomesResponse) -> list[str]:
    """What was done about each outcome."""
    return [Code.Name(result.code).removeprefix("CODE_") for result in answer.results]


async def test_a_trade_is_filled_exactly(order: Order) -> None:
    trade_id = await a_trade_in_progress(order)
    answer = await order.apply(
        accepted(trade_id, "X-1"),
        filled(trade_id, 33, 585_330_001, execution_id="e-1"),
        filled(trade_id, 67, 585_340_007, execution_id="e-2"),
    )

    assert codes(answer) == ["APPLIED"] * 3
    assert [Status.Name(result.status) for result in answer.results] == [
        "TRADE_STATUS_IN_PROGRESS",
        "TRADE_STATUS_PARTIALLY_FILLED",
        "TRADE_STATUS_FILLED",
    ]
    trade = await order.get("alice", trade_id)
    assert trade.filled_quantity == 100
    assert trade.filled_notional_micros == 33 * 585_330_001 + 67 * 585_340_007
    assert trade.average_price_micros == (trade.filled_notional_micros * 2 + 100) // 200
    assert trade.executed_at.nanos == 123_456_000
    assert trade.reason == Reason.REASON_UNSPECIFIED


ENDS: list[tuple[Callable[[str], Outcome], int, int]] = [
    (rejected, Status.TRADE_STATUS_REJECTED, Reason.REASON_INSUFFICIENT_FUNDS),
    (canceled, Status.TRADE_STATUS_CANCELED, Reason.REASON_NO_LIQUIDITY),
    (
        lambda trade_id: canceled(trade_id, expired=True),
        Status.TRADE_STATUS_EXPIRED,
        Reason.REASON_EXPIRED,
    ),
]


async def test_every_trade_that_is_not_filled_says_why(order: Order) -> None:
    for end, status, reason in ENDS:
        trade_id = await a_trade_in_progress(order)
        await order.apply(end(trade_id))
        trade = await order.get("alice", trade_id)
        assert (trade.status, trade.reason) == (status, reason)


NEWER = Reason.ValueType(99)


@pytest.mark.parametrize(
    ("end", "status"),
    [
        (lambda i: rejected(i, NEWER, cause="exchange"), Status.TRADE_STATUS_REJECTED),
        (lambda i: canceled(i, reason=NEWER), Status.TRADE_STATUS_CANCELED),
    ],
)
async def test_a_reason_of_the_exchange_that_only_a_newer_house_knows_ends_the_trade_all_the_same(
    order: Order, end: Callable[[str], Outcome], status: int
) -> None:
    trade_id = await a_trade_in_progress(order)
    behind = (await order.place("alice")).trade_id

    answer = await order.apply(end(trade_id))

    assert codes(answer) == ["APPLIED"]
    trade = await order.get("alice", trade_id)
    assert (trade.status, trade.reason) == (status, Reason.REASON_EXCHANGE_REJECTED)
    assert [customer.trade_id for customer in answer.open_customers] == [behind]


async def test_a_reason_of_the_house_that_only_a_newer_part_knows_is_kept_as_it_is(
    order: Order,
) -> None:
    trade_id = await a_trade_in_progress(order)
    nothing, refused = rejected(trade_id, Reason.ValueType(399)), rejected(trade_id, NEWER)

    assert codes(await order.apply(nothing)) == ["IMPOSSIBLE"], "no reason of a trade"
    assert codes(await order.apply(refused)) == ["APPLIED"]

    trade = await order.get("alice", trade_id)
    assert (trade.status, trade.reason) == (Status.TRADE_STATUS_REJECTED, NEWER)
    assert (await order.events("alice", trade_id))[-1].trade.reason == NEWER


async def test_doubt_is_shown_and_then_resolved(order: Order) -> None:
    trade_id = await a_trade_in_progress(order)
    await order.apply(in_doubt(trade_id))
    trade = await order.get("alice", trade_id)
    assert trade.in_doubt
    assert trade.reason_text == "no answer in 3 s"

    await order.apply(filled(trade_id))
    trade = await order.get("alice", trade_id)
    assert not trade.in_doubt
    assert not trade.reason_text
    kinds = [Kind.Name(event.kind) for event in await order.events("alice", trade_id)]
    assert [kind.removeprefix("TRADE_EVENT_KIND_") for kind in kinds] == [
        "PLACED",
        "STARTED",
        "IN_DOUBT",
        "RESOLVED",
        "EXECUTED",
    ]


async def test_the_same_outcomes_told_again_change_nothing(order: Order) -> None:
    trade_id = await a_trade_in_progress(order)
    outcomes = [
        accepted(trade_id),
        filled(trade_id, 40, execution_id="e-1"),
        filled(trade_id, 50, execution_id="e-2"),
        canceled(trade_id),
    ]
    assert codes(await order.apply(*outcomes)) == ["APPLIED"] * 4
    events = await order.events("alice", trade_id)
    for _ in range(3):
        assert codes(await order.apply(*outcomes)) == ["REPEATED"] * 4
    assert codes(await order.apply(*outcomes, *outcomes)) == ["REPEATED"] * 8
    assert await order.events("alice", trade_id) == events


async def test_an_impossible_outcome_harms_no_neighbour(order: Order) -> None:
    ids = [await a_trade_in_progress(order, customer) for customer in ("alice", "bob", "carol")]
    stranger = filled(ids[0])
    stranger.execution.trade_id = ids[1]
    answer = await order.apply(
        filled(ids[0], 100, execution_id="e-1"),
        filled(ids[0], 1, execution_id="e-2"),
        filled(ids[1], 101, execution_id="e-3"),
        filled(ids[1], 7, execution_id="e-1"),
        stranger,
        accepted(UNKNOWN_ID),
        Outcome(trade_id=ids[1]),
        Outcome(trade_id="\0"),
        filled(ids[2], 100, execution_id="e-4"),
    )

    assert codes(answer) == ["APPLIED", *["IMPOSSIBLE"] * 7, "APPLIED"]
    assert [bool(result.detail) for result in answer.results] == [False, *[True] * 7, False]
    assert [result.trade_id for result in answer.results[:3]] == [ids[0], ids[0], ids[1]]
    assert answer.results[5].status == Status.TRADE_STATUS_UNSPECIFIED
    standing = [await order.get(c, i) for c, i in zip(("alice", "bob", "carol"), ids, strict=True)]
    assert [trade.filled_quantity for trade in standing] == [100, 0, 100]


async def test_a_fill_counts_once_even_when_told_twice_at_once(make_house: MakeHouse) -> None:
    async with make_house() as one, make_house() as other:
        trade_id = await a_trade_in_progress(one)
        outcomes = [filled(trade_id, 10, execution_id=f"e-{number}") for number in range(10)]
        answers = await asyncio.gather(
            *(process.apply(outcome) for outcome in outcomes for process in (one, other) * 2)
        )
        trade = await one.get("alice", trade_id)

    told = [code for answer in answers for code in codes(answer)]
    assert told.count("APPLIED") == 10
    assert told.count("REPEATED") == 30
    assert trade.filled_quantity == 100


async def test_the_end_of_a_trade_names_the_customer_whose_next_one_may_start(
    order: Order,
) -> None:
    """A third trade, placed while the first was worked on, is not forgotten after the second."""
    ids = [(await order.place("alice")).trade_id for _ in range(3)]
    epochs = await order.lead([partition_of("alice")])
    for number, trade_id in enumerate(ids):
        (claimed,) = (await order.claim(epochs, "alice")).trades
        assert claimed.trade.trade_id == trade_id
        answer = await order.apply(filled(trade_id))
        assert [each.trade_id for each in answer.open_customers] == ids[number + 1 : number + 2]
    assert not answer.open_customers


async def test_told_again_the_customer_is_still_named_until_the_next_trade_is_taken_up(
    order: Order,
) -> None:
    """The first answer may be lost."""
    first, second = [(await order.place("alice")).trade_id for _ in range(2)]
    await order.claim_as_leader("alice")
    for _ in range(3):
        (waiting,) = (await order.apply(filled(first))).open_customers
        assert (waiting.customer_id, waiting.trade_id) == ("alice", second)
        assert waiting.partition == partition_of("alice")
    await order.claim_as_leader("alice")
    assert not (await order.apply(filled(first))).open_customers


async def test_a_batch_of_many_customers_is_one_answer(order: Order, postgres_url: str) -> None:
    customers = [f"c{number}" for number in range(300)]
    await asyncio.gather(*(order.place(customer) for customer in customers))
    await asyncio.gather(*(order.place(customer) for customer in customers[:100]))
    claimed = await order.claim_as_leader(*customers)
    assert len(claimed) == 300

    answer = await order.apply(
        *(
            outcome
            for each in claimed
            for outcome in (
                accepted(each.trade.trade_id),
                filled(each.trade.trade_id, 60, execution_id=f"a-{each.trade.trade_id}"),
                filled(each.trade.trade_id, 40, execution_id=f"b-{each.trade.trade_id}"),
            )
        )
    )
    assert codes(answer) == ["APPLIED"] * 900
    assert {each.customer_id for each in answer.open_customers} == set(customers[:100])
    assert await gaps(postgres_url) == []


async def test_an_empty_batch_is_an_empty_answer(order: Order) -> None:
    assert await order.apply() == pb.ApplyOutcomesResponse()


async def test_a_lost_connection_leaves_each_outcome_recorded_once(
    order: Order, postgres_url: str, terminate: Callable[[], Any]
) -> None:
    customers = [f"c{number}" for number in range(40)]
    await asyncio.gather(*(order.place(customer) for customer in customers))
    epochs = await order.lead(sorted({partition_of(customer) for customer in customers}))

    claimed = await asyncio.gather(*(order.claim(epochs, customer) for customer in customers))
    trade_ids = [trade.trade.trade_id for answer in claimed for trade in answer.trades]

    async def tell(trade_id: str) -> None:
        for part in range(10):
            outcome = filled(trade_id, 10, execution_id=f"{trade_id}-{part}")
            assert codes(await order.apply(outcome)) in (["APPLIED"], ["REPEATED"])

    killed = 0
    while not killed:  # told again if nothing was caught in the middle
        telling = asyncio.gather(*map(tell, trade_ids))
        while killed < 8 and not telling.done():
            killed += await terminate()
        await telling

    filled_status = int(Status.TRADE_STATUS_FILLED)
    assert await rows(postgres_url, "SELECT DISTINCT status FROM trade") == [(filled_status,)]
    assert await rows(postgres_url, "SELECT count(*) FROM execution") == [(400,)]
    assert await gaps(postgres_url) == []
    assert await rows(postgres_url, "SELECT FROM open_trade") == []


async def test_the_database_itself_refuses_what_must_never_be(
    order: Order, postgres_url: str
) -> None:
    trade_id = await a_trade_in_progress(order)
    await order.apply(filled(trade_id, 60, execution_id="e-1"))
    for fault in (
        "UPDATE trade SET filled_quantity = 101",
        "UPDATE trade SET filled_quantity = -1",
        "UPDATE trade SET status = 4",
        "UPDATE trade SET filled_quantity = 100",
        "INSERT INTO trade SELECT gen_random_uuid(), customer_id, client_order_id, 9,"
        " created_at, symbol, side, quantity, 1, 0, 0, 1, 1, 0, '', false, 0, 0, '', null,"
        " updated_at, 9 FROM trade",
        "INSERT INTO execution SELECT * FROM execution",
        "INSERT INTO trade_event SELECT * FROM trade_event",
        "UPDATE customer_head SET head_seq = -1",
    ):
        with pytest.raises(Exception, match="violates"):
            await rows(postgres_url, fault)
    assert seqs(await order.events("alice", trade_id)) == [1, 2, 3]
