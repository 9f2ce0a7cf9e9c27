"""Reports in: stored before anything else, judged, delivered in order, never dropped."""

from collections.abc import Callable, Sequence

import psycopg
import pytest

from libs.embedded import free_port
from stockbroker.common.v1.reason_pb2 import Reason
from stockbroker.exchange.v1 import exchange_pb2 as market
from stockbroker.exchange_gateway.v1 import exchange_gateway_service_pb2 as pb
from stockbroker.execution.v1 import execution_service_pb2 as execution
from tests.exchange_gateway.conftest import Gateway, Scene, an_order
from tests.exchange_gateway.venue_words import Report, accept, fill, reject
from tests.exchange_gateway.way import Way
from tests.support.wait import until

_REFUSE_JUDGEMENTS = """
CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'no judgement today';
END
$$;
CREATE TRIGGER refused BEFORE UPDATE ON venue_order FOR EACH ROW EXECUTE FUNCTION refuse();
"""

Words = Callable[[market.NewOrder], Sequence[Report]]


def _altered(report: Report, **changes: object) -> Report:
    altered = Report()
    altered.CopyFrom(report)
    for name, value in changes.items():
        setattr(altered, name, value)
    return altered


async def _submit_and_fill_another(scene: Scene, gateway: Gateway, words: Words) -> pb.Order:
    """An order the venue answers by `words`, and after it one that is filled as usual."""
    usual = scene.venue.answer
    scene.venue.answer = words
    order = an_order()
    await gateway.submit(order)
    await until(lambda: order.trade_id in scene.venue.orders)
    scene.venue.answer = usual
    await gateway.submit(after := an_order())
    await until(lambda: scene.execution.is_filled(after.trade_id))
    return order


async def test_nothing_is_acknowledged_or_delivered_before_it_is_stored(
    scene: Scene, gateway: Gateway
) -> None:
    with psycopg.connect(scene.database_url) as connection:
        connection.execute("LOCK TABLE venue_report IN SHARE MODE")
        await gateway.submit(order := an_order())
        await until(lambda: len(scene.venue.reports) == 2)

        waiting = "SELECT 1 FROM pg_locks WHERE NOT granted AND relation = 'venue_report'::regclass"
        await until(lambda: connection.execute(waiting).fetchall())

        assert scene.venue.acknowledged == 0
        assert scene.execution.calls == []
    await until(lambda: scene.execution.is_filled(order.trade_id))
    await until(scene.venue.is_acknowledged)


async def test_with_the_database_away_nothing_is_acknowledged_or_delivered_and_nothing_is_lost(
    scene: Scene, gateway: Gateway
) -> None:
    scene.venue.answer = lambda order: [accept(order)]
    await gateway.submit(order := an_order())
    await until(lambda: len(scene.execution.reports) == 1)
    await until(scene.venue.is_acknowledged)

    with scene.database_away():
        scene.venue.say(fill(scene.venue.orders[order.trade_id]))
        await until(lambda: _is_refused(gateway))
        assert scene.venue.acknowledged == 1
        assert len(scene.execution.reports) == 1

    await until(lambda: scene.execution.is_filled(order.trade_id))
    await until(scene.venue.is_acknowledged)


async def _is_refused(gateway: Gateway) -> bool:
    try:
        await gateway.submit()
    except Exception:
        return True
    return False


async def test_every_report_is_kept_byte_for_byte(scene: Scene, gateway: Gateway) -> None:
    await gateway.submit(order := an_order())
    await until(lambda: scene.execution.is_filled(order.trade_id))

    kept = scene.rows("SELECT seq, trade_id::text, execution_id, raw FROM venue_report ORDER BY 1")

    assert kept == [
        (r.seq, order.trade_id, r.exec_id, r.SerializeToString()) for r in scene.venue.reports
    ]


async def test_only_the_fill_that_completes_the_order_is_the_last(
    scene: Scene, gateway: Gateway
) -> None:
    scene.venue.answer = lambda order: [
        accept(order),
        fill(order, 40),
        fill(order, 1, so_far=40),
        fill(order, 59, so_far=41),
    ]
    await gateway.submit(order := an_order())
    await until(lambda: len(scene.execution.reports) == 4)

    fills = [report.filled for report in scene.execution.reports[1:]]

    assert [(f.quantity, f.is_last) for f in fills] == [(40, False), (1, False), (59, True)]
    [status] = await gateway.orders(order.trade_id)
    assert (status.state, status.filled_quantity) == (pb.ORDER_STATE_DONE, 100)


