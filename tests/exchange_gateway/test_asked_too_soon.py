"""What the venue comes to have while it answers that it has it not is not sent a second time."""

from tests.exchange_gateway.conftest import Gateway, Scene, an_order
from tests.exchange_gateway.replaces import a_resting_order
from tests.exchange_gateway.venue_words import accept, fill
from tests.support.wait import until


async def test_an_order_kept_after_the_venue_made_up_its_answer_is_sent_once(
    scene: Scene, gateway: Gateway
) -> None:
    other = await a_resting_order(scene, gateway)
    scene.venue.answer = lambda order: []
    order = an_order()

    async def meanwhile() -> None:
        scene.venue.keep_withheld()
        scene.venue.say(fill(scene.venue.orders[other.trade_id]))
        await until(scene.venue.is_acknowledged, what="it has heard that the command is kept")

    scene.venue.withholds_commands, scene.venue.before_it_tells = True, meanwhile
    await gateway.submit(order)
    await until(lambda: scene.venue.asked.count(order.trade_id) >= 3)

    assert scene.venue.sends[order.trade_id] == 1
    scene.venue.say(accept(scene.venue.orders[order.trade_id]))
    await until(lambda: scene.execution.told(order.trade_id))
    assert len(scene.venue.logons) == 1
