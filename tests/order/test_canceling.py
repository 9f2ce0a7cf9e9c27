"""What is asked to be canceled ends in one true way."""

import asyncio

import grpc
import psycopg
import pytest

from libs.partition import partition_of
from services.order import claiming
from stockbroker.common.v1.reason_pb2 import Reason
from stockbroker.order.v1 import order_execution_service_pb2 as execution_pb
from stockbroker.order.v1 import order_pb2
from stockbroker.order.v1 import order_service_pb2 as pb
from stockbroker.order.v1.order_pb2 import TradeEventKind as Kind
from stockbroker.order.v1.order_pb2 import TradeStatus as Status
from tests.order.client import Order, accepted, cancel_rejected, canceled, filled, refused
from tests.order.replaced import a_limit, replace

CANCELED, PENDING = Status.TRADE_STATUS_CANCELED, Status.TRADE_STATUS_PENDING_CANCEL


async def taken_up(order: Order, *customers: str) -> list[str]:
    """Ids of the trades a new leader takes up."""
    return [each.trade.trade_id for each in await order.claim_as_leader(*customers)]


async def cancel(order: Order, customer: str, trade_id: str) -> order_pb2.Trade:
    request = pb.CancelTradeRequest(trade_id=trade_id)
    response = await order.trades.CancelTrade(request, **order.as_customer(customer))
    trade: order_pb2.Trade = response.trade
    return trade


async def test_a_trade_that_waits_ends_at_once_and_the_next_one_has_its_turn(order: Order) -> None:
    first, second, third = [await order.place("alice") for _ in range(3)]
    await order.claim_as_leader("alice")

    ended = await cancel(order, "alice", second.trade_id)

    assert (ended.status, ended.reason) == (CANCELED, Reason.REASON_CANCELED_BY_CUSTOMER)
    events = await order.events("alice", second.trade_id)
    assert [event.kind for event in events] == [
        Kind.TRADE_EVENT_KIND_PLACED,
        Kind.TRADE_EVENT_KIND_CANCELED,
    ]
    assert events[-1].cause == "customer"
    await order.apply(filled(first.trade_id))
    assert await taken_up(order, "alice") == [third.trade_id]


async def test_the_head_of_the_queue_may_be_canceled_before_its_turn(order: Order) -> None:
    first, second = [await order.place("alice") for _ in range(2)]

    await cancel(order, "alice", first.trade_id)

    assert await taken_up(order, "alice") == [second.trade_id]


async def test_a_cancel_asked_again_changes_nothing_more(order: Order) -> None:
    trade = await order.place("alice")
    answers = await asyncio.gather(*(cancel(order, "alice", trade.trade_id) for _ in range(20)))

    assert all(answer == answers[0] for answer in answers)
    assert len(await order.events("alice", trade.trade_id)) == 2


async def test_what_has_ended_otherwise_cannot_be_canceled(order: Order) -> None:
    trade = await order.place("alice")
    await order.claim_as_leader("alice")
    await order.apply(filled(trade.trade_id))

    assert await refused(cancel(order, "alice", trade.trade_id)) == (
        "FAILED_PRECONDITION",
        "TOO_LATE_TO_CANCEL",
    )
    assert (await order.get("alice", trade.trade_id)).status == Status.TRADE_STATUS_FILLED


async def pending_cancels(order: Order, *customers: str) -> list[tuple[str, int]]:
    """(trade id, status) of the cancels that a new leader of the customers takes up."""
    epochs = await order.lead(sorted({partition_of(each) for each in customers}))
    response = await order.claim(epochs, *customers)
    return [(each.trade.trade_id, each.trade.status) for each in response.cancels]


async def test_a_trade_whose_turn_has_come_is_canceled_by_the_exchange_alone(order: Order) -> None:
    trade = await order.place("alice")
    await taken_up(order, "alice")

    asked = await cancel(order, "alice", trade.trade_id)

    assert asked.status == PENDING
    for _ in range(2):  # until it is answered every leader is told
        assert await pending_cancels(order, "alice") == [(trade.trade_id, PENDING)]
    await order.apply(canceled(trade.trade_id, reason=Reason.REASON_CANCELED_BY_CUSTOMER))
    assert (await order.get("alice", trade.trade_id)).status == CANCELED
    assert await pending_cancels(order, "alice") == []
    assert await taken_up(order, "alice") == []