@pytest.mark.parametrize(
    ("said", "reason"),
    [
        (market.REJECT_REASON_MAX_NOTIONAL, Reason.REASON_INSUFFICIENT_FUNDS),
        (market.REJECT_REASON_NO_LIQUIDITY, Reason.REASON_NO_LIQUIDITY),
        (market.REJECT_REASON_HALTED, Reason.REASON_SYMBOL_HALTED),
        (market.REJECT_REASON_MARKET_CLOSED, Reason.REASON_MARKET_CLOSED),
        (market.REJECT_REASON_UNKNOWN_SYMBOL, Reason.REASON_UNKNOWN_SYMBOL),
        (market.REJECT_REASON_OTHER, Reason.REASON_EXCHANGE_REJECTED),
        (market.REJECT_REASON_DUPLICATE_ORDER_ID, Reason.REASON_EXCHANGE_REJECTED),
        (market.REJECT_REASON_UNSPECIFIED, Reason.REASON_EXCHANGE_REJECTED),
        (market.REJECT_REASON_EXPIRED, Reason.REASON_EXPIRED),
    ],
)
async def test_a_refusal_of_the_venue_has_a_reason_of_the_house_and_the_venues_words(
    scene: Scene, gateway: Gateway, said: int, reason: int
) -> None:
    scene.venue.answer = lambda order: [reject(order, said, "because")]
    await gateway.submit(order := an_order())
    await until(lambda: scene.execution.told(order.trade_id))

    [report] = scene.execution.told(order.trade_id)

    assert report.ended.kind == execution.Report.Ended.KIND_REJECTED
    assert (report.ended.reason, report.ended.reason_text) == (reason, "because")
    [status] = await gateway.orders(order.trade_id)
    assert status.state == pb.ORDER_STATE_DONE


async def test_a_fill_counts_even_after_the_order_has_ended(scene: Scene, gateway: Gateway) -> None:
    scene.venue.answer = lambda order: [
        accept(order),
        _altered(accept(order), exec_type=Report.EXEC_TYPE_CANCELED),
        fill(order, 30),
    ]
    await gateway.submit(order := an_order())
    await until(lambda: len(scene.execution.reports) == 3)

    assert scene.execution.reports[1].ended.kind == execution.Report.Ended.KIND_CANCELED
    assert scene.execution.reports[2].filled.quantity == 30
    [status] = await gateway.orders(order.trade_id)
    assert (status.state, status.filled_quantity) == (pb.ORDER_STATE_DONE, 30)


@pytest.mark.parametrize(
    ("words", "breach", "delivered"),
    [
        (lambda o: [fill(o), fill(o, 1, so_far=100)], "OVER_FILL", 1),
        (lambda o: [fill(o, 101)], "OVER_FILL", 0),
        (lambda o: [_altered(fill(o), symbol="MSFT")], "WRONG_SYMBOL", 0),
        (lambda o: [_altered(fill(o), side=market.SIDE_SELL)], "WRONG_SIDE", 0),
        (lambda o: [_altered(fill(o), last_quantity=0)], "NOT_A_FILL", 0),
        (lambda o: [_altered(fill(o), last_price_micros=-1)], "NOT_A_FILL", 0),
        (lambda o: [_altered(fill(o), exec_type=0)], "UNREADABLE", 0),
        (lambda o: [fill(o), reject(o, 0)], "ENDED_WHEN_FILLED", 1),
        (
            lambda o: [_altered(fill(o, 50), exec_id=f"E-{o.client_order_id}")] * 2,
            "EXECUTION_REPEATED",
            1,
        ),
        (
            lambda o: [_altered(fill(o), client_order_id="0" * 8 + o.client_order_id[8:])],
            "UNKNOWN_TRADE",
            0,
        ),
        (lambda o: [_altered(fill(o), client_order_id="not ours\0")], "UNREADABLE", 0),
    ],
)
async def test_a_report_that_cannot_be_true_is_parked_and_blocks_nobody(
    scene: Scene, gateway: Gateway, words: Words, breach: str, delivered: int
) -> None:
    order = await _submit_and_fill_another(scene, gateway, words)

    seq = scene.venue.reports[delivered].seq
    assert scene.rows("SELECT seq, breach FROM parked_report") == [(seq, breach)]
    assert len(scene.execution.told(order.trade_id)) == delivered
    assert seq not in {report.report_seq for report in scene.execution.reports}
    assert (await gateway.session()).parked_reports == 1
    await until(gateway.has_delivered_all)
    await until(scene.venue.is_acknowledged)


