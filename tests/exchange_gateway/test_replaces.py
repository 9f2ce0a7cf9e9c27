"""Replaces in: durable, told apart, each sent once and answered once, whatever the venue does."""

from typing import Any
from uuid import uuid4

import pytest

from libs.partition import partition_of
from stockbroker.common.v1 import terms_pb2 as terms
from stockbroker.common.v1.reason_pb2 import Reason
from stockbroker.exchange.v1 import exchange_pb2 as market
from stockbroker.exchange_gateway.v1 import exchange_gateway_service_pb2 as pb
from stockbroker.execution.v1 import execution_service_pb2 as execution_pb
from tests.exchange_gateway.conftest import Gateway, Scene, an_order
from tests.exchange_gateway.replaces import (
    DOLLAR,
    a_limit_order,
    a_replace,
    a_resting_order,
    parked,
    replace,
    told,
)
from tests.exchange_gateway.venue_words import fill
from tests.support.wait import until


async def test_an_order_at_the_venue_is_replaced_there(scene: Scene, gateway: Gateway) -> None:
    order = await a_resting_order(scene, gateway)
    wanted = a_replace(order)

    [result] = await replace(gateway, wanted)

    assert (result.reason, result.state, result.never_sent) == (0, pb.ORDER_STATE_ACCEPTED, False)
    assert (await told(scene, order, 2)).replaced == execution_pb.Report.Replaced(
        replace_id=wanted.replace_id, quantity=150, limit_price_micros=91 * DOLLAR
    )
    [again] = await replace(gateway, wanted)
    assert again == result
    assert len(scene.venue.replaces) == 1


async def test_fills_after_a_replace_count_up_to_its_quantity_at_its_limit(
    scene: Scene, gateway: Gateway
) -> None:
    order = await a_resting_order(scene, gateway)
    venue_order = scene.venue.orders[order.trade_id]
    scene.venue.say(fill(venue_order, 40))
    await replace(gateway, a_replace(order))
    await until(lambda: scene.venue.replaces)

    scene.venue.say(fill(venue_order, 110, so_far=40))

    last = await told(scene, order, 4)
    _, before, change, _ = scene.execution.told(order.trade_id)
    assert before.filled.limit_price_micros == 90 * DOLLAR
    assert change.replaced.filled_quantity == 40
    assert (last.filled.is_last, last.filled.limit_price_micros) == (True, 91 * DOLLAR)
    [status] = await gateway.orders(order.trade_id)
    assert (status.state, status.filled_quantity) == (pb.ORDER_STATE_DONE, 150)


async def test_a_share_beyond_the_quantity_replaced_is_an_over_fill(
    scene: Scene, gateway: Gateway
) -> None:
    order = await a_resting_order(scene, gateway)
    await replace(gateway, a_replace(order, quantity=60))
    await told(scene, order, 2)

    scene.venue.say(fill(scene.venue.orders[order.trade_id], 61))

    await until(lambda: scene.rows("SELECT FROM parked_report"))
    assert await parked(scene) == ["OVER_FILL"]


async def test_an_order_replaced_down_to_what_is_filled_has_that_quantity_and_ends(
    scene: Scene, gateway: Gateway
) -> None:
    order = await a_resting_order(scene, gateway)
    scene.venue.say(fill(scene.venue.orders[order.trade_id], 70))

    await replace(gateway, a_replace(order, quantity=30))

    last = await told(scene, order, 3)
    assert (last.replaced.quantity, last.replaced.filled_quantity) == (70, 70)
    await until(lambda: len(scene.venue.reports) == 4)
    await until(gateway.has_delivered_all)
    assert len(scene.execution.told(order.trade_id)) == 3, "its end says nothing new"
    assert await parked(scene) == []
    [late] = await replace(gateway, a_replace(order))
    assert (late.state, late.never_sent) == (pb.ORDER_STATE_DONE, True)


@pytest.mark.parametrize(
    ("theirs", "ours"),
    [
        (market.REJECT_REASON_TOO_LATE, Reason.REASON_TOO_LATE_TO_REPLACE),
        (market.REJECT_REASON_HALTED, Reason.REASON_SYMBOL_HALTED),
        (market.REJECT_REASON_MARKET_CLOSED, Reason.REASON_MARKET_CLOSED),
        (market.REJECT_REASON_OTHER, Reason.REASON_EXCHANGE_REJECTED),
    ],
)
async def test_a_replace_that_the_venue_refuses_changes_nothing_and_is_told(
    scene: Scene, gateway: Gateway, theirs: int, ours: int
) -> None:
    order = await a_resting_order(scene, gateway)
    scene.venue.refuses_replaces = theirs
    wanted = a_replace(order)

    await replace(gateway, wanted)

    refused = (await told(scene, order, 2)).replace_rejected
    assert (refused.replace_id, refused.reason) == (wanted.replace_id, ours)
    scene.venue.say(fill(scene.venue.orders[order.trade_id], 101))
    await until(lambda: scene.rows("SELECT FROM parked_report"))
    assert await parked(scene) == ["OVER_FILL"]


