"""What would make an order's fills, as they were corrected, more than it has is parked."""

from stockbroker.exchange_gateway.v1 import exchange_gateway_service_pb2 as pb
from tests.exchange_gateway.conftest import Gateway, Scene
from tests.exchange_gateway.replaces import a_replace, a_resting_order, replace
from tests.exchange_gateway.test_amendments import a_filled_order, parked, told
from tests.exchange_gateway.venue_words import PRICE, accept_and_fill, correct, fill


async def corrected_to_more(scene: Scene, gateway: Gateway) -> pb.Order:
    """An order of 100 that works: 40 were filled, which were 60."""
    order = await a_resting_order(scene, gateway)
    scene.venue.answer = accept_and_fill
    at_venue = scene.venue.orders[order.trade_id]
    scene.venue.say(fill(at_venue, 40))
    scene.venue.say(correct(scene.venue.reports[-1], 60, PRICE))
    await told(scene, order.trade_id, 3)
    return order


async def test_a_fill(scene: Scene, gateway: Gateway) -> None:
    order = await corrected_to_more(scene, gateway)

    scene.venue.say(fill(scene.venue.orders[order.trade_id], 60, so_far=40))

    await a_filled_order(scene, gateway)
    assert await parked(scene, 1) == ["OVER_FILL"]
    [status] = await gateway.orders(order.trade_id)
    assert status.filled_quantity == 60
    scene.venue.say(fill(scene.venue.orders[order.trade_id], 40, so_far=60))
    await told(scene, order.trade_id, 4)


async def test_a_replace(scene: Scene, gateway: Gateway) -> None:
    order = await corrected_to_more(scene, gateway)

    await replace(gateway, a_replace(order, quantity=50))

    await a_filled_order(scene, gateway)
    assert await parked(scene, 1) == ["OVER_FILL"]
