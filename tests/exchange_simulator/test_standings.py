"""A member asks how its orders stand, all at once."""

import grpc
import pytest

from stockbroker.exchange.v1 import exchange_control_service_pb2 as control
from stockbroker.exchange.v1 import exchange_service_pb2 as pb
from tests.exchange_simulator.member import Exchange, Member, an_order
from tests.support.wait import until


async def _list(exchange: Exchange, **fields: int | str) -> pb.ListOrdersResponse:
    request = pb.ListOrdersRequest(session_id="gateway")
    request.MergeFrom(pb.ListOrdersRequest(**fields))  # type: ignore[arg-type]
    return await exchange.service.ListOrders(request, metadata=exchange.reader)


async def test_named_orders_are_told_known_or_not_in_the_order_named(
    exchange: Exchange, member: Member
) -> None:
    filled, strange = an_order(), an_order()
    reports = await member.trade(filled)

    first, second = await exchange.standings(strange, filled)

    assert (first.client_order_id, first.is_known) == (strange.client_order_id, False)
    assert second == pb.OrderStanding(
        client_order_id=filled.client_order_id,
        is_known=True,
        exchange_order_id=reports[0].exchange_order_id,
        symbol="AAPL",
        side=filled.side,
        quantity=10,
        cumulative_quantity=10,
        is_open=False,
        last_report_seq=reports[-1].seq,
    )


async def test_all_that_was_told_of_lately_comes_page_by_page_and_no_order_twice(
    exchange: Exchange, member: Member
) -> None:
    before = an_order()
    last_before = (await member.trade(before))[-1].seq
    orders = [an_order() for _ in range(7)]
    for order in orders:
        await member.trade(order)
    async with exchange.member("another") as other:
        await other.trade(an_order())

    found, after = [], ""
    while True:
        page = await _list(
            exchange, since_report_seq=last_before + 1, page_size=3, after_client_order_id=after
        )
        assert len(page.orders) <= 3
        found += [order.client_order_id for order in page.orders]
        after = page.next_after_client_order_id
        if not after:
            break

    assert found == sorted(order.client_order_id for order in orders)


async def test_an_order_that_is_open_is_told_however_old(
    exchange: Exchange, member: Member
) -> None:
    script = control.SetFaultsRequest(unanswered_order_permille=1000)
    await exchange.control.SetFaults(script, metadata=exchange.operator)
    member.send(silent := an_order())
    await until(lambda: member.kept_seq == 1)

    (standing,) = (await _list(exchange)).orders

    assert standing.client_order_id == silent.client_order_id
    assert (standing.is_open, standing.last_report_seq) == (True, 0)


@pytest.mark.parametrize(
    "fields",
    [
        {"page_size": -1},
        {"page_size": 1001},
        {"since_report_seq": -1},
        {"after_client_order_id": "\0"},
        {"session_id": "no session"},
    ],
)
async def test_a_question_that_makes_no_sense_is_refused(
    exchange: Exchange, fields: dict[str, int | str]
) -> None:
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await _list(exchange, **fields)

    assert refused.value.code() == grpc.StatusCode.INVALID_ARGUMENT
