"""PlaceTrades over a real channel on a real database: batches on a stream, a result per item."""

import asyncio
import signal
from collections.abc import AsyncIterator, Sequence
from typing import Any

import grpc
import pytest

from libs.rpc.status import reason_of
from stockbroker.common.v1.reason_pb2 import Reason
from stockbroker.order.v1 import order_service_pb2 as pb
from stockbroker.order.v1.order_pb2 import TradeStatus
from tests.order.client import Order, an_order
from tests.order.conftest import MakeHouse
from tests.order.test_faults import Running, running, tells_health
from tests.order.test_placing import REFUSED, gaps, rows
from tests.support.keys import bearer
from tests.support.wait import until

__all__ = ["running"]
Item = pb.PlaceTradesRequest.Item
Result = pb.PlaceTradesResponse.Result


def an_item(customer: str = "alice", **changes: Any) -> Item:
    """A request to buy 100 AAPL at the market for a customer."""
    return Item(customer_id=customer, trade=an_order(**changes))


def stream(order: Order, token: str) -> Any:
    """A stream to place on."""
    return order.trades.PlaceTrades(metadata=bearer(token), timeout=30)


async def place(order: Order, token: str, *batches: Sequence[Item]) -> list[list[Result]]:
    """The results of batches sent one after the other without waiting, on one stream."""

    async def requests() -> AsyncIterator[pb.PlaceTradesRequest]:
        for items in batches:
            yield pb.PlaceTradesRequest(items=items)

    call = order.trades.PlaceTrades(requests(), metadata=bearer(token), timeout=30)
    return [list(response.results) async for response in call]


async def silence() -> AsyncIterator[pb.PlaceTradesRequest]:
    """No batch, for ever."""
    await asyncio.Event().wait()
    yield pb.PlaceTradesRequest()


def reasons(results: Sequence[Result]) -> list[str]:
    """Why each was refused; empty: placed."""
    return [Reason.Name(each.refused.reason).removeprefix("REASON_UNSPECIFIED") for each in results]


async def test_trades_of_many_customers_are_placed_with_a_result_each(order: Order) -> None:
    items = [an_item(f"c{number % 3}", client_order_id=f"id-{number}") for number in range(9)]
    (results,) = await place(order, order.keys.back_end(), items)

    assert [each.placed.client_order_id for each in results] == [f"id-{n}" for n in range(9)]
    assert [each.placed.seq for each in results] == [1, 1, 1, 2, 2, 2, 3, 3, 3]
    for number, result in enumerate(results):
        trade = await order.get(f"c{number % 3}", result.placed.trade_id)
        assert (trade.status, trade.seq) == (TradeStatus.TRADE_STATUS_PLACED, result.placed.seq)
        assert trade.created_at == result.placed.created_at


async def test_a_bad_item_is_refused_as_placetrade_refuses_it_and_harms_no_neighbour(
    order: Order, postgres_url: str
) -> None:
    bad = [an_item(**changes) for changes, _, _ in REFUSED if "\0" not in str(changes)]
    items = [each for one in bad for each in (one, an_item("bob"))]
    (results,) = await place(order, order.keys.back_end(), items)

    expected = [(code, reason) for changes, code, reason in REFUSED if "\0" not in str(changes)]
    refused = results[::2]
    assert [
        (_CODES[each.refused.code], Reason.Name(each.refused.reason).removeprefix("REASON_"))
        for each in refused
    ] == expected
    assert all(each.HasField("placed") for each in results[1::2])
    assert await rows(postgres_url, "SELECT count(*) FROM trade") == [(len(bad),)]


_CODES = {code.value[0]: code.name for code in grpc.StatusCode}


async def test_repeats_get_the_same_answer_and_other_terms_are_refused(
    order: Order, postgres_url: str
) -> None:
    once, again = an_item(client_order_id="once"), an_item(client_order_id="once")
    other = an_item(client_order_id="once", quantity=7)
    first, second = await place(order, order.keys.back_end(), [once, again, other], [once])

    assert first[0] == first[1] == second[0]
    assert reasons(first) == ["", "", "REASON_CLIENT_ORDER_ID_REUSED"]
    answer = await order.place("alice", client_order_id="once")
    assert answer.trade_id == first[0].placed.trade_id
    assert await rows(postgres_url, "SELECT count(*) FROM trade") == [(1,)]


async def test_batches_of_a_stream_are_answered_in_order_and_placed_in_order(
    order: Order, postgres_url: str
) -> None:
    batches = [[an_item(client_order_id=f"{n}-{i}") for i in range(20)] for n in range(30)]
    answers = await place(order, order.keys.back_end(), *batches)

    placed = [each.placed for results in answers for each in results]
    assert [each.client_order_id for each in placed] == [
        item.trade.client_order_id for items in batches for item in items
    ]
    assert [each.seq for each in placed] == list(range(1, 601))
    assert await gaps(postgres_url) == []


