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
from tests.exchange_gateway.venue_words import accept, fill, replaced
from tests.support.wait import until

DOLLAR = 1_000_000


def a_limit_order(**fields: Any) -> pb.Order:
    """To buy 100 AAPL of alice at 90 dollars or less."""
    order = an_order(order_type=terms.ORDER_TYPE_LIMIT, limit_price_micros=90 * DOLLAR, **fields)
    order.max_notional_micros = 0
    return order


def a_replace(order: pb.Order, **fields: Any) -> pb.Replace:
    """Of this order: 150 shares at 91 dollars."""
    replace = pb.Replace(
        replace_id=str(uuid4()),
        trade_id=order.trade_id,
        customer_id=order.customer_id,
        partition=order.partition,
        epoch=order.epoch,
        symbol=order.symbol,
        side=order.side,
        quantity=150,
        limit_price_micros=91 * DOLLAR,
    )
    replace.MergeFrom(pb.Replace(**fields))
    return replace


async def replace(gateway: Gateway, *replaces: pb.Replace) -> list[pb.ReplaceResult]:
    request = pb.ReplaceOrdersRequest(replaces=replaces)
    return list((await gateway.stub.ReplaceOrders(request, timeout=20)).results)


async def a_resting_order(scene: Scene, gateway: Gateway) -> pb.Order:
    """An order that the venue has taken and not filled."""
    scene.venue.answer = lambda order: [accept(order)]
    order = a_limit_order()
    await gateway.submit(order)
    await until(lambda: scene.execution.told(order.trade_id))
    return order


async def told(scene: Scene, order: pb.Order, reports: int) -> execution_pb.Report:
    """The last of so many reports that execution was told of the order."""
    await until(lambda: len(scene.execution.told(order.trade_id)) >= reports)
    assert len(scene.execution.told(order.trade_id)) == reports
    return scene.execution.told(order.trade_id)[-1]


async def parked(scene: Scene) -> list[str]:
    """Why reports are parked."""
    return [row[0] for row in scene.rows("SELECT breach FROM parked_report ORDER BY seq")]


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


async def test_a_replaced_report_that_no_command_asked_for_is_parked(
    scene: Scene, gateway: Gateway
) -> None:
    order = await a_resting_order(scene, gateway)
    await replace(gateway, a_replace(order))
    await told(scene, order, 2)
    [(asked, _)] = scene.venue.replaces
    now = scene.venue.orders[order.trade_id]

    scene.venue.say(replaced(now, asked), replaced(now, 0), replaced(now, 1))

    await until(lambda: len(scene.rows("SELECT FROM parked_report")) == 3)
    assert await parked(scene) == ["REPLACE_ANSWERED_TWICE"] + 2 * ["REPLACE_NOT_ASKED"]


@pytest.mark.parametrize(
    "difference", [{"quantity": 151}, {"limit_price_micros": 1}, {"stop_price_micros": 1}]
)
async def test_terms_that_nobody_asked_for_are_parked(
    scene: Scene, gateway: Gateway, difference: dict[str, int]
) -> None:
    order = await a_resting_order(scene, gateway)
    scene.venue.forgets_replaces = 1
    await replace(gateway, a_replace(order))
    await until(lambda: scene.venue.replaces)
    other = market.NewOrder()
    other.CopyFrom(scene.venue.orders[order.trade_id])
    other.quantity, other.limit_price_micros = 150, 91 * DOLLAR
    other.MergeFrom(market.NewOrder(**difference))  # type: ignore[arg-type]

    scene.venue.say(replaced(other, scene.venue.replaces[0][0]))

    await until(lambda: scene.rows("SELECT FROM parked_report"))
    assert await parked(scene) == ["REPLACED_DIFFERENTLY"]


async def test_a_replace_that_the_venue_says_it_has_not_done_is_sent_once_more(
    scene: Scene, gateway: Gateway
) -> None:
    order = await a_resting_order(scene, gateway)
    scene.venue.forgets_replaces = 1
    wanted = a_replace(order)

    await replace(gateway, wanted)

    assert (await told(scene, order, 2)).replaced.replace_id == wanted.replace_id
    assert len(scene.venue.replaces) == 2
    assert scene.rows("SELECT count(*) FROM venue_replace WHERE answered_by_seq > 0") == [(1,)]


async def test_a_replace_whose_answer_is_under_way_is_not_sent_again(
    scene: Scene, gateway: Gateway
) -> None:
    order = await a_resting_order(scene, gateway)
    scene.venue.withholds_reports = {2}
    wanted = a_replace(order)

    await replace(gateway, wanted)

    assert (await told(scene, order, 2)).replaced.replace_id == wanted.replace_id
    assert scene.venue.asked.count(order.trade_id) >= 1
    assert len(scene.venue.replaces) == 1


async def test_replaces_survive_the_gateway_and_the_venue_going_away(scene: Scene) -> None:
    async with scene.gateway() as gateway:
        await until(gateway.is_connected)
        order = await a_resting_order(scene, gateway)
        scene.venue.say(fill(scene.venue.orders[order.trade_id], 10))
        await until(lambda: len(scene.execution.told(order.trade_id)) == 2)
        await scene.venue.stop()
        wanted = a_replace(order)
        await replace(gateway, wanted)
    scene.execution.cannot_book.add(order.trade_id)
    await scene.venue.start()
    async with scene.gateway() as gateway:
        await until(lambda: len(scene.venue.reports) == 3)
        scene.venue.say(fill(scene.venue.orders[order.trade_id], 5, so_far=10))
        await until(scene.venue.is_acknowledged)
    async with scene.gateway() as gateway:
        scene.execution.cannot_book.clear()
        await until(gateway.has_delivered_all)
    _, before, change, after = scene.execution.told(order.trade_id)
    assert change.replaced == execution_pb.Report.Replaced(
        replace_id=wanted.replace_id,
        quantity=150,
        limit_price_micros=91 * DOLLAR,
        filled_quantity=10,
    )
    limits = [fill.filled.limit_price_micros for fill in (before, after)]
    assert limits == [90 * DOLLAR, 91 * DOLLAR]
    assert len(scene.venue.replaces) == 1


async def test_a_replace_forgotten_while_the_gateway_was_away_is_asked_for(scene: Scene) -> None:
    async with scene.gateway(query_after_seconds=60) as gateway:
        await until(gateway.is_connected)
        order = await a_resting_order(scene, gateway)
        scene.venue.forgets_replaces = 1
        await replace(gateway, a_replace(order))
        await until(lambda: scene.venue.replaces)
    async with scene.gateway():
        await told(scene, order, 2)
    assert len(scene.venue.replaces) == 2


async def test_terms_replaced_are_compared_after_a_logon(scene: Scene, gateway: Gateway) -> None:
    order = await a_resting_order(scene, gateway)
    await replace(gateway, a_replace(order))
    await told(scene, order, 2)
    logons = len(scene.venue.logons)
    scene.venue.hang_up()
    await until(lambda: len(scene.venue.logons) > logons)
    await until(gateway.is_connected)
    scene.venue.orders[order.trade_id].limit_price_micros = 92 * DOLLAR

    scene.venue.hang_up()

    await until(lambda: scene.rows("SELECT FROM order_break"))
    [(kind, detail)] = scene.rows("SELECT kind, detail FROM order_break")
    assert kind == "TERMS_DIFFER"
    assert detail == "here (150, 91000000, 0), there (150, 92000000, 0)"
