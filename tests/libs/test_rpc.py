import asyncio
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, cast

import grpc
import pytest
from google.rpc import error_details_pb2
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc
from grpc_status import rpc_status
from prometheus_client import REGISTRY

from libs.auth import Role, Verifier, caller
from libs.refusals import Invalid, NotFound, Throttled
from libs.rpc import RpcServer, connect
from libs.rpc.status import reason_of
from stockbroker.common.v1.reason_pb2 import Reason
from stockbroker.order.v1 import order_service_pb2 as pb
from stockbroker.order.v1 import order_service_pb2_grpc as pb_grpc
from tests.libs.plain_http2 import Connection
from tests.support.keys import Keys, bearer
from tests.support.names import Names
from tests.support.wait import until

SERVICE = "stockbroker.order.v1.OrderService"
CUSTOMERS = frozenset({Role.CUSTOMER})
SILENT = 7


class _Orders(pb_grpc.OrderServiceServicer):
    async def GetTrade(self, request: pb.GetTradeRequest, context: object) -> pb.GetTradeResponse:
        refusals = {
            "missing": NotFound(Reason.REASON_TRADE_NOT_FOUND, "no such trade", trade_id="7"),
            "invalid": Invalid(Reason.REASON_INVALID_ID, "not a UUID", field="trade_id"),
            "busy": Throttled(Reason.REASON_OVERLOADED, "later", retry_after_seconds=1.5),
            "fault": ZeroDivisionError("the password is 1234"),
        }
        if request.trade_id == "cut off":  # as a call whose channel is closed under it
            raise asyncio.CancelledError
        if request.trade_id in refusals:
            raise refusals[request.trade_id]
        response = pb.GetTradeResponse()
        response.trade.customer_id = caller().subject
        return response

    async def WatchTrades(
        self, request: pb.WatchTradesRequest, context: object
    ) -> AsyncIterator[pb.WatchTradesResponse]:
        if request.after_seq == SILENT:
            await asyncio.Event().wait()
        for seq in range(3):
            yield pb.WatchTradesResponse(heartbeat=pb.WatchTradesResponse.Heartbeat(head_seq=seq))
        raise NotFound(Reason.REASON_TRADE_NOT_FOUND, "the end")

    async def PlaceTrades(
        self, requests: AsyncIterator[pb.PlaceTradesRequest], context: object
    ) -> AsyncIterator[pb.PlaceTradesResponse]:
        async for _ in requests:
            yield pb.PlaceTradesResponse()


def _server(keys: Keys, *, listen: str = "127.0.0.1:0", acceptors: int = 1) -> RpcServer:
    methods = ("GetTrade", "WatchTrades", "PlaceTrades")
    server = RpcServer(
        listen=listen,
        allow={f"/{SERVICE}/{method}": CUSTOMERS for method in methods},
        verifier=Verifier(keys.jwks_file),
        acceptors=acceptors,
    )
    for each in server.servers:
        pb_grpc.add_OrderServiceServicer_to_server(_Orders(), each)
    server.serves(SERVICE)
    return server


@pytest.fixture
async def server(keys: Keys) -> AsyncIterator[RpcServer]:
    server = _server(keys)
    await server.start()
    yield server
    await server.stop(0)


@pytest.fixture
async def channel(server: RpcServer) -> AsyncIterator[grpc.aio.Channel]:
    async with grpc.aio.insecure_channel(server.address) as channel:
        yield channel


async def _fails(channel: grpc.aio.Channel, token: str, trade_id: str = "") -> grpc.aio.AioRpcError:
    with pytest.raises(grpc.aio.AioRpcError) as failed:
        await pb_grpc.OrderServiceStub(channel).GetTrade(
            pb.GetTradeRequest(trade_id=trade_id), metadata=bearer(token), timeout=30
        )
    return failed.value


