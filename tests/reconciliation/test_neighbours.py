"""What reconciliation asks of its neighbours while an operator waits."""

import asyncio

import grpc
import pytest

from services.reconciliation.neighbours import Away, GatewayReader

_OPERATOR_WAITS_SECONDS = 2.0  # `stockbroker status`


async def test_an_operator_is_answered_although_the_gateway_stands_still() -> None:
    async with await asyncio.start_server(lambda _reader, _writer: None, "127.0.0.1", 0) as still:
        port = still.sockets[0].getsockname()[1]
        async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
            async with asyncio.timeout(_OPERATOR_WAITS_SECONDS):
                with pytest.raises(Away):
                    await GatewayReader(channel).in_doubt_and_parked()
