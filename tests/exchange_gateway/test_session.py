"""The session with the venue: whatever is lost on the way, each order is executed once."""

from typing import Any

import grpc
import pytest

from libs.embedded import free_port
from libs.rpc.status import reason_of
from stockbroker.exchange.v1 import exchange_pb2 as market
from stockbroker.exchange_gateway.v1 import exchange_gateway_service_pb2 as pb
from stockbroker.exchange_gateway.v1 import operators_pb2 as ops
from stockbroker.exchange_gateway.v1.exchange_gateway_service_pb2_grpc import (
    ExchangeGatewayServiceStub,
)
from tests.exchange_gateway.conftest import Gateway, Scene, an_order
from tests.exchange_gateway.venue_words import accept
from tests.exchange_gateway.way import Way
from tests.support.keys import bearer
from tests.support.wait import until


async def test_commands_lost_on_the_way_are_sent_again_at_the_next_logon(
    scene: Scene, gateway: Gateway
) -> None:
    scene.venue.drops_commands = 1

    await gateway.submit(lost := an_order())

    await until(lambda: scene.execution.is_filled(lost.trade_id))
    assert scene.venue.sends == {lost.trade_id: 1}


async def test_orders_are_sent_once_through_a_venue_that_hangs_up_all_the_time(
    scene: Scene, gateway: Gateway
) -> None:
    orders = []
    for _ in range(10):
        batch = [an_order() for _ in range(20)]
        orders += batch
        await gateway.submit(*batch)
        scene.venue.hang_up()

    await until(
        lambda: all(scene.execution.is_filled(order.trade_id) for order in orders), seconds=20
    )

    assert set(scene.venue.sends.values()) == {1}
    assert list(scene.venue.orders) == [order.trade_id for order in orders]
    assert [r.report_seq for r in scene.execution.reports] == list(range(1, 401))


async def test_a_venue_that_was_restarted_gets_what_it_lacks(
    scene: Scene, gateway: Gateway
) -> None:
    await gateway.submit(before := an_order())
    await until(lambda: scene.execution.is_filled(before.trade_id))
    await scene.venue.stop()
    await gateway.submit(meanwhile := an_order())
    await scene.venue.start()

    await until(lambda: scene.execution.is_filled(meanwhile.trade_id))

    assert scene.venue.sends == {before.trade_id: 1, meanwhile.trade_id: 1}


async def test_an_order_the_venue_does_not_know_is_sent_again(
    scene: Scene, gateway: Gateway
) -> None:
    scene.venue.forgets_orders = 1

    await gateway.submit(forgotten := an_order())

    await until(lambda: scene.execution.is_filled(forgotten.trade_id))
    assert scene.venue.sends == {forgotten.trade_id: 2}
    assert len(scene.execution.reports) == 2
    commands = scene.rows("SELECT seq, trade_id::text FROM venue_command ORDER BY 1")
    assert commands == [(1, forgotten.trade_id), (2, forgotten.trade_id)]


async def test_an_order_the_venue_knows_and_says_nothing_about_is_never_sent_again(
    scene: Scene, gateway: Gateway
) -> None:
    scene.venue.answer = lambda order: []
    await gateway.submit(silent := an_order())
    asked = len(scene.venue.asked)

    await until(lambda: len(scene.venue.asked) >= asked + 3)

    assert scene.venue.sends == {silent.trade_id: 1}
    assert (await gateway.session()).pending_orders == 1
    scene.venue.say(accept(scene.venue.orders[silent.trade_id]))
    await until(lambda: scene.execution.told(silent.trade_id))
    assert (await gateway.session()).pending_orders == 0


async def test_reports_that_may_still_be_under_way_are_waited_for_while_the_venue_speaks(
    scene: Scene, gateway: Gateway
) -> None:
    scene.venue.withholds_reports = {1, 2}
    await gateway.submit(late := an_order())
    await until(lambda: late.trade_id in scene.venue.orders)
    scene.venue.answer = lambda order: []

    while scene.venue.asked.count(late.trade_id) < 2:
        await gateway.submit(an_order())

    assert len(scene.venue.logons) == 1
    await until(lambda: scene.execution.is_filled(late.trade_id))


