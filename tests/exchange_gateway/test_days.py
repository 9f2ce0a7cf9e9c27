"""A DAY order ends with the day it was placed on: one that was never sent is not sent later."""

from datetime import UTC, datetime

import pytest

from libs.fills import day_of
from stockbroker.common.v1 import terms_pb2 as terms
from stockbroker.common.v1.reason_pb2 import Reason
from stockbroker.exchange_gateway.v1 import exchange_gateway_service_pb2 as pb
from tests.exchange_gateway.conftest import Gateway, Scene, an_order
from tests.support.wait import until

DAY, GTC = terms.TIME_IN_FORCE_DAY, terms.TIME_IN_FORCE_GTC


def placed(days_ago: int, time_in_force: int = DAY) -> pb.Order:
    """An order that the house took so many days ago."""
    today = day_of(datetime.now(UTC))
    return an_order(placed_on=today - days_ago, time_in_force=time_in_force)


async def test_a_day_order_of_a_day_that_is_over_is_not_taken(
    scene: Scene, gateway: Gateway
) -> None:
    late, usual = placed(days_ago=1), placed(days_ago=0)

    for _ in range(2):
        results = await gateway.submit(late, usual)

        assert [each.reason for each in results] == [Reason.REASON_EXPIRED, 0]
    await until(lambda: scene.execution.is_filled(usual.trade_id))
    assert scene.venue.sends == {usual.trade_id: 1}
    [status] = await gateway.orders(late.trade_id)
    assert status.state == pb.ORDER_STATE_UNKNOWN


@pytest.mark.parametrize("order", [placed(1, GTC), an_order()], ids=["GTC", "an older sender's"])
async def test_any_other_order_is_taken(scene: Scene, gateway: Gateway, order: pb.Order) -> None:
    [result] = await gateway.submit(order)

    assert not result.reason
    await until(lambda: scene.execution.is_filled(order.trade_id))


async def test_what_may_have_been_sent_is_not_ended_by_the_house(
    scene: Scene, gateway: Gateway
) -> None:
    order = placed(days_ago=0)
    scene.venue.answer = lambda taken: []
    await gateway.submit(order)
    await until(lambda: order.trade_id in scene.venue.orders)
    order.placed_on -= 1

    [result] = await gateway.submit(order)

    assert (result.reason, result.state) == (0, pb.ORDER_STATE_PENDING)
