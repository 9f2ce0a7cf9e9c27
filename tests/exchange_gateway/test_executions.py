"""ListExecutions: the fills among the reports and their amendments, as they are stored."""

from stockbroker.exchange.v1 import exchange_pb2 as market
from stockbroker.exchange_gateway.v1 import stored_execution_pb2 as pb
from tests.exchange_gateway.conftest import Gateway, Scene, an_order
from tests.exchange_gateway.venue_words import PRICE, accept, bust, correct, fill
from tests.support.fills import DAY_SECONDS, fills_of
from tests.support.wait import until


async def page(
    gateway: Gateway, after_seq: int = 0, limit: int = 0, *, in_columns: bool = False
) -> pb.ListExecutionsResponse:
    """Some executions as reconciliation reads them."""
    request = pb.ListExecutionsRequest(after_seq=after_seq, limit=limit, in_columns=in_columns)
    response: pb.ListExecutionsResponse = await gateway.stub.ListExecutions(request)
    return response


async def test_fills_are_told_as_the_venue_reported_them(scene: Scene, gateway: Gateway) -> None:
    orders = [an_order() for _ in range(3)]
    await gateway.submit(*orders)
    await until(lambda: all(scene.execution.is_filled(order.trade_id) for order in orders))

    first = await page(gateway, limit=3)
    rest = await page(gateway, first.next_after_seq)

    told = [*first.executions, *rest.executions]
    assert not first.reaches_end
    assert rest.reaches_end
    assert rest.next_after_seq == len(scene.venue.reports)
    assert {each.trade_id for each in told} == {order.trade_id for order in orders}
    assert [each.report_seq for each in told] == sorted(each.report_seq for each in told)
    one = told[0]
    assert (one.customer_id, one.symbol, one.side, one.quantity) == ("alice", "AAPL", 1, 100)
    assert one.venue
    assert not one.is_parked
    in_columns = await page(gateway, in_columns=True)
    assert not in_columns.executions
    assert fills_of(in_columns.columns) == [
        (
            *(each.venue, each.report_seq, each.execution_id, each.trade_id, "alice", "AAPL"),
            *(each.quantity, -each.quantity * each.price_micros),
            each.executed_at.seconds // DAY_SECONDS,
        )
        for each in told
    ]


async def test_a_parked_fill_is_told_as_such(scene: Scene, gateway: Gateway) -> None:
    def too_much(order: market.NewOrder) -> list[market.ExecutionReport]:
        report = fill(order)
        report.last_quantity = order.quantity + 1
        return [accept(order), report]

    scene.venue.answer = too_much
    await gateway.submit(an_order())
    await until(lambda: scene.rows("SELECT 1 FROM parked_report"))

    (one,) = (await page(gateway)).executions
    in_columns = await page(gateway, in_columns=True)

    assert (one.quantity, one.is_parked) == (101, True)
    assert list(in_columns.executions) == [one]
    assert not in_columns.columns.positions


async def test_amendments_are_told_as_the_venue_reported_them_the_parked_one_too(
    scene: Scene, gateway: Gateway
) -> None:
    orders = [an_order() for _ in range(2)]
    await gateway.submit(*orders)
    await until(lambda: all(scene.execution.is_filled(order.trade_id) for order in orders))
    first, second = (each for each in scene.venue.reports if each.last_quantity)
    scene.venue.say(bust(first), correct(second, 60, PRICE - 1), bust(second))
    await until(lambda: scene.rows("SELECT FROM parked_report"))

    told = await page(gateway)

    assert len(told.executions) == 2
    terms = [(a.execution_id, a.quantity, a.price_micros, a.is_parked) for a in told.amendments]
    assert terms == [
        (first.exec_id, 0, 0, False),
        (second.exec_id, 60, PRICE - 1, False),
        (second.exec_id, 0, 0, True),
    ]
    said = scene.venue.reports[-3:]
    assert [a.amendment_id for a in told.amendments] == [each.exec_id for each in said]
    in_columns = await page(gateway, in_columns=True)
    assert in_columns.amendments == told.amendments
    assert len(in_columns.columns.positions) == len(told.executions)
    one = told.amendments[0]
    assert (one.trade_id, one.customer_id) == (first.client_order_id, "alice")
    assert (one.symbol, one.side) == ("AAPL", 1)
    assert one.amended_at == said[0].transact_time


async def test_amendments_of_amendments_are_told_of_their_fill_the_parked_ones_too(
    scene: Scene, gateway: Gateway
) -> None:
    order = an_order()
    await gateway.submit(order)
    await until(lambda: scene.execution.is_filled(order.trade_id))
    filled = scene.venue.reports[-1]
    scene.venue.say(correct(filled, 60, PRICE))
    correction = scene.venue.reports[-1]
    unknown = bust(filled, exec_ref_id="nobody's")
    scene.venue.say(correct(correction, 50, PRICE), bust(correction), bust(filled), unknown)
    await until(lambda: len(scene.rows("SELECT FROM parked_report")) == 3)

    told = (await page(gateway)).amendments

    of_fill = [filled.exec_id] * 4
    assert [each.execution_id for each in told] == [*of_fill, "nobody's"]
    assert [each.is_parked for each in told] == [False, False, True, True, True]
    assert list((await page(gateway, told[0].report_seq)).amendments) == list(told[1:])
