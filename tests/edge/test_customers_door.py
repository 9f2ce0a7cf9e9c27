"""What apps meet at the customers' door, over gRPC and over gRPC-web."""

import asyncio
from typing import Any

import grpc
import pytest

from libs.auth import Role
from libs.rpc import RpcServer
from libs.rpc.status import reason_of
from stockbroker.exchange.v1 import exchange_service_pb2 as exchange_pb
from stockbroker.exchange.v1 import exchange_service_pb2_grpc as exchange_grpc
from stockbroker.order.v1 import order_service_pb2 as pb
from stockbroker.order.v1 import order_service_pb2_grpc as pb_grpc
from tests.edge import grpc_web
from tests.edge.conftest import CUSTOMER_CALLS, EXCHANGE, ORDER
from tests.edge.envoy import Envoy
from tests.support.keys import Keys, bearer
from tests.support.wait import until

PLACE = f"{ORDER}/PlaceTrade"


def _stub(channel: grpc.aio.Channel) -> Any:
    return pb_grpc.OrderServiceStub(channel)


def _bad_tokens(keys: Keys) -> dict[str, str]:
    return {
        "missing": "",
        "garbled": "a.b.c",
        "expired": keys.signer.mint("alice", Role.CUSTOMER, -3600),
        "good for two days": keys.customer("alice", 172_800),
    }


async def test_a_call_reaches_the_service_under_the_name_in_its_token(
    public: grpc.aio.Channel, keys: Keys
) -> None:
    answer = await _stub(public).PlaceTrade(
        pb.PlaceTradeRequest(), metadata=bearer(keys.customer("alice")), timeout=30
    )
    assert answer.trade.customer_id == "alice"


async def test_a_token_that_was_let_in_is_turned_away_at_the_door_once_it_is_over(
    public: grpc.aio.Channel, keys: Keys
) -> None:
    """For the service it is over at once; Envoy allows for clocks that differ by ten seconds."""
    token = bearer(keys.customer("alice", -7))
    said: list[str] = []

    async def is_turned_away_at_the_door() -> bool:
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await _stub(public).PlaceTrade(pb.PlaceTradeRequest(), metadata=token, timeout=30)
        said.append(refused.value.details() or "")
        return "missing, expired" in said[-1]

    await until(is_turned_away_at_the_door, seconds=60)
    assert {each for each in said if "missing, expired" not in each} <= {
        "the token is expired",
        "too many calls",
    }


async def test_a_name_that_no_customer_can_have_is_refused_as_such(
    envoy: Envoy, public: grpc.aio.Channel, keys: Keys
) -> None:
    for name in ("a\nb", "a\rb", "a\0b", "\x7f", "a b", "auth0|abc", "a@b.c", "é", "", "x" * 65):
        token = keys.customer(name)
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await _stub(public).PlaceTrade(
                pb.PlaceTradeRequest(), metadata=bearer(token), timeout=30
            )
        assert refused.value.code() == grpc.StatusCode.UNAUTHENTICATED, name
        assert reason_of(refused.value) == "UNAUTHENTICATED", name
        assert "sub is not 1 to 64 characters" in str(refused.value.details()), name
        answer = await grpc_web.call(envoy.public, PLACE, b"", token)
        assert (answer.grpc_status, answer.reason) == (16, "UNAUTHENTICATED"), name


async def test_a_call_may_bring_as_many_headers_as_the_door_takes(
    public: grpc.aio.Channel, keys: Keys
) -> None:
    for size in (0, 10_000, 50_000):  # the first of a connection is not measured
        metadata = (*bearer(keys.customer("alice")), ("cookie", "x" * size))
        await _stub(public).PlaceTrade(pb.PlaceTradeRequest(), metadata=metadata, timeout=30)


async def test_events_stream_through(public: grpc.aio.Channel, keys: Keys) -> None:
    watch = _stub(public).WatchTrades(
        pb.WatchTradesRequest(), metadata=bearer(keys.customer("alice")), timeout=30
    )
    assert [message.event.seq async for message in watch] == [1, 2, 3]


