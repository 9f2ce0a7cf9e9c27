"""A trade that fails again and again is parked; an operator says what becomes of it."""

from typing import Any

import psycopg
import pytest

from libs.partition import partition_of
from stockbroker.common.v1.reason_pb2 import Reason
from stockbroker.order.v1 import order_execution_service_pb2 as pb
from stockbroker.order.v1.order_pb2 import TradeStatus as Status
from stockbroker.order.v1.order_service_pb2 import CancelTradeRequest
from tests.order.client import Order, accepted, canceled, filled, in_doubt, refused, rejected

ALICE = partition_of("alice")


async def fail(
    order: Order,
    epochs: dict[int, int],
    customer: str = "alice",
    *,
    trade_id: str = "",
    attempt: int = 0,
) -> pb.FaultResult:
    """Tell of an attempt that failed; three are too many."""
    partition = partition_of(customer)
    fault = pb.RecordFaultsRequest.Fault(
        grant=pb.PartitionGrant(partition=partition, epoch=epochs[partition]),
        customer_id=customer,
        trade_id=trade_id,
        fault_text="the ledger says REASON_INTERNAL",
        attempt=attempt,
    )
    request = pb.RecordFaultsRequest(faults=[fault], park_after=3)
    (result,) = (await order.execution.RecordFaults(request, **order.as_service())).results
    return result  # type: ignore[no-any-return]


async def parked(order: Order, trade_id: str = "") -> list[pb.ParkedTrade]:
    request = pb.ListParkedTradesRequest(trade_id=trade_id)
    return list((await order.execution.ListParkedTrades(request, **order.as_service())).trades)


async def park(order: Order, customer: str = "alice") -> tuple[str, dict[int, int]]:
    """A parked trade, and the epoch it was taken up under."""
    trade_id = (await order.place(customer)).trade_id
    epochs = await order.lead([partition_of(customer)])
    await order.claim(epochs, customer)
    for _ in range(3):
        result = await fail(order, epochs, customer)
    assert result.is_parked
    return trade_id, epochs


def release(order: Order, trade_id: str, reason_text: str = "the ledger is mended") -> Any:
    request = pb.ReleaseParkedTradeRequest(
        trade_id=trade_id, actor="olivia", reason_text=reason_text
    )
    return order.execution.ReleaseParkedTrade(request, **order.as_service())


def condemn(order: Order, trade_id: str, reason_text: str = "it cannot be done") -> Any:
    request = pb.CondemnParkedTradeRequest(
        trade_id=trade_id, actor="oscar", reason_text=reason_text
    )
    return order.execution.CondemnParkedTrade(request, **order.as_service())


async def recorded(postgres_url: str) -> list[tuple[object, ...]]:
    """Who did what to parked trades."""
    async with await psycopg.AsyncConnection.connect(postgres_url, autocommit=True) as connection:
        cursor = await connection.execute(
            "SELECT action, trade_id::text, customer_id, faults, actor, reason_text"
            " FROM parking_audit ORDER BY id"
        )
        return await cursor.fetchall()


async def test_a_parked_trade_is_told_with_the_epoch_its_partition_has_now(order: Order) -> None:
    trade_id, epochs = await park(order)
    (found,) = await parked(order)
    assert (found.partition, found.epoch) == (ALICE, epochs[ALICE])

    newer = await order.lead([ALICE], "w2")

    (found,) = await parked(order, trade_id)
    assert (found.partition, found.epoch) == (ALICE, newer[ALICE])


async def test_a_trade_with_too_many_faults_is_taken_up_no_more(order: Order) -> None:
    first = (await order.place("alice")).trade_id
    await order.place("alice")
    other = (await order.place("bob")).trade_id
    epochs = await order.lead([ALICE, partition_of("bob")])
    await order.claim(epochs, "alice")

    results = [await fail(order, epochs, trade_id=first) for _ in range(3)]

    assert [(each.faults, each.is_parked) for each in results] == [
        (1, False),
        (2, False),
        (3, True),
    ]
    claimed = (await order.claim(epochs, "alice", "bob")).trades
    assert [each.trade.trade_id for each in claimed] == [other]
    newer = await order.lead([ALICE])
    assert not (await order.claim(newer, "alice")).trades
    assert [each.customer_id for each in await order.waiting()] == ["bob"]
    (found,) = await parked(order)
    assert (found.trade.trade_id, found.faults) == (first, 3)
    assert found.fault_text == "the ledger says REASON_INTERNAL"
    assert found.trade.status == Status.TRADE_STATUS_IN_PROGRESS
    assert not found.is_condemned


