"""What a call to the venue comes to."""

import asyncio
from typing import Any

import grpc

from libs.tasks import is_cancelled
from services.exchange_gateway.venues import VenueAway


async def answer_of(call: Any) -> Any:
    """What a call gives. Raises VenueAway, also when a newer logon closed the channel under it."""
    try:
        answer = await call
    except grpc.aio.AioRpcError as error:
        raise VenueAway(words_of(error)) from error
    except asyncio.CancelledError:
        if is_cancelled():
            raise
        raise VenueAway("a newer logon took the place of the connection") from None
    if answer is None:  # so gRPC gives what it could not decode
        raise VenueAway("an answer of the exchange cannot be read")
    return answer


def words_of(error: grpc.aio.AioRpcError) -> str:
    return f"{error.code().name}: {error.details()}"