async def test_without_a_customers_token_every_call_is_unauthenticated(
    public: grpc.aio.Channel, keys: Keys
) -> None:
    for kind, token in _bad_tokens(keys).items():
        metadata = bearer(token) if token else ()
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await _stub(public).PlaceTrade(pb.PlaceTradeRequest(), metadata=metadata, timeout=30)
        assert refused.value.code() == grpc.StatusCode.UNAUTHENTICATED, kind
        assert reason_of(refused.value) == "UNAUTHENTICATED", kind


async def test_a_token_in_the_url_opens_no_door_and_is_not_logged(envoy: Envoy, keys: Keys) -> None:
    for door, token in ((envoy.public, keys.customer("alice")), (envoy.operators, keys.operator())):
        answer = await grpc_web.call(door, f"{PLACE}?access_token={token}", b"")
        assert (answer.grpc_status, answer.reason) == (16, "UNAUTHENTICATED")
    await until(lambda: envoy.log().count(f'"method":"{PLACE}') == 2)
    assert "access_token" not in envoy.log()


async def test_customers_reach_what_is_theirs_and_nothing_else(
    public: grpc.aio.Channel, keys: Keys
) -> None:
    metadata = bearer(keys.customer("alice"))
    market: Any = exchange_grpc.ExchangeServiceStub(public)
    await market.ListQuotes(exchange_pb.ListQuotesRequest(), metadata=metadata, timeout=30)
    for path in (
        f"{EXCHANGE}/GetOrder",
        "/stockbroker.ledger.v1.LedgerService/Deposit",
        "/stockbroker.order.v1.OrderExecutionService/ClaimTrades",
        "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo",
        "/grpc.health.v1.Health/Check",
        "/no.such.Service/Method",
    ):
        call: Any = public.unary_unary(path)
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await call(b"", metadata=metadata, timeout=30)
        assert refused.value.code() == grpc.StatusCode.PERMISSION_DENIED, path
        assert reason_of(refused.value) == "PERMISSION_DENIED", path


async def test_a_token_made_for_another_door_does_not_open_this_one(
    public: grpc.aio.Channel, keys: Keys
) -> None:
    for token in (keys.operator(), keys.service("order")):
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await _stub(public).PlaceTrade(
                pb.PlaceTradeRequest(), metadata=bearer(token), timeout=30
            )
        assert refused.value.code() == grpc.StatusCode.PERMISSION_DENIED
        assert reason_of(refused.value) == "PERMISSION_DENIED"


async def test_a_customer_who_calls_too_often_is_told_so_and_the_others_are_not(
    public: grpc.aio.Channel, keys: Keys
) -> None:
    async def outcome(customer: str) -> str:
        try:
            await _stub(public).PlaceTrade(
                pb.PlaceTradeRequest(), metadata=bearer(keys.customer(customer)), timeout=30
            )
        except grpc.aio.AioRpcError as error:
            return f"{error.code().name} {reason_of(error)}"
        return "OK"

    outcomes = await asyncio.gather(*(outcome("alice") for _ in range(5 * CUSTOMER_CALLS)))
    assert outcomes.count("OK") >= CUSTOMER_CALLS
    assert outcomes.count("RESOURCE_EXHAUSTED OVERLOADED") >= CUSTOMER_CALLS
    assert await outcome("bob") == "OK"


async def test_a_call_that_brings_no_message_ends_in_time(
    public: grpc.aio.Channel, keys: Keys
) -> None:
    async def nothing() -> Any:
        return
        yield

    place: Any = public.stream_unary(PLACE)
    call = place(nothing(), metadata=bearer(keys.customer("alice")))
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await asyncio.wait_for(call, 10)
    # By Envoy's word, or by the service's when it sees the time run out first.
    ended = (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED)
    assert refused.value.code() in ended


async def test_a_browser_calls_and_watches(envoy: Envoy, keys: Keys) -> None:
    token = keys.customer("alice")
    placed = await grpc_web.call(envoy.public, PLACE, b"", token)
    assert (placed.http_status, placed.grpc_status) == (200, 0)
    response = pb.PlaceTradeResponse.FromString(placed.messages[0])
    assert response.trade.customer_id == "alice"
    watched = await grpc_web.call(envoy.public, f"{ORDER}/WatchTrades", b"", token)
    events = [pb.WatchTradesResponse.FromString(frame).event.seq for frame in watched.messages]
    assert (events, watched.grpc_status) == ([1, 2, 3], 0)


