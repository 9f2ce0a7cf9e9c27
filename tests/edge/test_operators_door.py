"""What operators meet at theirs."""

from typing import Any

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2

from stockbroker.exchange.v1 import exchange_service_pb2 as exchange_pb
from stockbroker.exchange.v1 import exchange_service_pb2_grpc as exchange_grpc
from tests.support.keys import Keys, bearer


async def test_operators_reach_what_customers_do_not(
    operators: grpc.aio.Channel, keys: Keys
) -> None:
    market: Any = exchange_grpc.ExchangeServiceStub(operators)
    await market.GetOrder(
        exchange_pb.GetOrderRequest(), metadata=bearer(keys.operator()), timeout=30
    )


async def test_a_customers_token_does_not_open_it(operators: grpc.aio.Channel, keys: Keys) -> None:
    market: Any = exchange_grpc.ExchangeServiceStub(operators)
    for token in (keys.customer("alice"), keys.service("order")):
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await market.GetOrder(exchange_pb.GetOrderRequest(), metadata=bearer(token), timeout=30)
        assert refused.value.code() == grpc.StatusCode.PERMISSION_DENIED


@pytest.mark.parametrize("version", ["v1", "v1alpha"])
async def test_reflection_tells_the_contracts_of_the_whole_house(
    operators: grpc.aio.Channel, keys: Keys, version: str
) -> None:
    reflect = operators.stream_stream(
        f"/grpc.reflection.{version}.ServerReflection/ServerReflectionInfo",
        request_serializer=reflection_pb2.ServerReflectionRequest.SerializeToString,
        response_deserializer=reflection_pb2.ServerReflectionResponse.FromString,
    )
    asked = reflection_pb2.ServerReflectionRequest(list_services="")
    call = reflect(iter([asked]), metadata=bearer(keys.operator()), timeout=30)
    answers = [answer async for answer in call]
    names = {service.name for service in answers[0].list_services_response.service}
    assert "stockbroker.order.v1.OrderService" in names
    assert "stockbroker.ledger.v1.LedgerService" in names


async def test_health_of_each_service_is_asked_by_its_name_without_a_token(
    operators: grpc.aio.Channel,
) -> None:
    health: Any = health_pb2_grpc.HealthStub(operators)
    for service in ("order", "ledger", "execution", "gateway", "exchange"):
        answer = await health.Check(
            health_pb2.HealthCheckRequest(), metadata=(("x-service", service),), timeout=30
        )
        assert answer.status == health_pb2.HealthCheckResponse.SERVING