async def test_faults_under_an_older_epoch_or_of_another_trade_do_not_count(order: Order) -> None:
    first = (await order.place("alice")).trade_id
    second = (await order.place("alice")).trade_id
    old = await order.lead([ALICE], "w1")
    await order.claim(old, "alice")
    newer = await order.lead([ALICE], "w2")

    assert (await fail(order, old)).faults == 0
    assert (await fail(order, newer)).faults == 0  # not taken up under this one yet
    await order.claim(newer, "alice")
    assert (await fail(order, newer, trade_id=second)).faults == 0
    assert (await fail(order, newer, trade_id=first)).faults == 1
    assert (await fail(order, newer | {partition_of("nobody"): 1}, "nobody")).faults == 0


async def test_what_the_exchange_says_of_a_parked_trade_is_recorded(order: Order) -> None:
    first, epochs = await park(order)
    second = (await order.place("alice")).trade_id

    answer = await order.apply(accepted(first), filled(first))

    assert [customer.trade_id for customer in answer.open_customers] == [second]
    assert not await parked(order)
    (claimed,) = (await order.claim(epochs, "alice")).trades
    assert claimed.trade.trade_id == second


async def test_a_trade_behind_a_parked_one_that_ends_does_not_set_it_free(order: Order) -> None:
    first, epochs = await park(order)
    second = (await order.place("alice")).trade_id

    await order.apply(canceled(second))

    assert not (await order.claim(epochs, "alice")).trades
    assert [each.trade.trade_id for each in await parked(order)] == [first]


async def test_a_released_trade_goes_on_with_its_faults_forgotten(order: Order) -> None:
    trade_id, epochs = await park(order)

    await release(order, trade_id)

    assert not await parked(order)
    (claimed,) = (await order.claim(epochs, "alice")).trades
    assert claimed.trade.trade_id == trade_id
    assert (await fail(order, epochs)).faults == 1
    answer = release(order, trade_id, "another reason")
    assert await refused(answer) == ("FAILED_PRECONDITION", "TRADE_NOT_PARKED")


async def test_a_repeated_release_gets_the_same_answer_until_the_trade_is_parked_again(
    order: Order, postgres_url: str
) -> None:
    trade_id, epochs = await park(order)

    first, again = await release(order, trade_id), await release(order, trade_id)

    assert first == again
    await order.claim(epochs, "alice")
    for _ in range(3):
        await fail(order, epochs)
    assert await parked(order)
    await release(order, trade_id)
    assert not await parked(order)
    actions = [action for action, *_ in await recorded(postgres_url)]
    assert actions == ["park", "release"] * 2


async def test_a_condemned_trade_is_released_no_more_and_ends_by_the_operators_word(
    order: Order,
) -> None:
    trade_id, _ = await park(order)
    behind = (await order.place("alice")).trade_id

    for _ in range(2):  # safe to repeat
        await condemn(order, trade_id)
    assert (await parked(order, trade_id))[0].is_condemned
    assert await refused(release(order, trade_id)) == ("FAILED_PRECONDITION", "TRADE_NOT_PARKED")
    end = rejected(trade_id, Reason.REASON_CANCELED_BY_OPERATOR, cause="operator")
    answer = await order.apply(end)

    assert [customer.trade_id for customer in answer.open_customers] == [behind]
    trade = await order.get("alice", trade_id)
    assert trade.status == Status.TRADE_STATUS_REJECTED
    assert trade.reason == Reason.REASON_CANCELED_BY_OPERATOR
    assert (await order.events("alice", trade_id))[-1].cause == "operator"
    assert not await parked(order)
    assert (await condemn(order, trade_id)).trade == trade, "a repeat is told how it ended"
    answer = condemn(order, trade_id, "another reason")
    assert await refused(answer) == ("FAILED_PRECONDITION", "TRADE_NOT_PARKED")