async def test_neither_cancels_nor_replaces_are_taken_up_under_an_older_epoch(order: Order) -> None:
    canceled_one, replaced_one = await a_limit(order), await a_limit(order)
    older = await order.lead([partition_of("alice")])
    for trade in (canceled_one, replaced_one):
        await order.claim(older, "alice")
        await order.apply(accepted(trade.trade_id))
    await cancel(order, "alice", canceled_one.trade_id)
    await replace(order, replaced_one.trade_id, quantity=120)
    newer = await order.lead([partition_of("alice")], "w2")

    late = await order.claim(older, "alice")

    assert (len(late.cancels), len(late.replaces)) == (0, 0)
    assert late.lost_partitions == [partition_of("alice")]
    found = await order.claim(newer, "alice")
    assert [each.trade.trade_id for each in found.cancels] == [canceled_one.trade_id]
    assert [each.trade.trade_id for each in found.replaces] == [replaced_one.trade_id]


async def test_however_many_a_customer_asks_for_a_claim_gives_some_and_the_next_one_others(
    order: Order, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(claiming, "_MOST_REQUESTS", 2)
    epochs = await order.lead(sorted({partition_of("alice"), partition_of("bob")}))
    trade_ids = []
    for customer in ("alice",) * 5 + ("bob",):
        trade_ids.append((await a_limit(order, customer)).trade_id)
        await order.claim(epochs, customer)
        await order.apply(accepted(trade_ids[-1]))
    await replace(order, trade_ids[0], quantity=120)
    for customer, trade_id in zip(("alice",) * 4 + ("bob",), trade_ids[1:], strict=True):
        await cancel(order, customer, trade_id)

    first = await order.claim(epochs, "alice", "bob")
    second, third = [await order.claim(epochs, "alice") for _ in range(2)]

    def given(answer: execution_pb.ClaimTradesResponse) -> list[str]:
        return sorted(each.trade.trade_id for each in answer.cancels)

    assert given(first) == sorted([*trade_ids[1:3], trade_ids[5]]), "the oldest, and bob's"
    assert given(second) == sorted(trade_ids[3:5])
    assert [each.trade.trade_id for each in third.replaces] == trade_ids[:1]
    assert given(third) == trade_ids[1:2], "what is not answered is given again"


async def test_a_cancel_that_comes_too_late_leaves_the_trade_as_it_was(order: Order) -> None:
    trade = await order.place("alice")
    await taken_up(order, "alice")
    await cancel(order, "alice", trade.trade_id)

    await order.apply(cancel_rejected(trade.trade_id))

    events = await order.events("alice", trade.trade_id)
    assert events[-1].kind == Kind.TRADE_EVENT_KIND_CANCEL_REJECTED
    assert events[-1].refusal == Reason.REASON_TOO_LATE_TO_CANCEL
    assert events[-1].trade.status == Status.TRADE_STATUS_IN_PROGRESS
    assert await pending_cancels(order, "alice") == []
    again = await cancel(order, "alice", trade.trade_id)
    assert again.status == PENDING, "it may be asked for anew"


async def test_a_cancel_that_is_asked_for_anew_is_another(order: Order) -> None:
    trade = await order.place("alice")
    epochs = await order.lead(sorted({partition_of("alice")}))
    await order.claim(epochs, "alice")

    told = []
    for _ in range(2):
        await cancel(order, "alice", trade.trade_id)
        for _ in range(2):
            [claimed] = (await order.claim(epochs, "alice")).cancels
            told.append(claimed.asked_at.ToNanoseconds())
        await order.apply(cancel_rejected(trade.trade_id))

    first, repeated, second, again = told
    assert first == repeated < second == again


async def test_a_fill_that_was_faster_answers_the_cancel(order: Order) -> None:
    trade = await order.place("alice")
    await taken_up(order, "alice")
    await cancel(order, "alice", trade.trade_id)

    await order.apply(filled(trade.trade_id), cancel_rejected(trade.trade_id))

    kinds = [event.kind for event in await order.events("alice", trade.trade_id)]
    assert kinds[-2:] == [
        Kind.TRADE_EVENT_KIND_EXECUTED,
        Kind.TRADE_EVENT_KIND_CANCEL_REJECTED,
    ]
    assert (await order.get("alice", trade.trade_id)).status == Status.TRADE_STATUS_FILLED


async def test_cancels_are_swept_also_when_the_clock_was_set_back(
    order: Order, connection: psycopg.AsyncConnection
) -> None:
    trade = await order.place("alice")
    await taken_up(order, "alice")
    await cancel(order, "alice", trade.trade_id)
    await connection.execute("UPDATE open_request SET asked_at = asked_at + interval '1 hour'")

    for older_than_ms in (0, 1_000):
        request = execution_pb.ListOpenCustomersRequest(older_than_ms=older_than_ms)
        found = await order.execution.ListOpenCustomers(request, **order.as_service())
        assert [each.trade_id for each in found.canceling] == [trade.trade_id]


async def test_cancels_are_swept_and_pass_every_halt(order: Order) -> None:
    trade, waiting = [await order.place("alice") for _ in range(2)]
    await taken_up(order, "alice")
    await cancel(order, "alice", trade.trade_id)

    request = execution_pb.ListOpenCustomersRequest()
    found = await order.execution.ListOpenCustomers(request, **order.as_service())
    assert [(each.customer_id, each.trade_id) for each in found.canceling] == [
        ("alice", trade.trade_id)
    ]
    partition = partition_of("alice")
    grants = await order.lead([partition])
    claim = execution_pb.ClaimTradesRequest.Claim(
        grant=execution_pb.PartitionGrant(partition=partition, epoch=grants[partition]),
        halted_customer_ids=["alice"],
    )
    claims = execution_pb.ClaimTradesRequest(claims=[claim])
    claimed = await order.execution.ClaimTrades(claims, **order.as_service())
    assert [each.trade.trade_id for each in claimed.cancels] == [trade.trade_id]
    assert not claimed.trades
    assert (await order.get("alice", waiting.trade_id)).status == Status.TRADE_STATUS_PLACED


async def test_nobody_cancels_another_customers_trade(order: Order) -> None:
    trade = await order.place("alice")
    for trade_id in (trade.trade_id, "00000000-0000-7000-8000-000000000000"):
        assert await refused(cancel(order, "bob", trade_id)) == ("NOT_FOUND", "TRADE_NOT_FOUND")
    assert (await order.get("alice", trade.trade_id)).status == Status.TRADE_STATUS_PLACED


async def test_a_cancel_refused_for_a_reason_that_only_a_newer_house_knows_is_answered(
    order: Order,
) -> None:
    trade_id = (await order.place("alice")).trade_id
    await order.claim_as_leader("alice")
    await cancel(order, "alice", trade_id)
    words = execution_pb.Outcome.CancelRejected(reason=Reason.ValueType(99))

    await order.apply(execution_pb.Outcome(trade_id=trade_id, cancel_rejected=words))

    last = (await order.events("alice", trade_id))[-1]
    assert last.kind == Kind.TRADE_EVENT_KIND_CANCEL_REJECTED
    assert last.refusal == Reason.REASON_EXCHANGE_REJECTED


async def test_an_operator_cancels_for_any_customer(order: Order) -> None:
    trade = await order.place("alice")
    request = pb.CancelTradeRequest(trade_id=trade.trade_id)

    response = await order.trades.CancelTrade(request, **order.as_operator())

    assert response.trade.reason == Reason.REASON_CANCELED_BY_OPERATOR
    assert (await order.events("alice", trade.trade_id))[-1].cause == "operator"


async def test_a_trade_is_either_canceled_or_taken_up_never_both(order: Order) -> None:
    customers = [f"customer-{number}" for number in range(60)]
    trades = {customer: await order.place(customer) for customer in customers}

    async def try_to_cancel(customer: str) -> bool:
        try:
            await cancel(order, customer, trades[customer].trade_id)
        except grpc.aio.AioRpcError:
            return False
        return True

    canceling = asyncio.gather(*map(try_to_cancel, customers))
    taken = await taken_up(order, *customers)
    assert all(await canceling)

    for customer in customers:
        trade = await order.get(customer, trades[customer].trade_id)
        assert trade.status == (PENDING if trade.trade_id in taken else CANCELED)


async def test_of_what_is_over_nothing_stays_among_what_is_open(
    order: Order, connection: psycopg.AsyncConnection
) -> None:
    trades = [await a_limit(order) for _ in range(4)]
    for trade in trades[:3]:
        await taken_up(order, "alice")
        await order.apply(accepted(trade.trade_id))
    for trade in trades[1:]:
        await replace(order, trade.trade_id, quantity=120)
        await cancel(order, "alice", trade.trade_id)
    filled_one, canceled_one, expired_one = (trade.trade_id for trade in trades[:3])

    await order.apply(
        filled(filled_one), canceled(canceled_one), canceled(expired_one, expired=True)
    )

    for table in ("open_trade", "resting_trade", "open_request", "open_limit_order"):
        cursor = await connection.execute(f"SELECT count(*) FROM {table}".encode())
        assert await cursor.fetchone() == (0,), table
