"""What is asked to be replaced has other terms in one true way."""

import asyncio
from typing import Any

import pytest

from libs.partition import partition_of
from stockbroker.common.v1 import terms_pb2 as terms
from stockbroker.common.v1.reason_pb2 import Reason
from stockbroker.order.v1 import order_execution_service_pb2 as execution_pb
from stockbroker.order.v1 import order_pb2
from stockbroker.order.v1 import order_service_pb2 as pb
from stockbroker.order.v1.order_pb2 import TradeEventKind as Kind
from stockbroker.order.v1.order_pb2 import TradeStatus as Status
from tests.order.client import (
    Order,
    Outcome,
    accepted,
    cancel_rejected,
    canceled,
    filled,
    refused,
)

CENT = 10_000
PENDING = Status.TRADE_STATUS_PENDING_REPLACE
TOO_LATE = Reason.REASON_TOO_LATE_TO_REPLACE


async def a_limit(order: Order, customer: str = "alice", **changes: Any) -> order_pb2.Trade:
    """A bid for 100 at $10."""
    return await order.place(
        customer,
        **{
            "order_type": terms.ORDER_TYPE_LIMIT,
            "limit_price_micros": 1_000 * CENT,
            "time_in_force": terms.TIME_IN_FORCE_GTC,
            **changes,
        },
    )


async def taken_up(order: Order, *customers: str) -> execution_pb.ClaimTradesResponse:
    """What a new leader of the customers takes up."""
    epochs = await order.lead(sorted({partition_of(each) for each in customers}))
    return await order.claim(epochs, *customers)


async def resting(order: Order, *, shares_filled: int = 0) -> order_pb2.Trade:
    """A bid that the exchange has."""
    trade = await a_limit(order)
    await taken_up(order, "alice")
    await order.apply(accepted(trade.trade_id))
    if shares_filled:
        await order.apply(filled(trade.trade_id, shares_filled, 900 * CENT))
    return trade


async def replace(
    order: Order, trade_id: str, name: str = "", *, customer: str = "alice", **asked: Any
) -> order_pb2.Trade:
    """Ask for other terms."""
    request = pb.ReplaceTradeRequest(trade_id=trade_id, client_order_id=name, **asked)
    response = await order.trades.ReplaceTrade(request, **order.as_customer(customer))
    return response.trade  # type: ignore[no-any-return]


async def cancel(order: Order, trade_id: str) -> order_pb2.Trade:
    request = pb.CancelTradeRequest(trade_id=trade_id)
    response = await order.trades.CancelTrade(request, **order.as_customer("alice"))
    return response.trade  # type: ignore[no-any-return]


def replaced(trade: order_pb2.Trade) -> Outcome:
    """The exchange has done what is asked for."""
    words = Outcome.Replaced(replace_id=trade.pending_replace.replace_id)
    return Outcome(trade_id=trade.trade_id, replaced=words)


def replace_rejected(
    trade: order_pb2.Trade, reason: Reason.ValueType = TOO_LATE, cause: str = "exchange"
) -> Outcome:
    """It has not."""
    replace_id = trade.pending_replace.replace_id
    words = Outcome.ReplaceRejected(replace_id=replace_id, reason=reason, cause=cause)
    return Outcome(trade_id=trade.trade_id, replace_rejected=words)


async def codes(order: Order, *outcomes: Outcome) -> list[str]:
    answer = await order.apply(*outcomes)
    return [Code.Name(each.code).removeprefix("CODE_") for each in answer.results]


Code = execution_pb.OutcomeResult.Code


async def kinds(order: Order, trade_id: str) -> list[str]:
    events = await order.events("alice", trade_id)
    return [Kind.Name(event.kind).removeprefix("TRADE_EVENT_KIND_") for event in events]


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


async def test_what_has_ended_cannot_be_replaced(order: Order) -> None:
    trade = await resting(order)
    await order.apply(filled(trade.trade_id))
    assert await refused(replace(order, trade.trade_id, quantity=120)) == (
        "FAILED_PRECONDITION",
        "TOO_LATE_TO_REPLACE",
    )


@pytest.mark.parametrize("cause", ["house", "exchange"])
async def test_a_refused_replace_leaves_the_trade_as_it_was(order: Order, cause: str) -> None:
    trade = await resting(order, shares_filled=30)
    asked = await replace(order, trade.trade_id, quantity=120)
    refusal = replace_rejected(asked, Reason.REASON_INSUFFICIENT_FUNDS, cause)

    assert await codes(order, refusal, refusal) == ["APPLIED", "REPEATED"]

    event = (await order.events("alice", trade.trade_id))[-1]
    assert (event.refusal, event.cause) == (Reason.REASON_INSUFFICIENT_FUNDS, cause)
    assert (event.trade.status, event.trade.quantity) == (
        Status.TRADE_STATUS_PARTIALLY_FILLED,
        100,
    )
    assert (await replace(order, trade.trade_id, quantity=120)).status == PENDING, "anew"


