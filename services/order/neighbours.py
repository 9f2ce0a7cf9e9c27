"""The neighbours this service calls."""

from typing import Any

import grpc

from libs.reasons import Reason
from libs.refusals import Unavailable
from services.order.domain.instrument import Instrument
from stockbroker.exchange_gateway.v1 import exchange_gateway_service_pb2 as pb
from stockbroker.exchange_gateway.v1.exchange_gateway_service_pb2_grpc import (
    ExchangeGatewayServiceStub,
)

_TIMEOUT_SECONDS = 2.0


class Gateway:
    """ExchangeGatewayService, as far as this service needs it."""

    def __init__(self, channel: grpc.aio.Channel) -> None:
        self._stub: Any = ExchangeGatewayServiceStub(channel)

    async def list_instruments(self) -> list[Instrument]:
        """What can be traded. Raises Unavailable when the gateway does not answer."""
        try:
            answer = await self._stub.ListInstruments(
                pb.ListInstrumentsRequest(), timeout=_TIMEOUT_SECONDS
            )
        except grpc.aio.AioRpcError as error:
            raise Unavailable(
                Reason.REASON_UNAVAILABLE, f"the exchange gateway: {error.code().name}"
            ) from error
        return [Instrument(each.symbol, each.name, each.is_tradable) for each in answer.instruments]
