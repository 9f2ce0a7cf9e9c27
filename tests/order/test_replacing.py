"""What is asked to be replaced has other terms in one true way."""

import asyncio
from typing import Any

import pytest

from libs.partition import partition_of
from stockbroker.common.v1 import terms_pb2 as terms
from stockbroker.order.v1 import order_execution_service_pb2 as execution_pb
from stockbroker.order.v1 import order_service_pb2 as pb
from stockbroker.order.v1.order_pb2 import TradeEventKind as Kind
from stockbroker.order.v1.order_pb2 import TradeStatus as Status
from tests.order.client import (
    Order,
    accepted,
    filled,
    refused,
)
from tests.order.replaced import (
    CENT,
    PENDING,
    a_limit,
    codes,
    kinds,
    replace,
    replace_rejected,
    replaced,
    resting,
    taken_up,
)


async def test_a_trade_that_waits_has_the_new_terms_at_once(order: Order) -> None:
    trade = await a_limit(order, client_order_id="first")

    now = await replace(order, trade.trade_id, "second", quantity=70, limit_price_micros=9 * 10**6)

    assert (now.status, now.quantity, now.limit_price_micros) == (
        Status.TRADE_STATUS_PLACED,
        70,
        9 * 10**6,
    )
    assert (now.client_order_id, now.orig_client_order_id) == ("second", "first")
    assert not now.HasField("pending_replace")
    (claimed,) = (await taken_up(order, "alice")).trades
    assert (claimed.trade.quantity, claimed.trade.client_order_id) == (70, "second")
    placed, event, _ = await order.events("alice", trade.trade_id)
    assert (placed.trade.quantity, placed.trade.client_order_id) == (100, "first")
    assert (event.kind, event.cause, event.replace.quantity) == (
        Kind.TRADE_EVENT_KIND_REPLACED,
        "customer",
        70,
    )


async def test_a_trade_at_the_exchange_has_them_once_the_exchange_says_so(order: Order) -> None:
    trade = await resting(order, shares_filled=30)

    asked = await replace(order, trade.trade_id, "second", quantity=120)

    assert (asked.status, asked.quantity, asked.pending_replace.quantity) == (PENDING, 100, 120)
    for _ in range(2):  # until it is answered every leader is told
        (claimed,) = (await taken_up(order, "alice")).replaces
        assert claimed.terms == execution_pb.ReplaceTerms(
            replace_id=asked.pending_replace.replace_id,
            trade_id=trade.trade_id,
            side=terms.SIDE_BUY,
            symbol="AAPL",
            order_type=terms.ORDER_TYPE_LIMIT,
            old_quantity=100,
            old_limit_price_micros=1_000 * CENT,
            old_filled_quantity=30,
            quantity=120,
            limit_price_micros=1_000 * CENT,
        )
    assert await codes(order, replaced(asked), replaced(asked)) == ["APPLIED", "REPEATED"]
    now = await order.get("alice", trade.trade_id)
    assert (now.status, now.quantity, now.filled_quantity) == (
        Status.TRADE_STATUS_PARTIALLY_FILLED,
        120,
        30,
    )
    assert (now.client_order_id, now.orig_client_order_id) == ("second", trade.client_order_id)
    assert not (await taken_up(order, "alice")).replaces
    await order.apply(filled(trade.trade_id, 90, execution_id="rest"))
    assert (await order.get("alice", trade.trade_id)).status == Status.TRADE_STATUS_FILLED


async def test_every_event_shows_the_trade_as_it_stood_then(order: Order) -> None:
    trade = await a_limit(order, client_order_id="a")
    await replace(order, trade.trade_id, "b", quantity=90)
    await taken_up(order, "alice")
    await order.apply(accepted(trade.trade_id))
    for name, quantity in (("c", 80), ("d", 70)):
        asked = await replace(order, trade.trade_id, name, quantity=quantity)
        await order.apply(replaced(asked) if name == "d" else replace_rejected(asked))

    seen = [
        (
            Kind.Name(event.kind).removeprefix("TRADE_EVENT_KIND_"),
            event.trade.client_order_id,
            event.trade.orig_client_order_id,
            event.trade.quantity,
            event.trade.pending_replace.client_order_id,
            event.replace.client_order_id,
        )
        for event in await order.events("alice", trade.trade_id)
    ]

    assert seen == [
        ("PLACED", "a", "", 100, "", ""),
        ("REPLACED", "b", "a", 90, "", "b"),
        ("STARTED", "b", "a", 90, "", ""),
        ("ACCEPTED", "b", "a", 90, "", ""),
        ("REPLACE_REQUESTED", "b", "a", 90, "c", "c"),
        ("REPLACE_REJECTED", "b", "a", 90, "", "c"),
        ("REPLACE_REQUESTED", "b", "a", 90, "d", "d"),
        ("REPLACED", "d", "b", 70, "", "d"),
    ]
    for name in "abcd":  # each id of the chain finds it
        request = pb.GetTradeRequest(client_order_id=name)
        found = await order.trades.GetTrade(request, **order.as_customer("alice"))
        assert found.trade == await order.get("alice", trade.trade_id)
    (listed,) = (await order.page("alice")).trades
    assert listed == await order.get("alice", trade.trade_id)


