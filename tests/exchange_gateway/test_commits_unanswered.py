"""A commit whose answer was lost: what it stored is looked after like anything else."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from stockbroker.common.v1 import terms_pb2 as terms
from tests.exchange_gateway.conftest import Gateway, Scene, an_order
from tests.exchange_gateway.replaces import a_replace, replace, told
from tests.exchange_gateway.stops import DOLLAR, a_stop
from tests.ledger.wire_cutter import WireCutter
from tests.support.wait import until

SUBMITS = "gateway-submit"


@asynccontextmanager
async def a_gateway(scene: Scene, **settings: bool) -> AsyncIterator[tuple[Gateway, WireCutter]]:
    """One that is logged on, and whose way to the database can be cut."""
    async with (
        WireCutter(scene.database_url) as wire,
        scene.gateway(database_url=wire.url, **settings) as gateway,
    ):
        await until(gateway.is_connected)
        yield gateway, wire


async def test_an_order_that_the_venue_lost_is_sent_again(scene: Scene) -> None:
    order = an_order()
    scene.venue.forgets_orders = 1
    async with a_gateway(scene) as (gateway, wire):
        wire.cut_after_commit(of=SUBMITS)

        [result] = await gateway.submit(order)

        assert (result.reason, wire.cuts) == (0, 1)
        await until(lambda: scene.venue.sends[order.trade_id] == 2)
        await until(lambda: len(scene.execution.told_once(order.trade_id)) == 2)
        await until(gateway.has_delivered_all)
        assert (await gateway.session()).pending_orders == 0


async def test_a_stop_is_accepted_by_the_house_that_holds_it(scene: Scene) -> None:
    order = a_stop()
    scene.venue.change(last_price_micros=100 * DOLLAR)
    async with a_gateway(scene, holds_stops=True) as (gateway, wire):
        wire.cut_after_commit(of=SUBMITS)

        [result] = await gateway.submit(order)

        assert (result.reason, wire.cuts) == (0, 1)
        assert (await told(scene, order, 1)).HasField("accepted")


async def test_a_replace_of_a_stop_is_answered_by_the_house_that_holds_it(scene: Scene) -> None:
    order = a_stop()
    scene.venue.change(last_price_micros=100 * DOLLAR)
    async with a_gateway(scene, holds_stops=True) as (gateway, wire):
        await gateway.submit(order)
        await told(scene, order, 1)
        wanted = a_replace(order, stop_price_micros=80 * DOLLAR, side=terms.SIDE_SELL)
        wanted.limit_price_micros = 0
        wire.cut_after_commit(of=SUBMITS)

        [result] = await replace(gateway, wanted)

        assert (result.reason, wire.cuts) == (0, 1)
        assert (await told(scene, order, 2)).replaced.replace_id == wanted.replace_id