async def test_a_replace_of_an_order_that_has_ended_is_never_sent(
    scene: Scene, gateway: Gateway
) -> None:
    order = a_limit_order()
    await gateway.submit(order)
    await until(lambda: scene.execution.is_filled(order.trade_id))
    wanted = a_replace(order)

    [result] = await replace(gateway, wanted)
    [again] = await replace(gateway, wanted)

    assert (result.reason, result.state, result.never_sent) == (0, pb.ORDER_STATE_DONE, True)
    assert again == result
    assert scene.venue.replaces == []


async def test_replaces_of_one_order_are_told_apart(scene: Scene, gateway: Gateway) -> None:
    order = await a_resting_order(scene, gateway)
    first, second = a_replace(order), a_replace(order, quantity=80, limit_price_micros=0)
    second.limit_price_micros = 0

    results = await replace(gateway, first, second, first)

    assert [r.replace_id for r in results] == [r.replace_id for r in (first, second, first)]
    assert (await told(scene, order, 3)).replaced == execution_pb.Report.Replaced(
        replace_id=second.replace_id, quantity=80, limit_price_micros=91 * DOLLAR
    )
    assert len(scene.venue.replaces) == 2


@pytest.mark.parametrize(
    "change", [{"quantity": 151}, {"limit_price_micros": 1}, {"stop_price_micros": 1}]
)
async def test_a_replace_given_again_with_other_terms_is_refused(
    scene: Scene, gateway: Gateway, change: dict[str, int]
) -> None:
    order = await a_resting_order(scene, gateway)
    wanted = a_replace(order)
    other = pb.Replace()
    other.CopyFrom(wanted)
    other.MergeFrom(pb.Replace(**change))  # type: ignore[arg-type]

    first, second = await replace(gateway, wanted, other)

    assert (first.reason, second.reason) == (0, Reason.REASON_EXISTS_DIFFERENT)
    [third] = await replace(gateway, other)
    assert third.reason == Reason.REASON_EXISTS_DIFFERENT


@pytest.mark.parametrize(
    ("flaw", "reason"),
    [
        ({"replace_id": "x"}, Reason.REASON_INVALID_ID),
        ({"trade_id": "x"}, Reason.REASON_INVALID_ID),
        ({"trade_id": str(uuid4())}, Reason.REASON_TRADE_NOT_FOUND),
        ({"customer_id": "a b"}, Reason.REASON_INVALID_CUSTOMER),
        ({"customer_id": "bob"}, Reason.REASON_EXISTS_DIFFERENT),
        ({"partition": 128}, Reason.REASON_INVALID_REQUEST),
        ({"epoch": -1}, Reason.REASON_INVALID_REQUEST),
        ({"symbol": "aapl"}, Reason.REASON_INVALID_SYMBOL),
        ({"symbol": "MSFT"}, Reason.REASON_EXISTS_DIFFERENT),
        ({"side": 7}, Reason.REASON_INVALID_SIDE),
        ({"side": terms.SIDE_SELL}, Reason.REASON_EXISTS_DIFFERENT),
        ({"quantity": -1}, Reason.REASON_INVALID_QUANTITY),
        ({"limit_price_micros": -1}, Reason.REASON_INVALID_PRICE),
    ],
)
async def test_a_bad_replace_is_refused_and_its_neighbours_pass(
    scene: Scene, gateway: Gateway, flaw: dict[str, Any], reason: int
) -> None:
    order = await a_resting_order(scene, gateway)
    bad, good = await replace(gateway, a_replace(order, **flaw), a_replace(order))
    assert (bad.reason, good.reason) == (reason, 0)


async def test_a_leader_of_before_replaces_nothing(scene: Scene, gateway: Gateway) -> None:
    order = await a_resting_order(scene, gateway)
    await gateway.submit(an_order(epoch=5, partition=partition_of("alice")))

    [result] = await replace(gateway, a_replace(order, epoch=4))

    assert result.reason == Reason.REASON_STALE_EPOCH
    assert scene.venue.replaces == []


async def test_the_order_is_known_as_it_was_submitted_and_as_it_was_replaced(
    scene: Scene, gateway: Gateway
) -> None:
    order = await a_resting_order(scene, gateway)
    await replace(gateway, a_replace(order))
    await told(scene, order, 2)
    now = a_limit_order(trade_id=order.trade_id, quantity=150)
    now.limit_price_micros = 91 * DOLLAR
    strange = a_limit_order(trade_id=order.trade_id, time_in_force=terms.TIME_IN_FORCE_GTC)

    before, after, other = await gateway.submit(order, now, strange)

    assert (before.reason, after.reason) == (0, 0)
    assert other.reason == Reason.REASON_EXISTS_DIFFERENT
    assert scene.venue.sends[order.trade_id] == 1


async def test_a_replaced_order_is_canceled_under_either_quantity(
    scene: Scene, gateway: Gateway
) -> None:
    order = await a_resting_order(scene, gateway)
    await replace(gateway, a_replace(order))
    await told(scene, order, 2)
    fields = {
        name: getattr(order, name)
        for name in ("trade_id", "customer_id", "partition", "epoch", "symbol", "side")
    }

    answer = await gateway.stub.CancelOrders(
        pb.CancelOrdersRequest(cancels=[pb.Cancel(**fields, quantity=q) for q in (100, 150)])
    )

    assert [result.reason for result in answer.results] == [0, 0]
    assert (await told(scene, order, 3)).ended.kind == execution_pb.Report.Ended.KIND_CANCELED