async def test_an_end_that_was_faster_answers_the_replace(order: Order) -> None:
    trade = await resting(order)
    asked = await replace(order, trade.trade_id, quantity=120)

    assert await codes(order, filled(trade.trade_id), replace_rejected(asked)) == [
        "APPLIED",
        "REPEATED",
    ]

    assert (await kinds(order, trade.trade_id))[-2:] == ["EXECUTED", "REPLACE_REJECTED"]
    now = await order.get("alice", trade.trade_id)
    assert now.status == Status.TRADE_STATUS_FILLED
    assert not now.HasField("pending_replace")
    assert await codes(order, replaced(asked)) == ["IMPOSSIBLE"]
    listing = execution_pb.ListOpenCustomersRequest()
    found = await order.execution.ListOpenCustomers(listing, **order.as_service())
    assert not found.replacing


@pytest.mark.parametrize("quantity", [30, 20])
async def test_replaced_down_to_what_is_filled_it_ends_filled(order: Order, quantity: int) -> None:
    trade = await resting(order, shares_filled=30)
    asked = await replace(order, trade.trade_id, quantity=quantity)
    ended = canceled(trade.trade_id, reason=Reason.REASON_CANCELED_BY_CUSTOMER)

    assert await codes(order, replaced(asked), ended) == ["APPLIED", "REPEATED"]

    now = await order.get("alice", trade.trade_id)
    assert (now.status, now.quantity, now.filled_quantity, now.reason) == (
        Status.TRADE_STATUS_FILLED,
        30,
        30,
        0,
    )


async def test_a_cancel_goes_before_a_replace(order: Order) -> None:
    trade = await resting(order)
    asked = await replace(order, trade.trade_id, quantity=120)

    now = await cancel(order, trade.trade_id)

    assert now.status == Status.TRADE_STATUS_PENDING_CANCEL
    assert now.pending_replace == asked.pending_replace
    found = await taken_up(order, "alice")
    assert (len(found.cancels), len(found.replaces)) == (1, 0)
    assert await refused(replace(order, trade.trade_id, quantity=130)) == (
        "FAILED_PRECONDITION",
        "CANCEL_PENDING",
    )
    await order.apply(canceled(trade.trade_id, reason=Reason.REASON_CANCELED_BY_CUSTOMER))
    assert (await kinds(order, trade.trade_id))[-2:] == ["CANCELED", "REPLACE_REJECTED"]
    found = await taken_up(order, "alice")
    assert (len(found.cancels), len(found.replaces)) == (0, 0)


async def test_a_replace_goes_on_when_the_cancel_over_it_is_refused(order: Order) -> None:
    trade = await resting(order)
    asked = await replace(order, trade.trade_id, quantity=120)
    await cancel(order, trade.trade_id)

    await order.apply(cancel_rejected(trade.trade_id))

    assert (await order.get("alice", trade.trade_id)).status == PENDING
    assert len((await taken_up(order, "alice")).replaces) == 1
    await order.apply(replaced(asked))
    assert (await order.get("alice", trade.trade_id)).quantity == 120


async def test_a_replace_under_a_cancel_is_answered_and_the_cancel_stays(order: Order) -> None:
    trade = await resting(order, shares_filled=30)
    asked = await replace(order, trade.trade_id, quantity=120)
    await cancel(order, trade.trade_id)

    await order.apply(replaced(asked))

    now = await order.get("alice", trade.trade_id)
    assert (now.status, now.quantity) == (Status.TRADE_STATUS_PENDING_CANCEL, 120)
    assert len((await taken_up(order, "alice")).cancels) == 1


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


async def test_all_of_a_customers_trades_are_canceled_or_those_in_a_symbol(order: Order) -> None:
    rests = await resting(order)
    mine = [await a_limit(order, symbol=symbol) for symbol in ("AAPL", "MSFT", "AAPL")]
    other = await a_limit(order, "bob")

    async def cancel_all(symbol: str = "") -> tuple[int, int]:
        request = pb.CancelAllTradesRequest(symbol=symbol)
        answer = await order.trades.CancelAllTrades(request, **order.as_customer("alice"))
        return answer.canceled, answer.pending

    assert await cancel_all("MSFT") == (1, 0)
    assert await cancel_all() == (2, 1)
    assert await cancel_all() == (0, 1), "what is on its way is told again"
    statuses = {(await order.get("alice", each.trade_id)).status for each in mine}
    assert statuses == {Status.TRADE_STATUS_CANCELED}
    assert (await order.get("alice", rests.trade_id)).status == Status.TRADE_STATUS_PENDING_CANCEL
    assert (await order.get("bob", other.trade_id)).status == Status.TRADE_STATUS_PLACED
    await order.apply(canceled(rests.trade_id, reason=Reason.REASON_CANCELED_BY_CUSTOMER))
    assert await cancel_all() == (0, 0)
    invalid = order.trades.CancelAllTrades(
        pb.CancelAllTradesRequest(symbol="!"), **order.as_customer("alice")
    )
    assert (await refused(invalid))[1] == "INVALID_SYMBOL"