async def test_what_execution_finds_impossible_is_parked_with_its_words(
    scene: Scene, gateway: Gateway
) -> None:
    order, other = an_order(), an_order()
    scene.execution.impossible[order.trade_id] = "the hold is closed"

    await gateway.submit(order, other)

    await until(lambda: scene.execution.is_filled(other.trade_id))
    await until(lambda: scene.rows("SELECT 1 FROM parked_report OFFSET 1"))
    parked = scene.rows("SELECT seq, breach, detail FROM parked_report ORDER BY 1")
    assert parked == [
        (1, "REFUSED_BY_EXECUTION", "the hold is closed"),
        (2, "REFUSED_BY_EXECUTION", "the hold is closed"),
    ]


@pytest.mark.parametrize("fault", ["sends_twice", "sends_in_reverse"])
async def test_reports_doubled_or_out_of_order_are_delivered_once_and_in_order(
    scene: Scene, gateway: Gateway, fault: str
) -> None:
    setattr(scene.venue, fault, True)
    orders = [an_order() for _ in range(20)]

    await gateway.submit(*orders)

    await until(lambda: all(scene.execution.is_filled(order.trade_id) for order in orders))
    assert [r.report_seq for r in scene.execution.reports] == list(range(1, 41))
    assert len(scene.venue.logons) == 1
    await until(scene.venue.is_acknowledged)


async def test_a_gap_in_the_reports_makes_a_new_logon_and_the_missing_ones_come(
    scene: Scene,
) -> None:
    scene.venue.withholds_reports = {3}
    orders = [an_order() for _ in range(5)]
    async with scene.gateway(query_after_seconds=600.0) as gateway:
        await until(gateway.is_connected)

        await gateway.submit(*orders)

        await until(lambda: all(scene.execution.is_filled(order.trade_id) for order in orders))
    assert [r.report_seq for r in scene.execution.reports] == list(range(1, 11))
    assert [logon.next_report_seq for logon in scene.venue.logons] == [1, 3]


async def test_a_missing_report_that_no_later_one_gives_away_is_found_by_asking(
    scene: Scene, gateway: Gateway
) -> None:
    scene.venue.withholds_reports = {1, 2}

    await gateway.submit(order := an_order())

    await until(lambda: scene.execution.is_filled(order.trade_id))
    assert scene.venue.sends == {order.trade_id: 1}


async def test_reports_wait_while_execution_is_away_and_are_delivered_in_order(
    scene: Scene, gateway: Gateway
) -> None:
    scene.execution.is_away = True
    orders = [an_order() for _ in range(30)]
    await gateway.submit(*orders)
    await until(lambda: scene.venue.acknowledged == 60)
    assert (await gateway.session()).unapplied_reports == 60
    await until(lambda: _is_done(gateway, orders[29]))

    scene.execution.is_away = False

    await until(lambda: len(scene.execution.reports) == 60)
    assert sorted(r.report_seq for r in scene.execution.reports) == list(range(1, 61))
    for order in orders:
        first, second = scene.execution.told(order.trade_id)
        assert first.report_seq < second.report_seq


async def _is_done(gateway: Gateway, order: pb.Order) -> bool:
    [status] = await gateway.orders(order.trade_id)
    return status.state == pb.ORDER_STATE_DONE


async def test_an_answer_lost_in_a_crash_means_delivered_again_and_then_never_more(
    scene: Scene,
) -> None:
    scene.execution.answers.clear()
    async with scene.gateway() as gateway:
        await gateway.submit(order := an_order())
        await until(lambda: len(scene.execution.calls) == 1)
        await until(scene.venue.is_acknowledged)
    scene.execution.answers.set()

    async with scene.gateway() as gateway:
        await until(lambda: scene.execution.is_filled(order.trade_id))
        await until(gateway.has_delivered_all)
    seen = len(scene.execution.reports)
    async with scene.gateway() as gateway:
        await gateway.submit(after := an_order())
        await until(lambda: scene.execution.is_filled(after.trade_id))

    first, *rest = scene.execution.calls
    again = [report for call in rest for report in call][: len(first)]
    assert again == first
    assert [r.trade_id for r in scene.execution.reports[seen:]] == [after.trade_id] * 2


