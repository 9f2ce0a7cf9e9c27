"""A firm's back-end places trades of its customers through the public door, and they fill."""

import asyncio
import uuid
from collections.abc import AsyncIterator
from typing import Any

import grpc
import pytest

from libs.backend import BackEnd, NotPlaced, backend
from libs.rpc.status import reason_of
from stockbroker.common.v1.reason_pb2 import Reason
from stockbroker.order.v1 import order_pb2
from stockbroker.order.v1 import order_service_pb2 as pb
from stockbroker.order.v1 import order_service_pb2_grpc as pb_grpc
from tests.support.app import BUY
from tests.support.house import House
from tests.support.keys import bearer

pytestmark = pytest.mark.xdist_group("house")

_CASH_MICROS = 100_000_000_000


async def _results(house: House, token: str, items: list[Any]) -> list[Any]:
    async def requests() -> AsyncIterator[pb.PlaceTradesRequest]:
        yield pb.PlaceTradesRequest(items=items)

    async with grpc.aio.insecure_channel(house.public_address) as channel:
        stub: Any = pb_grpc.OrderServiceStub(channel)
        call = stub.PlaceTrades(requests(), metadata=bearer(token), timeout=30)
        return [each async for response in call for each in response.results]


def _item(customer: str, **changes: Any) -> pb.PlaceTradesRequest.Item:
    terms: dict[str, Any] = {"symbol": "MSFT", "side": BUY, "quantity": 2} | changes
    return pb.PlaceTradesRequest.Item(customer_id=customer, trade=pb.PlaceTradeRequest(**terms))


async def test_a_back_ends_trades_are_placed_filled_and_watched_by_their_customers(
    house: House,
) -> None:
    customers = [f"c{uuid.uuid4().hex[:12]}" for _ in range(4)]
    for customer in customers:
        await house.endow(customer, cash=_CASH_MICROS)
    items = [_item(customer) for customer in customers] + [_item(customers[0], quantity=0)]
    *placed, refused = await _results(house, house.back_end_token(), items)

    assert refused.refused.reason == Reason.REASON_INVALID_QUANTITY

    async def settled(customer: str, trade_id: str) -> order_pb2.Trade:
        async with house.app(customer) as app:
            return await app.settle(await app.get(trade_id))

    trades = await asyncio.gather(
        *(settled(c, each.placed.trade_id) for c, each in zip(customers, placed, strict=True))
    )
    assert {trade.status for trade in trades} == {order_pb2.TRADE_STATUS_FILLED}
    assert [trade.customer_id for trade in trades] == customers


async def test_a_firm_places_one_by_one_what_goes_together(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(backend, "_ANSWER_SECONDS", 60.0)  # what is not repeated keeps its order
    customers = [f"c{uuid.uuid4().hex[:12]}" for _ in range(4)]
    for customer in customers:
        await house.endow(customer, cash=_CASH_MICROS)
    wanted = [_item(customers[number % 4], client_order_id=f"o{number}") for number in range(40)]
    async with BackEnd(house.public_address, house.back_end_token, patience_seconds=60) as firm:
        bad = asyncio.create_task(firm.place(customers[0], _item(customers[0], quantity=0).trade))
        placed = await asyncio.gather(*(firm.place(w.customer_id, w.trade) for w in wanted))
        with pytest.raises(NotPlaced) as refused:
            await bad
        again = await firm.place(customers[0], wanted[0].trade)

    assert refused.value.reason == "INVALID_QUANTITY"
    assert again == placed[0]
    assert [each.client_order_id for each in placed] == [
        each.trade.client_order_id for each in wanted
    ]
    for number, customer in enumerate(customers):
        seqs = [each.seq for each in placed[number::4]]
        assert seqs == sorted(seqs)
        async with house.app(customer) as app:
            trades = [await app.settle(await app.get(each.trade_id)) for each in placed[number::4]]
        assert {trade.status for trade in trades} == {order_pb2.TRADE_STATUS_FILLED}


async def test_a_customers_token_does_not_place_for_another_at_the_door(house: House) -> None:
    (refused,) = await _results(house, house.token("alice"), [_item("bob")])
    assert refused.refused.reason == Reason.REASON_PERMISSION_DENIED


async def test_the_door_lets_a_back_end_do_nothing_else(house: House) -> None:
    metadata = bearer(house.back_end_token())
    request = pb.PlaceTradeRequest(symbol="MSFT", side=BUY, quantity=1)
    for address in (house.public_address, house.operators_address):
        async with grpc.aio.insecure_channel(address) as channel:
            stub: Any = pb_grpc.OrderServiceStub(channel)
            with pytest.raises(grpc.aio.AioRpcError) as refused:
                await stub.PlaceTrade(request, metadata=metadata, timeout=10)
        assert reason_of(refused.value) == "PERMISSION_DENIED"