async def test_a_browser_gets_refusals_as_grpc_statuses_with_reasons(
    envoy: Envoy, keys: Keys
) -> None:
    for kind, token in _bad_tokens(keys).items():
        answer = await grpc_web.call(envoy.public, PLACE, b"", token)
        assert (answer.http_status, answer.grpc_status) == (200, 16), kind
        assert answer.reason == "UNAUTHENTICATED", kind
    alice = keys.customer("alice")
    denied = await grpc_web.call(envoy.public, f"{EXCHANGE}/GetOrder", b"", alice)
    assert (denied.http_status, denied.grpc_status) == (200, 7)
    assert denied.reason == "PERMISSION_DENIED"
    calls = (grpc_web.call(envoy.public, PLACE, b"", alice) for _ in range(3 * CUSTOMER_CALLS))
    answers = await asyncio.gather(*calls)
    throttled = [answer for answer in answers if answer.grpc_status == 8]
    assert throttled
    assert {answer.reason for answer in throttled} == {"OVERLOADED"}


@pytest.mark.parametrize(
    "kind",
    [
        "application/json",
        "text/plain",
        "",
        "application/grpc-web+json",
        "application/grpc-web+proto; charset=utf-8",
        "application/grpc-other",
    ],
)
async def test_what_is_not_grpc_is_told_so_and_reaches_no_service(
    envoy: Envoy, keys: Keys, kind: str
) -> None:
    doors = {envoy.public: keys.customer("alice"), envoy.operators: keys.operator("olivia")}
    for address, token in doors.items():
        headers = {"authorization": f"Bearer {token}", "content-type": kind}
        for verb in ("POST", "GET"):
            status, _ = await grpc_web.request(address, verb, PLACE, headers)
            assert status == 415


async def test_a_page_of_this_machine_may_call_and_another_may_not(envoy: Envoy) -> None:
    asked = {
        "access-control-request-method": "POST",
        "access-control-request-headers": "authorization,content-type,x-grpc-web",
    }
    status, headers = await grpc_web.request(
        envoy.public, "OPTIONS", PLACE, {"origin": "http://localhost:5173", **asked}
    )
    assert status == 200
    assert headers["access-control-allow-origin"] == "http://localhost:5173"
    assert "x-grpc-web" in headers["access-control-allow-headers"]
    status, headers = await grpc_web.request(
        envoy.public, "OPTIONS", PLACE, {"origin": "https://elsewhere.example", **asked}
    )
    assert status == 401
    assert "access-control-allow-origin" not in headers


async def test_a_browser_may_read_the_status_of_a_refusal(envoy: Envoy) -> None:
    answer = await grpc_web.call(envoy.public, PLACE, b"", origin="http://localhost:5173")
    assert answer.headers["access-control-allow-origin"] == "http://localhost:5173"
    assert "grpc-status-details-bin" in answer.headers["access-control-expose-headers"]


async def test_a_service_that_is_away_is_unavailable_with_a_reason(
    envoy: Envoy, upstream: RpcServer, public: grpc.aio.Channel, keys: Keys
) -> None:
    await upstream.stop(0)
    metadata = bearer(keys.customer("alice"))
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await _stub(public).PlaceTrade(pb.PlaceTradeRequest(), metadata=metadata, timeout=30)
    # By Envoy's word, or by the service's when it sees the time run out first.
    ended = (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED)
    assert refused.value.code() in ended
    assert reason_of(refused.value) == "UNAVAILABLE"
    answer = await grpc_web.call(envoy.public, PLACE, b"", keys.customer("alice"))
    assert (answer.http_status, answer.grpc_status) == (200, 14)


async def test_health_of_the_door_needs_no_token(envoy: Envoy) -> None:
    status, _ = await grpc_web.request(envoy.public, "GET", "/healthz", {})
    assert status == 200