async def test_a_call_that_is_cut_off_behind_the_servicer_is_answered(
    channel: grpc.aio.Channel, keys: Keys
) -> None:
    error = await _fails(channel, keys.customer("alice"), "cut off")
    assert (error.code(), reason_of(error)) == (grpc.StatusCode.UNAVAILABLE, "UNAVAILABLE")


async def test_a_port_with_several_acceptors_answers_every_connection_and_is_nobody_elses(
    keys: Keys,
) -> None:
    server = _server(keys, acceptors=4)
    await server.start()
    own = [("grpc.use_local_subchannel_pool", 1)]
    for _ in range(20):
        async with grpc.aio.insecure_channel(server.address, options=own) as channel:
            assert (await _fails(channel, keys.customer("alice"), "missing")).code() is (
                grpc.StatusCode.NOT_FOUND
            )
    for acceptors in (1, 4):
        with pytest.raises(OSError, match="is the port in use"):
            await _server(keys, listen=server.address, acceptors=acceptors).start()
    await server.stop(0)


async def test_the_servicer_learns_who_calls(channel: grpc.aio.Channel, keys: Keys) -> None:
    response = await pb_grpc.OrderServiceStub(channel).GetTrade(
        pb.GetTradeRequest(trade_id="x"), metadata=bearer(keys.customer("alice"))
    )
    assert response.trade.customer_id == "alice"


async def test_without_a_good_token_nobody_enters(channel: grpc.aio.Channel, keys: Keys) -> None:
    for token in ("", "nonsense", keys.customer("alice", seconds=-1)):
        error = await _fails(channel, token)
        assert error.code() is grpc.StatusCode.UNAUTHENTICATED
        assert reason_of(error) == "UNAUTHENTICATED"


async def test_a_role_that_is_not_listed_is_denied(channel: grpc.aio.Channel, keys: Keys) -> None:
    error = await _fails(channel, keys.operator())
    assert error.code() is grpc.StatusCode.PERMISSION_DENIED
    assert reason_of(error) == "PERMISSION_DENIED"


async def test_a_method_that_is_not_listed_is_denied(channel: grpc.aio.Channel, keys: Keys) -> None:
    with pytest.raises(grpc.aio.AioRpcError) as failed:
        await pb_grpc.OrderServiceStub(channel).ListTrades(
            pb.ListTradesRequest(), metadata=bearer(keys.customer("alice")), timeout=30
        )
    assert failed.value.code() is grpc.StatusCode.PERMISSION_DENIED


async def test_a_refusal_becomes_a_status_with_details(
    channel: grpc.aio.Channel, keys: Keys
) -> None:
    token = keys.customer("alice")
    missing = await _fails(channel, token, "missing")
    assert (missing.code(), missing.details()) == (grpc.StatusCode.NOT_FOUND, "no such trade")
    info = _detail(missing, error_details_pb2.ErrorInfo)
    assert (info.reason, info.domain, dict(info.metadata)) == (
        "TRADE_NOT_FOUND",
        "stockbroker",
        {"trade_id": "7"},
    )
    invalid = await _fails(channel, token, "invalid")
    violation = _detail(invalid, error_details_pb2.BadRequest).field_violations[0]
    assert (invalid.code(), violation.field) == (grpc.StatusCode.INVALID_ARGUMENT, "trade_id")
    busy = await _fails(channel, token, "busy")
    delay = _detail(busy, error_details_pb2.RetryInfo).retry_delay
    assert (busy.code(), delay.ToMilliseconds()) == (grpc.StatusCode.RESOURCE_EXHAUSTED, 1500)


def _detail(error: grpc.aio.AioRpcError, kind: type) -> error_details_pb2.ErrorInfo:
    for detail in rpc_status.from_call(cast(grpc.Call, error)).details:
        found = kind()
        if detail.Unpack(found):
            return found
    raise AssertionError(f"no {kind.__name__}")


