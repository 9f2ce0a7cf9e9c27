"""Raw JetStream: messages published and taken a second, kept on disk, by one client of each."""

import asyncio
import time

import nats
from nats.js.api import ConsumerConfig, StreamConfig

from bench.report import Row
from libs.embedded import Nats

_SUBJECT, _STREAM = "bench.nudge", "BENCH"
_AT_ONCE, _PULLED = 200, 100
_MESSAGE = b"customer-000001"
_PATIENCE_SECONDS = 30.0


async def row(server: Nats, seconds: float) -> Row:
    """A window of publishes under way, and pulls of many beside it, each acknowledged."""
    publisher, taker = await nats.connect(server.url), await nats.connect(server.url)
    streams = publisher.jetstream(publish_async_max_pending=_AT_ONCE)
    await streams.add_stream(StreamConfig(name=_STREAM, subjects=[_SUBJECT]))
    config = ConsumerConfig(max_ack_pending=10 * _PULLED)
    pulls = await taker.jetstream().pull_subscribe(_SUBJECT, durable="bench", config=config)
    began, sent, taken = time.perf_counter(), 0, 0
    is_over = False

    async def take() -> None:
        nonlocal taken
        while not is_over or taken < sent:
            for message in await pulls.fetch(_PULLED, timeout=_PATIENCE_SECONDS):
                await message.ack()
                taken += 1

    taking = asyncio.create_task(take())
    while time.perf_counter() < began + seconds:
        answers = [await streams.publish_async(_SUBJECT, _MESSAGE) for _ in range(_AT_ONCE)]
        sent += len(answers)
        await asyncio.gather(*answers)
    is_over = True
    await taking
    took = time.perf_counter() - began
    await streams.delete_stream(_STREAM)
    await publisher.close()
    await taker.close()
    note = f"{_AT_ONCE} publishes under way, pulls of {_PULLED}, kept in files"
    return Row(name="JetStream, published and taken", value=taken / took, unit="1/s", note=note)