async def test_a_replace_waits_until_the_exchange_took_the_order(order: Order) -> None:
    trade = await a_limit(order)
    await taken_up(order, "alice")
    asked = await replace(order, trade.trade_id, quantity=50)

    assert not (await taken_up(order, "alice")).replaces
    await order.apply(accepted(trade.trade_id))
    (claimed,) = (await taken_up(order, "alice")).replaces
    assert claimed.terms.replace_id == asked.pending_replace.replace_id


async def test_replaces_wait_while_their_customer_is_halted_and_are_swept(order: Order) -> None:
    trade = await resting(order)
    await replace(order, trade.trade_id, quantity=50)

    partition = partition_of("alice")
    epochs = await order.lead([partition])
    claim = execution_pb.ClaimTradesRequest.Claim(
        grant=execution_pb.PartitionGrant(partition=partition, epoch=epochs[partition]),
        halted_customer_ids=["alice"],
    )
    request = execution_pb.ClaimTradesRequest(claims=[claim])
    assert not (await order.execution.ClaimTrades(request, **order.as_service())).replaces
    listing = execution_pb.ListOpenCustomersRequest()
    found = await order.execution.ListOpenCustomers(listing, **order.as_service())
    assert [(each.customer_id, each.trade_id) for each in found.replacing] == [
        ("alice", trade.trade_id)
    ]
    assert not found.canceling


async def test_asked_again_it_is_the_same_replace_and_with_other_terms_none(order: Order) -> None:
    trade = await resting(order)
    answers = await asyncio.gather(
        *(replace(order, trade.trade_id, "again", quantity=120) for _ in range(10))
    )
    assert all(answer == answers[0] for answer in answers)

    reused = "ALREADY_EXISTS", "CLIENT_ORDER_ID_REUSED"
    assert await refused(replace(order, trade.trade_id, "again", quantity=121)) == reused
    assert await refused(replace(order, trade.trade_id, trade.client_order_id)) == reused
    assert await refused(a_limit(order, client_order_id="again")) == reused
    await order.apply(replaced(answers[0]))
    again = await replace(order, trade.trade_id, "again", quantity=120)
    assert again == await order.get("alice", trade.trade_id)
    assert (await kinds(order, trade.trade_id)).count("REPLACE_REQUESTED") == 1
    first = await a_limit(order, client_order_id=trade.client_order_id)
    assert first == trade, "a repeated placement gets what it got at first"


async def test_one_replace_at_a_time(order: Order) -> None:
    trade = await resting(order)
    await replace(order, trade.trade_id, quantity=120)

    assert await refused(replace(order, trade.trade_id, quantity=130)) == (
        "FAILED_PRECONDITION",
        "REPLACE_PENDING",
    )


@pytest.mark.parametrize(
    ("changes", "asked", "reason"),
    [
        ({"order_type": 1, "limit_price_micros": 0, "time_in_force": 0}, {}, "NOT_REPLACEABLE"),
        ({"time_in_force": terms.TIME_IN_FORCE_IOC}, {}, "NOT_REPLACEABLE"),
        ({}, {"stop_price_micros": 10**6}, "INVALID_PRICE"),
        ({}, {"limit_price_micros": 10**6 + 1}, "INVALID_PRICE"),
        ({}, {"quantity": 10_000_001}, "INVALID_QUANTITY"),
    ],
)
async def test_terms_that_make_no_sense_are_refused(
    order: Order, changes: dict[str, Any], asked: dict[str, Any], reason: str
) -> None:
    trade = await a_limit(order, **changes)
    assert (await refused(replace(order, trade.trade_id, **asked)))[1] == reason


async def test_only_its_customer_replaces_a_trade(order: Order) -> None:
    trade = await a_limit(order)
    found = await refused(replace(order, trade.trade_id, customer="bob", quantity=1))
    assert found == ("NOT_FOUND", "TRADE_NOT_FOUND")


async def test_execution_is_told_again_what_a_replace_asked_for(order: Order) -> None:
    trade = await resting(order, shares_filled=30)
    asked = await replace(order, trade.trade_id, quantity=20)
    (claimed,) = (await taken_up(order, "alice")).replaces
    await order.apply(replaced(asked))
    unknown = "019aa000-0000-7000-8000-000000000001"
    request = execution_pb.GetReplacesRequest(
        replace_ids=[asked.pending_replace.replace_id, unknown]
    )

    answer = await order.execution.GetReplaces(request, **order.as_service())

    assert list(answer.replaces) == [claimed.terms, execution_pb.ReplaceTerms(replace_id=unknown)]