async def test_a_fault_of_ours_gives_nothing_away(channel: grpc.aio.Channel, keys: Keys) -> None:
    error = await _fails(channel, keys.customer("alice"), "fault")
    assert (error.code(), error.details()) == (grpc.StatusCode.INTERNAL, "internal error")
    assert reason_of(error) == "INTERNAL"
    assert "1234" not in str(error)


async def test_a_request_that_cannot_be_read_is_told_so(
    channel: grpc.aio.Channel, keys: Keys
) -> None:
    token = bearer(keys.customer("alice"))
    get: Any = channel.unary_unary(f"/{SERVICE}/GetTrade")
    watch: Any = channel.unary_stream(f"/{SERVICE}/WatchTrades")
    place: Any = channel.stream_stream(f"/{SERVICE}/PlaceTrades")
    on_a_stream = place(metadata=token, timeout=30)
    for request in (b"", b"\xff"):
        await on_a_stream.write(request)
    assert await on_a_stream.read() == b"", "what came before is answered first"
    once = get(b"\xff", metadata=token, timeout=30)
    watched = watch(b"\xff", metadata=token, timeout=30)
    for call in (once, watched.read(), on_a_stream.read()):
        with pytest.raises(grpc.aio.AioRpcError) as failed:
            await call
        assert failed.value.code() is grpc.StatusCode.INVALID_ARGUMENT
        assert reason_of(failed.value) == "INVALID_REQUEST"


