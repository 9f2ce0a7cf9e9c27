"""What is not known is shown to operators as in doubt; the exchange's word ends it."""

import grpc
import pytest

from libs.rpc.status import reason_of
from stockbroker.common.v1.reason_pb2 import Reason
from stockbroker.exchange_gateway.v1 import exchange_gateway_service_pb2 as gateway_pb
from stockbroker.execution.v1 import execution_service_pb2 as pb
from tests.execution.desk import Desk, WorkerDouble, eventually
from tests.support.keys import bearer


async def in_doubt(desk: Desk, worker: WorkerDouble, **page: int) -> list[pb.InDoubtTrade]:
    request = pb.ListInDoubtRequest(**page)
    operator = bearer(desk.keys.operator())
    return list((await worker.stub.ListInDoubt(request, metadata=operator)).trades)


async def query(desk: Desk, worker: WorkerDouble, *trade_ids: str) -> list[gateway_pb.OrderStatus]:
    request = pb.QueryInDoubtRequest(trade_ids=trade_ids)
    operator = bearer(desk.keys.operator())
    return list((await worker.stub.QueryInDoubt(request, metadata=operator)).orders)


async def doubted(desk: Desk, customer: str) -> str:
    """A trade the exchange does not answer."""
    trade_id = await desk.place(customer)
    await eventually(lambda: desk.order.trade(trade_id).in_doubt)
    return trade_id


async def test_trades_in_doubt_are_listed_oldest_first_with_what_the_gateway_knows(
    desk: Desk,
) -> None:
    worker = await desk.start_leader(in_doubt_after_seconds=0.3)
    old, young = await doubted(desk, "alice"), await doubted(desk, "bob")

    listed = await in_doubt(desk, worker)

    assert [case.trade.trade_id for case in listed] == [old, young]
    assert [case.trade.customer_id for case in listed] == ["alice", "bob"]
    assert listed[0].age_ms >= listed[1].age_ms >= 0
    assert {case.order.state for case in listed} == {gateway_pb.ORDER_STATE_PENDING}
    assert all(case.trade.reason_text for case in listed)
    assert len(await in_doubt(desk, worker, page_size=1)) == 1
    assert not {old, young} & desk.ledger.released


async def test_however_many_the_exchange_does_not_answer_all_are_in_doubt(desk: Desk) -> None:
    await desk.start_leader(in_doubt_after_seconds=0.3)
    customers = [f"customer-{number}" for number in range(1_200)]

    trade_ids = [desk.order.place(customer) for customer in customers]
    await desk.nudges.publish(customers)

    await eventually(lambda: all(desk.order.trade(trade_id).in_doubt for trade_id in trade_ids))


async def test_trades_in_doubt_are_listed_while_the_gateway_is_away(desk: Desk) -> None:
    worker = await desk.start_leader(in_doubt_after_seconds=0.3)
    trade_id = await doubted(desk, "alice")
    desk.gateway.faults.is_away = True

    (case,) = await in_doubt(desk, worker)

    assert case.trade.trade_id == trade_id
    assert not case.HasField("order")


async def test_an_order_whose_gateway_went_away_is_in_doubt_until_it_is_back(desk: Desk) -> None:
    await desk.start_leader(in_doubt_after_seconds=0.3)
    trade_id = await desk.place("alice")
    await eventually(lambda: desk.gateway.sent == [trade_id])
    desk.gateway.states[trade_id] = gateway_pb.ORDER_STATE_ACCEPTED
    desk.gateway.exchange_order_ids[trade_id] = "X1"
    await eventually(lambda: desk.order.trade(trade_id).exchange_order_id == "X1")

    desk.gateway.faults.is_away = True
    await eventually(lambda: desk.order.trade(trade_id).in_doubt)
    desk.gateway.faults.is_away = False

    await eventually(lambda: not desk.order.trade(trade_id).in_doubt)
    assert desk.gateway.sent == [trade_id]
    assert desk.order.status(trade_id) == "IN_PROGRESS"


@pytest.mark.parametrize("news", ["accepted", "filled", "ended"])
async def test_any_report_ends_a_doubt(desk: Desk, news: str) -> None:
    worker = await desk.start_leader(in_doubt_after_seconds=0.3)
    trade_id = await doubted(desk, "alice")
    reports = {
        "accepted": desk.report(trade_id, accepted=pb.Report.Accepted(exchange_order_id="X1")),
        "filled": desk.fill(trade_id),
        "ended": desk.report(
            trade_id,
            ended=pb.Report.Ended(
                kind=pb.Report.Ended.KIND_CANCELED, reason=Reason.REASON_NO_LIQUIDITY
            ),
        ),
    }
    desk.gateway.states[trade_id] = gateway_pb.ORDER_STATE_DONE

    await desk.deliver_whole(worker, reports[news])

    assert not desk.order.trade(trade_id).in_doubt
    assert await in_doubt(desk, worker) == []


async def test_the_exchange_is_asked_when_an_operator_wants_it(desk: Desk) -> None:
    worker = await desk.start_leader(in_doubt_after_seconds=0.3)
    trade_id = await doubted(desk, "alice")
    desk.gateway.states[trade_id] = gateway_pb.ORDER_STATE_ACCEPTED
    desk.gateway.exchange_order_ids[trade_id] = "X1"

    (order,) = await query(desk, worker, trade_id)

    assert (order.state, order.exchange_order_id) == (gateway_pb.ORDER_STATE_ACCEPTED, "X1")
    assert not desk.order.trade(trade_id).in_doubt


async def test_an_order_nobody_knows_is_sent_again_when_an_operator_asks(desk: Desk) -> None:
    worker = await desk.start_leader(in_doubt_after_seconds=0.3)
    trade_id = await doubted(desk, "alice")
    desk.gateway.orders.clear()
    desk.gateway.states.clear()

    (order,) = await query(desk, worker, trade_id)

    assert order.state == gateway_pb.ORDER_STATE_UNKNOWN
    await eventually(lambda: desk.gateway.sent == [trade_id, trade_id])


async def test_asking_for_nothing_or_by_a_customer_is_refused(desk: Desk) -> None:
    worker = await desk.start_worker()

    with pytest.raises(grpc.aio.AioRpcError) as failed:
        await query(desk, worker)
    assert reason_of(failed.value) == "INVALID_REQUEST"
    with pytest.raises(grpc.aio.AioRpcError) as failed:
        await in_doubt(desk, worker, page_size=1001)
    assert reason_of(failed.value) == "INVALID_PAGE_SIZE"
    with pytest.raises(grpc.aio.AioRpcError) as failed:
        await worker.stub.ListInDoubt(
            pb.ListInDoubtRequest(), metadata=bearer(desk.keys.customer("alice"))
        )
    assert failed.value.code() is grpc.StatusCode.PERMISSION_DENIED
