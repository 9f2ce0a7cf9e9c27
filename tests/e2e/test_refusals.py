"""What is refused at the public door, with its code and its reason; and nothing is recorded."""

import uuid
from typing import Any

import grpc
import pytest

from libs.rpc.status import reason_of
from stockbroker.common.v1 import terms_pb2 as terms
from stockbroker.order.v1 import order_service_pb2 as pb
from tests.support.app import BUY, DEADLINE_SECONDS, App
from tests.support.house import House
from tests.support.keys import bearer

pytestmark = pytest.mark.xdist_group("house")

GOOD: dict[str, Any] = {"symbol": "AAPL", "side": BUY, "quantity": 1}


async def _refused(call: Any) -> tuple[grpc.StatusCode, str]:
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await call
    return refused.value.code(), reason_of(refused.value)


@pytest.mark.parametrize(
    ("terms_changed", "reason"),
    [
        ({"quantity": 0}, "INVALID_QUANTITY"),
        ({"quantity": -1}, "INVALID_QUANTITY"),
        ({"quantity": 2**31}, "INVALID_QUANTITY"),
        ({"quantity": 2**63 - 1}, "INVALID_QUANTITY"),
        ({"symbol": "NOSUCH"}, "UNKNOWN_SYMBOL"),
        ({"symbol": "aapl"}, "INVALID_SYMBOL"),
        ({"symbol": ""}, "INVALID_SYMBOL"),
        ({"symbol": "A" * 1_000_000}, "INVALID_SYMBOL"),
        ({"symbol": "AAPL\x00"}, "INVALID_SYMBOL"),
        ({"symbol": "AAPL'; DROP TABLE trade"}, "INVALID_SYMBOL"),
        ({"side": terms.SIDE_UNSPECIFIED}, "INVALID_SIDE"),
        ({"side": 77}, "INVALID_SIDE"),
        ({"client_order_id": "x" * 65}, "INVALID_CLIENT_ORDER_ID"),
        ({"client_order_id": "x" * 1_000_000}, "INVALID_CLIENT_ORDER_ID"),
        ({"client_order_id": "snow\u2603man"}, "INVALID_CLIENT_ORDER_ID"),
        ({"client_order_id": "a\nb"}, "INVALID_CLIENT_ORDER_ID"),
        ({"limit_price_micros": 1}, "INVALID_PRICE"),
        ({"limit_price_micros": -1}, "INVALID_PRICE"),
    ],
)
async def test_a_trade_that_makes_no_sense_is_invalid_and_not_recorded(
    house: House, terms_changed: dict[str, Any], reason: str
) -> None:
    async with house.app(f"r{uuid.uuid4().hex[:12]}") as app:
        code, found = await _refused(
            app.orders.PlaceTrade(
                pb.PlaceTradeRequest(**GOOD | terms_changed),
                metadata=app.metadata,
                timeout=DEADLINE_SECONDS,
            )
        )
        assert (code, found) == (grpc.StatusCode.INVALID_ARGUMENT, reason)
        listed = await app.orders.ListTrades(
            pb.ListTradesRequest(), metadata=app.metadata, timeout=DEADLINE_SECONDS
        )
        assert not listed.trades


@pytest.mark.parametrize("flaw", ["none", "garbage", "expired", "operator", "service", "other key"])
async def test_without_a_customers_good_token_nobody_enters(house: House, flaw: str) -> None:
    tokens = {
        "none": "",
        "garbage": "a.b.c",
        "expired": house.token("alice", seconds=-60),
        "operator": house.operator_token(),
        "service": house.service_token("execution"),
        "other key": house.foreign_token("alice"),
    }
    async with App(house.public_address, tokens[flaw]) as app:
        metadata = bearer(tokens[flaw]) if tokens[flaw] else ()
        call = app.orders.ListTrades(
            pb.ListTradesRequest(), metadata=metadata, timeout=DEADLINE_SECONDS
        )
        code, _ = await _refused(call)
        assert code in (grpc.StatusCode.UNAUTHENTICATED, grpc.StatusCode.PERMISSION_DENIED)


async def test_another_customers_trade_does_not_exist(house: House) -> None:
    owner, stranger = (f"r{uuid.uuid4().hex[:12]}" for _ in range(2))
    async with house.app(owner) as app:
        trade = await app.place(BUY, 1, "AAPL", client_order_id="secret")
    unknown = str(uuid.uuid4())
    async with house.app(stranger) as app:
        for trade_id in (trade.trade_id, unknown):
            asked: list[tuple[Any, Any]] = [
                (app.orders.GetTrade, pb.GetTradeRequest(trade_id=trade_id)),
                (app.orders.ListTradeEvents, pb.ListTradeEventsRequest(trade_id=trade_id)),
                (app.orders.CancelTrade, pb.CancelTradeRequest(trade_id=trade_id)),
            ]
            for method, request in asked:
                call = method(request, metadata=app.metadata, timeout=DEADLINE_SECONDS)
                assert await _refused(call) == (grpc.StatusCode.NOT_FOUND, "TRADE_NOT_FOUND")
        by_name = app.orders.GetTrade(
            pb.GetTradeRequest(client_order_id="secret"),
            metadata=app.metadata,
            timeout=DEADLINE_SECONDS,
        )
        assert await _refused(by_name) == (grpc.StatusCode.NOT_FOUND, "TRADE_NOT_FOUND")


@pytest.mark.parametrize(
    ("request_changed", "reason"),
    [
        ({"page_size": -1}, "INVALID_PAGE_SIZE"),
        ({"page_size": 1001}, "INVALID_PAGE_SIZE"),
        ({"page_size": 2**31 - 1}, "INVALID_PAGE_SIZE"),
        ({"page_token": "forged"}, "INVALID_PAGE_TOKEN"),
        ({"page_token": "x" * 1_000_000}, "INVALID_PAGE_TOKEN"),
    ],
)
async def test_pages_are_asked_for_properly(
    house: House, request_changed: dict[str, Any], reason: str
) -> None:
    async with house.app("alice") as app:
        call = app.orders.ListTrades(
            pb.ListTradesRequest(**request_changed),
            metadata=app.metadata,
            timeout=DEADLINE_SECONDS,
        )
        assert await _refused(call) == (grpc.StatusCode.INVALID_ARGUMENT, reason)


async def test_a_page_token_is_good_for_its_customer_alone(house: House) -> None:
    first, second = (f"r{uuid.uuid4().hex[:12]}" for _ in range(2))
    async with house.app(first) as app:
        for _ in range(3):
            await app.place(BUY, 1, "AAPL")
        page = await app.orders.ListTrades(
            pb.ListTradesRequest(page_size=2), metadata=app.metadata, timeout=DEADLINE_SECONDS
        )
        assert (len(page.trades), bool(page.next_page_token)) == (2, True)
    async with house.app(second) as app:
        stolen = pb.ListTradesRequest(page_size=2, page_token=page.next_page_token)
        call = app.orders.ListTrades(stolen, metadata=app.metadata, timeout=DEADLINE_SECONDS)
        assert await _refused(call) == (grpc.StatusCode.INVALID_ARGUMENT, "INVALID_PAGE_TOKEN")