async def _trouble(gateway: Gateway) -> pb.GetSessionResponse:
    """How the session stands once it is out of step."""

    async def is_out_of_step() -> bool:
        return bool((await gateway.session()).trouble)

    await until(is_out_of_step)
    return await gateway.session()


async def _agree(scene: Scene, gateway: Gateway, command: int, report: int) -> None:
    """An operator agrees to go on from those numbers."""
    async with grpc.aio.insecure_channel(gateway.address) as channel:
        stub: Any = ExchangeGatewayServiceStub(channel)
        request = ops.ResetSessionRequest(
            next_command_seq=command,
            next_report_seq=report,
            evidence="their notice of a restore",
            reason_text="they were set back",
        )
        await stub.ResetSession(request, metadata=bearer(scene.keys.operator("olga")), timeout=30)


async def test_a_venue_that_forgot_everything_is_an_alarm_and_nothing_is_guessed(
    scene: Scene, gateway: Gateway
) -> None:
    await gateway.submit(filled := an_order())
    await until(lambda: scene.execution.is_filled(filled.trade_id))
    scene.venue.lose_memory()

    session = await _trouble(gateway)
    await gateway.submit(an_order())
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await _agree(scene, gateway, 2, 1)

    assert not session.is_connected
    assert "next report 1, and 2 is stored" in session.trouble
    assert (session.exchange_next_command_seq, session.exchange_next_report_seq) == (1, 1)
    assert reason_of(refused.value) == "INVALID_SEQUENCE"
    words = refused.value.details() or ""
    assert "by the exchange the next command is 1, the next report 1" in words
    assert scene.venue.sends == {filled.trade_id: 1}
    assert scene.rows("SELECT FROM operator_action") == []


async def test_a_venue_that_found_its_memory_again_needs_no_operator(
    scene: Scene, gateway: Gateway
) -> None:
    await gateway.submit(before := an_order())
    await until(lambda: scene.execution.is_filled(before.trade_id))
    kept = scene.venue.memory()
    scene.venue.lose_memory()
    await _trouble(gateway)

    scene.venue.remember(kept)

    await until(gateway.is_connected)
    assert not (await gateway.session()).trouble
    await gateway.submit(after := an_order())
    await until(lambda: scene.execution.is_filled(after.trade_id))
    assert scene.venue.sends == {before.trade_id: 1, after.trade_id: 1}


@pytest.mark.parametrize("refuses", [True, False])
async def test_a_venue_that_forgot_everything_executes_no_answered_order_again(
    scene: Scene, gateway: Gateway, refuses: bool
) -> None:
    scene.venue.refuses_strangers = refuses
    await gateway.submit(filled := an_order())
    await until(lambda: scene.execution.is_filled(filled.trade_id))
    scene.venue.answer = lambda order: []
    await gateway.submit(open_ := an_order())
    await until(lambda: open_.trade_id in scene.venue.orders)
    scene.venue.answer = lambda order: [accept(order)]

    scene.venue.lose_memory()
    await _trouble(gateway)
    await _agree(scene, gateway, 1, 1)

    await until(lambda: scene.execution.told(open_.trade_id))
    assert scene.venue.sends == {filled.trade_id: 1, open_.trade_id: 2}
    await gateway.submit(fresh := an_order())
    await until(lambda: scene.execution.told(fresh.trade_id))
    assert [r.report_seq for r in scene.execution.reports] == [1, 2, 3, 4]
    await until(scene.venue.is_acknowledged)


