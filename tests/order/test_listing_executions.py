"""ListExecutions: every fill on record is told, in pages, and none is ever skipped."""

import grpc
import psycopg
import pytest

from libs.rpc.status import reason_of
from stockbroker.order.v1 import recorded_execution_pb2 as pb
from tests.order.client import Order, filled
from tests.order.test_amending import amended, busted
from tests.support.fills import DAY_SECONDS, fills_of
from tests.support.keys import bearer


async def page(
    order: Order,
    after: pb.ExecutionPlace | None = None,
    *,
    limit: int = 0,
    in_columns: bool = False,
) -> pb.ListExecutionsResponse:
    """Some executions as reconciliation reads them."""
    request = pb.ListExecutionsRequest(after=after, limit=limit, in_columns=in_columns)
    metadata = bearer(order.keys.service("reconciliation"))
    told: pb.ListExecutionsResponse = await order.execution.ListExecutions(
        request, metadata=metadata
    )
    return told


def ids(told: pb.ListExecutionsResponse) -> list[str]:
    """The executions of a page."""
    return [each.execution.execution_id for each in told.executions]


async def a_fill(order: Order, execution_id: str) -> str:
    """A trade of its own, filled; the trade's id."""
    trade = await order.place("alice")
    await order.claim_as_leader("alice")
    await order.apply(filled(trade.trade_id, execution_id=execution_id))
    return trade.trade_id


async def test_fills_are_told_with_the_terms_of_their_trade_in_the_order_recorded(
    order: Order,
) -> None:
    trade_ids = [await a_fill(order, execution_id) for execution_id in ("e-3", "e-1", "e-2")]

    first = await page(order, limit=2)
    rest = await page(order, first.next, limit=2)

    assert (ids(first), first.reaches_end) == (["e-3", "e-1"], False)
    assert (ids(rest), rest.reaches_end) == (["e-2"], True)
    told = first.executions[0]
    assert (told.customer_id, told.symbol, told.side) == ("alice", "AAPL", 1)
    assert (told.execution.trade_id, told.execution.quantity) == (trade_ids[0], 100)
    assert ids(await page(order, rest.next)) == []


@pytest.mark.parametrize(
    "place", [pb.ExecutionPlace(venue="X\0"), pb.ExecutionPlace(execution_id="X\0")]
)
async def test_a_place_that_was_never_told_is_refused(
    order: Order, place: pb.ExecutionPlace
) -> None:
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await page(order, place)
    assert reason_of(refused.value) == "INVALID_REQUEST"


async def test_fills_of_a_venue_are_told_in_columns_and_what_fills_no_trade_as_a_message(
    order: Order, postgres_url: str
) -> None:
    for execution_id in ("e-1", "e-2"):
        await a_fill(order, execution_id)
    with psycopg.connect(postgres_url) as hand:
        hand.execute(
            "INSERT INTO execution (venue, execution_id, trade_id, quantity, price_micros,"
            " executed_at) VALUES ('XSIM', 'e-none', gen_random_uuid(), 1, 1, now())"
        )
    *filled_trades, nobodys = (await page(order)).executions

    told = await page(order, in_columns=True)

    assert list(told.executions) == [nobodys]
    # How far it is read depends on what other transactions are in progress.
    assert told.reaches_end
    assert ids(await page(order, told.next)) == []
    assert fills_of(told.columns) == [
        (
            *(each.execution.venue, each.transaction_id, each.execution.execution_id),
            *(each.execution.trade_id, "alice", "AAPL", each.execution.quantity),
            -each.execution.quantity * each.execution.price_micros,
            each.execution.executed_at.seconds // DAY_SECONDS,
        )
        for each in filled_trades
    ]


@pytest.mark.parametrize("limit", [0, 1])
async def test_a_fill_that_is_committed_late_is_not_skipped(
    order: Order, postgres_url: str, limit: int
) -> None:
    with psycopg.connect(postgres_url) as slow:
        # It has its number before the one that commits first.
        slow.execute("INSERT INTO instrument VALUES ('SLOW', 'Slow', true, now())")
        slow.execute(
            "INSERT INTO execution (venue, execution_id, trade_id, quantity, price_micros,"
            " executed_at) VALUES ('XSIM', 'e-late', gen_random_uuid(), 1, 1, now())"
        )
        await a_fill(order, "e-soon")
        first = await page(order, limit=limit)
        assert ids(first) == ["e-soon"]
    again = await page(order, first.next)

    assert sorted(ids(again)) == ["e-late", "e-soon"]
    assert ids(await page(order, again.next)) == []


def amendments(told: pb.ListExecutionsResponse) -> list[tuple[str, str]]:
    """The fills of a page that were amended, and by what."""
    return [(each.execution_id, each.amendment_id) for each in told.amendments]


async def test_what_became_of_fills_is_told_with_the_terms_of_their_trade(order: Order) -> None:
    trade_ids = [await a_fill(order, execution_id) for execution_id in ("e-1", "e-2")]
    first = await page(order)
    corrected = amended(trade_ids[0], 40, 9_000_000, amendment_id="c-1")
    await order.apply(corrected, busted(trade_ids[1], execution_id="e-2"))

    rest = await page(order, first.next)

    assert (ids(rest), amendments(first)) == ([], [])
    assert amendments(rest) == [("e-1", "c-1"), ("e-2", "b-1")]
    correction, bust = rest.amendments
    assert (correction.quantity, correction.price_micros) == (40, 9_000_000)
    assert (bust.quantity, bust.price_micros) == (0, 0)
    assert (bust.customer_id, bust.symbol, bust.side) == ("alice", "AAPL", 1)
    assert (bust.venue, bust.trade_id) == ("XSIM", trade_ids[1])
    assert bust.amended_at == corrected.amended.amended_at
    assert amendments(await page(order, rest.next)) == []


async def test_page_by_page_every_fill_and_every_amendment_is_told(order: Order) -> None:
    names = [f"e-{number}" for number in range(5)]
    trade_ids = [await a_fill(order, name) for name in names]
    outcomes = [
        busted(trade_id, execution_id=name) for trade_id, name in zip(trade_ids, names, strict=True)
    ]
    await order.apply(*outcomes)
    await a_fill(order, "e-9")

    told, after, fills, busts = None, None, set[str](), set[str]()
    while told is None or not told.reaches_end:
        told = await page(order, after, limit=2)
        after = told.next
        fills |= set(ids(told))
        busts |= {execution_id for execution_id, _ in amendments(told)}

    assert fills == {*names, "e-9"}
    assert busts == set(names)


async def test_page_by_page_each_amendment_of_a_fill_is_told_with_its_number(order: Order) -> None:
    trade_id = await a_fill(order, "e-1")
    chain = [
        amended(trade_id, 40, 9_000_000, amendment_id="c-1"),
        amended(trade_id, 30, 9_000_000, amendment_id="c-2", previous_amendment_id="c-1"),
        amended(trade_id, 20, 9_000_000, amendment_id="c-3", previous_amendment_id="c-2"),
    ]
    await order.apply(*chain)
    await order.apply(busted(trade_id, amendment_id="b-4", previous_amendment_id="c-3"))

    told, after = None, None
    found: dict[int, tuple[str, int]] = {}
    while told is None or not told.reaches_end:
        told = await page(order, after, limit=1)
        after = told.next
        found |= {each.number: (each.amendment_id, each.quantity) for each in told.amendments}

    assert found == {1: ("c-1", 40), 2: ("c-2", 30), 3: ("c-3", 20), 4: ("b-4", 0)}