async def test_reports_that_cannot_be_judged_are_stored_all_the_same_and_judged_later(
    scene: Scene,
) -> None:
    with psycopg.connect(scene.database_url, autocommit=True) as connection:
        async with scene.gateway() as gateway:
            await until(gateway.is_connected)
            connection.execute(_REFUSE_JUDGEMENTS)
            await gateway.submit(order := an_order())
            await until(scene.venue.is_acknowledged)
        stood = dict(scene.rows("SELECT lane, next_seq FROM progress"))
        connection.execute("DROP TRIGGER refused ON venue_order")
    assert (stood["stored"], stood["judged"], scene.execution.calls) == (3, 1, [])

    async with scene.gateway():
        await until(lambda: scene.execution.is_filled(order.trade_id))

    assert [r.report_seq for r in scene.execution.reports] == [1, 2]


async def test_an_execution_told_again_much_later_under_a_new_number_counts_once(
    scene: Scene, gateway: Gateway
) -> None:
    scene.venue.answer = lambda order: [_altered(fill(order, 40), exec_id="E-1")]
    await gateway.submit(order := an_order())
    await until(lambda: len(scene.execution.reports) == 1)
    sent = scene.venue.orders[order.trade_id]

    scene.venue.say(_altered(fill(sent, 40, so_far=40), exec_id="E-1"), fill(sent, 60, so_far=40))

    await until(lambda: scene.execution.is_filled(order.trade_id))
    assert scene.rows("SELECT seq, breach FROM parked_report") == [(2, "EXECUTION_REPEATED")]
    assert [r.filled.quantity for r in scene.execution.reports] == [40, 60]


async def test_an_execution_id_used_again_for_another_trade_is_that_trades_own(
    scene: Scene, gateway: Gateway
) -> None:
    scene.venue.answer = lambda order: [_altered(fill(order), exec_id="E-1")]
    await gateway.submit(today := an_order())
    await until(lambda: scene.execution.is_filled(today.trade_id))

    await gateway.submit(next_day := an_order())

    await until(lambda: scene.execution.is_filled(next_day.trade_id))
    assert scene.rows("SELECT FROM parked_report") == []


async def test_a_fill_that_comes_before_the_acceptance_counts(
    scene: Scene, gateway: Gateway
) -> None:
    scene.venue.answer = lambda order: [fill(order, 30), accept(order), fill(order, 70, so_far=30)]

    await gateway.submit(order := an_order())

    await until(lambda: scene.execution.is_filled(order.trade_id))
    said = [report.WhichOneof("report") for report in scene.execution.told(order.trade_id)]
    assert said == ["filled", "accepted", "filled"]
    assert scene.rows("SELECT FROM parked_report") == []


async def test_a_report_garbled_on_the_wire_is_parked_and_the_others_of_its_message_go_on(
    scene: Scene,
) -> None:
    scene.venue.answer = lambda order: [
        accept(order),
        _altered(fill(order, 40), exec_id="GARBLED"),
        fill(order, 60, so_far=40),
    ]
    way = Way(free_port(), f"127.0.0.1:{scene.venue.port}")
    way.garbles = b"GARBLED"
    await way.open()
    patient = {"exchange_address": way.address, "query_after_seconds": 600.0}
    async with scene.gateway(**patient) as gateway:
        await gateway.submit(order := an_order())

        await until(lambda: len(scene.execution.reports) == 2)
        assert scene.rows("SELECT seq, breach FROM parked_report") == [(2, "UNREADABLE")]
        assert [r.report_seq for r in scene.execution.told(order.trade_id)] == [1, 3]
        await until(scene.venue.is_acknowledged)
    await way.close()
    assert len(scene.venue.logons) == 1
    [(raw,)] = scene.rows("SELECT raw FROM venue_report WHERE seq = 2")
    assert b"\xff" * 7 in raw