async def test_a_customers_own_token_places_for_that_customer_alone(order: Order) -> None:
    items = [an_item("alice"), an_item(""), an_item("bob"), an_item("no such id!")]
    (results,) = await place(order, order.keys.customer("alice"), items)

    denied = "REASON_PERMISSION_DENIED"
    assert reasons(results) == ["", "", denied, denied]
    assert [each.placed.seq for each in results[:2]] == [1, 2]


async def test_a_back_end_names_a_customer_for_every_item(order: Order) -> None:
    items = [an_item(""), an_item("a b"), an_item("alice")]
    (results,) = await place(order, order.keys.back_end(), items)
    assert reasons(results) == ["REASON_INVALID_ID", "REASON_INVALID_ID", ""]


async def test_no_other_token_may_place_many_and_a_back_ends_opens_nothing_else(
    order: Order,
) -> None:
    keys = order.keys
    for token in (keys.operator(), keys.service("execution")):
        # Nothing is sent: a client of grpc.aio that is refused while it sends may miss the reason.
        stream = order.trades.PlaceTrades(silence(), metadata=bearer(token), timeout=30)
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await stream.read()
        assert reason_of(refused.value) == "PERMISSION_DENIED"
    calls = (
        order.trades.PlaceTrade(an_order(), metadata=bearer(keys.back_end())),
        order.trades.ListTrades(pb.ListTradesRequest(), metadata=bearer(keys.back_end())),
    )
    for call in calls:
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await call
        assert reason_of(refused.value) == "PERMISSION_DENIED"


async def test_a_batch_of_no_size_ends_the_stream_after_what_came_before_is_answered(
    order: Order,
) -> None:
    for wrong in ([], [an_item()] * 1001):
        call = stream(order, order.keys.back_end())
        await call.write(pb.PlaceTradesRequest(items=[an_item()]))
        await call.write(pb.PlaceTradesRequest(items=wrong))
        assert (await call.read()).results[0].HasField("placed")
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await call.read()
        assert reason_of(refused.value) == "INVALID_REQUEST"


async def test_a_stream_ends_when_its_token_has_expired(order: Order) -> None:
    call = stream(order, order.keys.back_end(seconds=2))

    async def is_over() -> bool:
        try:
            await call.write(pb.PlaceTradesRequest(items=[an_item()]))
            return await call.read() is grpc.aio.EOF
        except (grpc.aio.AioRpcError, asyncio.InvalidStateError):
            return True

    await until(is_over)
    assert await call.code() == grpc.StatusCode.UNAUTHENTICATED


async def test_more_than_can_be_queued_is_refused_item_by_item_with_a_time_to_come_back(
    make_house: MakeHouse,
) -> None:
    async with make_house(max_queued=10) as order:
        (results,) = await place(order, order.keys.back_end(), [an_item()] * 13)
        assert reasons(results) == [""] * 10 + ["REASON_OVERLOADED"] * 3
        assert all(each.refused.retry_after.ToMilliseconds() > 0 for each in results[10:])


async def test_the_process_killed_in_the_middle_of_a_stream_loses_and_doubles_nothing(
    running: tuple[Running, Order], postgres_url: str
) -> None:
    process, order = running
    await process.start()
    token = order.keys.back_end()
    batches = [
        [an_item(f"c{i % 5}", client_order_id=f"{n}-{i}") for i in range(50)] for n in range(60)
    ]
    answered: list[list[Result]] = []

    async def send(left: Sequence[Sequence[Item]]) -> None:
        """Batches one by one until all are answered, or the stream breaks."""
        call = stream(order, token)
        writing = asyncio.create_task(_write(call, left))
        try:
            async for response in call:
                answered.append(list(response.results))  # noqa: PERF401
        finally:
            writing.cancel()

    async def is_there() -> bool:
        return await tells_health(order, is_ready=True)

    await until(is_there, seconds=30)
    for share in (5, 20):
        sending = asyncio.create_task(send(batches[len(answered) :]))
        await until(lambda share=share: len(answered) >= share)  # type: ignore[misc]
        assert await process.end(signal.SIGKILL) == -signal.SIGKILL
        with pytest.raises(grpc.aio.AioRpcError):
            await sending
        await process.start()
        await until(is_there, seconds=30)
    await send(batches[len(answered) :])
    assert await process.end(signal.SIGTERM) == 0

    placed = [each.placed for results in answered for each in results]
    assert [each.client_order_id for each in placed] == [
        item.trade.client_order_id for items in batches for item in items
    ]
    assert len({each.trade_id for each in placed}) == 3_000
    assert await rows(postgres_url, "SELECT count(*) FROM trade") == [(3_000,)]
    assert await gaps(postgres_url) == []


async def _write(call: Any, batches: Sequence[Sequence[Item]]) -> None:
    for items in batches:
        await call.write(pb.PlaceTradesRequest(items=items))
    await call.done_writing()