async def test_a_gateway_whose_books_are_older_than_the_venues_numbers_on_from_there(
    scene: Scene,
) -> None:
    scene.venue.next_command_seq = 41

    async with scene.gateway() as gateway:
        session = await _trouble(gateway)
        assert "commands up to 40, and 0 was the last one sent" in session.trouble
        await _agree(scene, gateway, 41, 1)
        await until(gateway.is_connected)
        await gateway.submit(order := an_order())
        await until(lambda: scene.execution.is_filled(order.trade_id))
    assert scene.rows("SELECT seq FROM venue_command") == [(41,)]
    assert scene.rows("SELECT actor, action FROM operator_action") == [("olga", "RESET_SESSION")]


async def test_acknowledgements_that_are_lost_do_no_harm(scene: Scene, gateway: Gateway) -> None:
    scene.venue.ignores_acknowledge = True
    await gateway.submit(order := an_order())
    await until(lambda: scene.execution.is_filled(order.trade_id))
    scene.venue.hang_up()
    scene.venue.ignores_acknowledge = False

    await until(scene.venue.is_acknowledged)

    await gateway.submit(after := an_order())
    await until(lambda: scene.execution.is_filled(after.trade_id))
    assert [r.report_seq for r in scene.execution.reports] == [1, 2, 3, 4]


async def test_the_session_is_told_as_it_stands(scene: Scene, gateway: Gateway) -> None:
    await gateway.submit(order := an_order())
    await until(lambda: scene.execution.is_filled(order.trade_id))

    session = await gateway.session()

    assert session.is_connected
    assert session.session_id == "stockbroker"
    assert (session.next_command_seq, session.next_report_seq) == (2, 3)
    connected_at = session.changed_at.ToNanoseconds()
    await scene.venue.stop()
    await until(lambda: _is_disconnected(gateway))
    assert (await gateway.session()).changed_at.ToNanoseconds() > connected_at


async def _is_disconnected(gateway: Gateway) -> bool:
    return not await gateway.is_connected()


async def test_instruments_are_listed_also_while_the_venue_is_away(scene: Scene) -> None:
    scene.venue.instruments = [
        market.Instrument(symbol="AAPL", name="Apple Inc."),
        market.Instrument(symbol="MSFT", name="Microsoft Corporation", is_halted=True),
    ]
    async with scene.gateway() as gateway:
        before = await until(gateway.listed)
    await scene.venue.stop()

    async with scene.gateway() as gateway:
        after = await until(gateway.listed)

    assert [(i.symbol, i.name, i.is_tradable) for i in before.instruments] == [
        ("AAPL", "Apple Inc.", True),
        ("MSFT", "Microsoft Corporation", False),
    ]
    assert after == before


async def test_a_change_of_the_list_is_seen(scene: Scene) -> None:
    async with scene.gateway(listing_age_seconds=1e-6) as gateway:
        await until(gateway.listed)
        scene.venue.instruments = [market.Instrument(symbol="IBM", is_halted=True)]

        async def is_changed() -> bool:
            listed = await gateway.listed()
            instruments = listed.instruments if listed is not None else ()
            return [(i.symbol, i.is_tradable) for i in instruments] == [("IBM", False)]

        await until(is_changed)
    assert scene.rows("SELECT symbol, is_tradable FROM instrument") == [("IBM", False)]


async def test_a_connection_that_is_dead_on_one_side_only_is_left_behind(scene: Scene) -> None:
    way = Way(free_port(), f"127.0.0.1:{scene.venue.port}")
    await way.open()
    async with scene.gateway(exchange_address=way.address) as gateway:
        await until(gateway.is_connected)
        await gateway.submit(before := an_order())
        await until(lambda: scene.execution.is_filled(before.trade_id))
        way.swallow()

        await gateway.submit(swallowed := an_order())

        await until(lambda: scene.execution.is_filled(swallowed.trade_id), seconds=30)
        assert scene.venue.sends == {before.trade_id: 1, swallowed.trade_id: 1}
    await way.close()


async def test_whoever_asks_while_the_session_logs_on_anew_is_answered(scene: Scene) -> None:
    async with scene.gateway(listing_age_seconds=1e-6) as gateway:
        await until(gateway.is_connected)
        for _ in range(30):
            scene.venue.hang_up()
            assert (await until(gateway.listed)).instruments
