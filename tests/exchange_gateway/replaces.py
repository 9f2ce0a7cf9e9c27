"""Words for claims about replaces at the gateway."""

from typing import Any
from uuid import uuid4

from stockbroker.common.v1 import terms_pb2 as terms
from stockbroker.exchange_gateway.v1 import exchange_gateway_service_pb2 as pb
from stockbroker.execution.v1 import execution_service_pb2 as execution_pb
from tests.exchange_gateway.conftest import Gateway, Scene, an_order
from tests.exchange_gateway.venue_words import accept
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
    """ReplaceOrders."""
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