async def test_a_trade_that_is_not_parked_is_neither_released_nor_condemned(order: Order) -> None:
    trade_id = (await order.place("alice")).trade_id
    nobody = "01890000-0000-7000-8000-000000000000"

    for call in (release, condemn):
        not_parked = ("FAILED_PRECONDITION", "TRADE_NOT_PARKED")
        assert await refused(call(order, trade_id)) == not_parked
        assert await refused(call(order, nobody)) == ("NOT_FOUND", "TRADE_NOT_FOUND")
        assert await refused(call(order, "no id")) == ("INVALID_ARGUMENT", "INVALID_ID")
    assert await refused(release(order, trade_id, " ")) == ("INVALID_ARGUMENT", "INVALID_REQUEST")


async def test_who_parked_released_and_condemned_is_on_a_record_nobody_can_change(
    order: Order, postgres_url: str
) -> None:
    trade_id, epochs = await park(order)
    await fail(order, epochs)  # told late, of a trade that is parked
    await release(order, trade_id)
    await order.claim(epochs, "alice")
    for _ in range(3):
        await fail(order, epochs)
    await condemn(order, trade_id)

    record = await recorded(postgres_url)
    async with await psycopg.AsyncConnection.connect(postgres_url, autocommit=True) as connection:
        for change in ("DELETE FROM parking_audit", "UPDATE parking_audit SET actor = 'nobody'"):
            with pytest.raises(psycopg.errors.RaiseException, match="append-only"):
                await connection.execute(change)

    why = "the ledger says REASON_INTERNAL"
    assert record == [
        ("park", trade_id, "alice", 3, "house", why),
        ("release", trade_id, "alice", 3, "olivia", "the ledger is mended"),
        ("park", trade_id, "alice", 3, "house", why),
        ("condemn", trade_id, "alice", 3, "oscar", "it cannot be done"),
    ]


async def doubted(order: Order) -> list[str]:
    request = pb.ListTradesInDoubtRequest()
    answer = await order.execution.ListTradesInDoubt(request, **order.as_service())
    return [trade.trade_id for trade in answer.trades]


@pytest.mark.parametrize("news", [accepted, filled, rejected, canceled])
async def test_a_doubt_has_a_beginning_and_any_word_of_the_exchange_ends_it(
    order: Order, news: object
) -> None:
    customers = ("alice", "bob")
    (first, second) = [(await order.place(customer)).trade_id for customer in customers]
    await order.claim_as_leader(*customers)
    await order.apply(in_doubt(second))
    await order.apply(in_doubt(first), in_doubt(second))

    assert await doubted(order) == [second, first]
    trade = await order.get("bob", second)
    story = await order.events("bob", second)
    assert trade.in_doubt_since == story[-1].occurred_at == story[-1].trade.in_doubt_since
    await order.apply(news(second))  # type: ignore[operator]

    assert await doubted(order) == [first]
    trade = await order.get("bob", second)
    assert not trade.in_doubt
    assert not trade.HasField("in_doubt_since")


async def test_a_doubt_is_as_old_as_its_beginning_whatever_is_asked_meanwhile(order: Order) -> None:
    trade_id = (await order.place("alice")).trade_id
    await order.claim_as_leader("alice")
    await order.apply(in_doubt(trade_id))
    since = (await order.get("alice", trade_id)).in_doubt_since

    request = CancelTradeRequest(trade_id=trade_id)
    asked = (await order.trades.CancelTrade(request, **order.as_customer("alice"))).trade

    assert asked.status == Status.TRADE_STATUS_PENDING_CANCEL
    assert asked.in_doubt_since == since
    assert (await order.get("alice", trade_id)).in_doubt_since == since
