"""A gap in the venue's reports is not waited out while too much piles up behind it."""

from stockbroker.exchange.v1 import exchange_pb2 as market
from tests.exchange_gateway.conftest import Scene, an_order
from tests.exchange_gateway.venue_words import about, accept
from tests.support.wait import until

CANCEL_REJECTED = market.ExecutionReport.EXEC_TYPE_CANCEL_REJECTED
MOST_AHEAD = 20_000


async def test_too_many_reports_ahead_of_a_gap_make_a_new_logon_at_once(scene: Scene) -> None:
    scene.venue.withholds_reports = {2}
    scene.venue.answer = lambda taken: [accept(taken)]
    async with scene.gateway(gap_seconds=600.0, query_after_seconds=600.0) as gateway:
        await until(gateway.is_connected)
        await gateway.submit(order := an_order())
        await until(scene.venue.is_acknowledged)
        taken = scene.venue.orders[order.trade_id]

        scene.venue.say(about(taken, CANCEL_REJECTED))
        for _ in range(MOST_AHEAD // 1_000):
            scene.venue.say(*[about(taken, CANCEL_REJECTED) for _ in range(1_000)])
        scene.venue.say(about(taken, CANCEL_REJECTED))

        await until(lambda: len(scene.venue.logons) == 2)
        await until(scene.venue.is_acknowledged)
    assert [logon.next_report_seq for logon in scene.venue.logons] == [1, 2]
