"""ListExecutions: every fill on record is told, in pages, and none is ever skipped."""

import psycopg

from stockbroker.order.v1 import recorded_execution_pb2 as pb
from tests.order.client import Order, filled
from tests.support.keys import bearer


async def page(
    order: Order, after: pb.ExecutionPlace | None = None, *, limit: int = 0
) -> pb.ListExecutionsResponse:
    """Some executions as reconciliation reads them."""
    request = pb.ListExecutionsRequest(after=after, limit=limit)
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


async def test_a_fill_that_is_committed_late_is_not_skipped(
    order: Order, postgres_url: str
) -> None:
    with psycopg.connect(postgres_url) as slow:
        # It has its number before the one that commits first.
        slow.execute("INSERT INTO instrument VALUES ('SLOW', 'Slow', true, now())")
        slow.execute(
            "INSERT INTO execution (venue, execution_id, trade_id, quantity, price_micros,"
            " executed_at) VALUES ('XSIM', 'e-late', gen_random_uuid(), 1, 1, now())"
        )
        await a_fill(order, "e-soon")
        first = await page(order)
        assert ids(first) == ["e-soon"]
    again = await page(order, first.next)

    assert sorted(ids(again)) == ["e-late", "e-soon"]
    assert ids(await page(order, again.next)) == []