async def test_a_header_that_cannot_be_read_ends_the_call_it_came_with_and_no_other(
    server: RpcServer,
) -> None:
    """gRPC keeps it in its table, if it has one: behind the edge customers share connections."""
    host, _, port = server.address.rpartition(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    connection = Connection(reader, writer)
    check = "/grpc.health.v1.Health/Check"
    async with asyncio.timeout(30):
        await connection.begin()
        assert not await connection.is_answered(check, "grpc-timeout", "soon")
        assert await connection.is_answered(check, "grpc-timeout", "30S")
    writer.close()


async def test_a_stream_gives_its_messages_and_then_its_refusal(
    channel: grpc.aio.Channel, keys: Keys
) -> None:
    call = pb_grpc.OrderServiceStub(channel).WatchTrades(
        pb.WatchTradesRequest(), metadata=bearer(keys.customer("alice"))
    )
    seen = []
    with pytest.raises(grpc.aio.AioRpcError) as failed:
        async for response in call:
            seen.append(response.heartbeat.head_seq)  # noqa: PERF401 - what came before the end
    assert seen == [0, 1, 2]
    assert reason_of(failed.value) == "TRADE_NOT_FOUND"


async def test_a_stream_ends_with_the_token_it_was_opened_with(
    channel: grpc.aio.Channel, keys: Keys
) -> None:
    token = keys.signer.mint("alice", Role.CUSTOMER, seconds=1)
    call = pb_grpc.OrderServiceStub(channel).WatchTrades(
        pb.WatchTradesRequest(after_seq=SILENT), metadata=bearer(token), timeout=30
    )
    with pytest.raises(grpc.aio.AioRpcError) as ended:
        await call.read()
    assert ended.value.code() == grpc.StatusCode.UNAVAILABLE
    assert "the token of this stream is over" in str(ended.value.details())
    assert (await _fails(channel, token)).code() == grpc.StatusCode.UNAUTHENTICATED


async def test_health_tells_readiness_to_everybody(
    server: RpcServer, channel: grpc.aio.Channel
) -> None:
    health: Any = health_pb2_grpc.HealthStub(channel)

    async def status(name: str) -> int:
        response = await health.Check(health_pb2.HealthCheckRequest(service=name))
        return int(response.status)

    serving = health_pb2.HealthCheckResponse.SERVING
    not_serving = health_pb2.HealthCheckResponse.NOT_SERVING
    assert (await status("liveness"), await status(SERVICE)) == (serving, not_serving)
    await server.set_ready(True)
    assert (await status(""), await status(SERVICE)) == (serving, serving)


async def test_reflection_shows_operators_the_contracts_of_the_whole_house(
    channel: grpc.aio.Channel, keys: Keys
) -> None:
    stub: Any = reflection_pb2_grpc.ServerReflectionStub(cast(Any, channel))
    ask = reflection_pb2.ServerReflectionRequest(list_services="")
    call = stub.ServerReflectionInfo(iter([ask]), metadata=bearer(keys.operator()))
    answers = [answer async for answer in call]
    names = {service.name for service in answers[0].list_services_response.service}
    assert {SERVICE, "stockbroker.ledger.v1.PortfolioService"} <= names
    with pytest.raises(grpc.aio.AioRpcError) as failed:
        # Asks nothing: a question under way when the refusal comes would hide its code (grpc.aio).
        customer = bearer(keys.customer("alice"))
        async for _ in stub.ServerReflectionInfo(metadata=customer):
            raise AssertionError("a customer saw the contracts")
    assert failed.value.code() is grpc.StatusCode.PERMISSION_DENIED


async def test_a_service_calls_with_its_token_and_notices_a_new_one(keys: Keys) -> None:
    server = RpcServer(
        listen="127.0.0.1:0",
        allow={f"/{SERVICE}/GetTrade": frozenset({Role.SERVICE})},
        verifier=Verifier(keys.jwks_file),
    )
    pb_grpc.add_OrderServiceServicer_to_server(_Orders(), server.server)
    await server.start()
    file = keys.token_file("execution")
    async with connect(server.address, file) as channel:
        stub = pb_grpc.OrderServiceStub(channel)
        first = await stub.GetTrade(pb.GetTradeRequest(trade_id="x"))
        assert first.trade.customer_id == "execution"
        keys.write_token(Path(file), "ledger")
        second = await stub.GetTrade(pb.GetTradeRequest(trade_id="x"))
        assert second.trade.customer_id == "ledger"
        await asyncio.to_thread(Path(file).unlink)
        third = await stub.GetTrade(pb.GetTradeRequest(trade_id="x"))
        assert third.trade.customer_id == "ledger", "it has that one, whatever became of the file"
    await server.stop(0)


async def test_a_service_tells_when_the_token_it_calls_by_runs_out(keys: Keys) -> None:
    file = Path(keys.token_file("execution"))
    for token, at in ((keys.service("execution", 3600), time.time() + 3600), ("none", 0.0)):
        await asyncio.to_thread(file.write_text, token)
        async with connect("127.0.0.1:1", file) as channel:
            with pytest.raises(grpc.aio.AioRpcError):
                await pb_grpc.OrderServiceStub(channel).GetTrade(pb.GetTradeRequest())
        told = REGISTRY.get_sample_value("service_token_expires_at_seconds")
        assert told == pytest.approx(at, abs=10)


async def test_a_neighbour_that_comes_back_with_another_address_is_found_within_seconds(
    keys: Keys,
) -> None:
    before = _server(keys, listen="127.0.0.2:0")
    await before.start()
    after = _server(keys, listen=f"127.0.0.3:{before.port}")
    async with Names("127.0.0.2") as names:
        address = f"dns://127.0.0.1:{names.port}/neighbour.test:{before.port}"
        channel = connect(address, keys.token_file("ledger"))
        check = health_pb2_grpc.HealthStub(channel).Check  # type: ignore[attr-defined]

        async def answers() -> bool:
            try:
                await check(health_pb2.HealthCheckRequest(service="liveness"), timeout=5)
            except grpc.aio.AioRpcError:
                return False
            return True

        assert await answers()
        names.address = ""
        await before.stop(0)
        assert not await answers()
        names.address = "127.0.0.3"
        await after.start()
        await until(answers, seconds=10, what="it is found at its new address")
        await channel.close()
    await after.stop(0)
