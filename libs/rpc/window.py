"""Requests of a stream under way several at a time, answered in the order they came."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterable, Awaitable, Callable
from typing import TypeVar

from libs.tasks import end

Request = TypeVar("Request")
Answer = TypeVar("Answer")


async def in_order(
    requests: AsyncIterable[Request],
    begin: Callable[[Request], Awaitable["asyncio.Task[Answer]"]],
    *,
    at_once: int,
) -> AsyncGenerator[Answer, None]:
    """The answers, in the order of the requests.

    `begin` is awaited for one request after the other, and starts the work on it. While `at_once`
    are unanswered no request is read, which holds up the sender. What `begin` or the reading
    raises is raised once everything begun before is answered.
    """
    room = asyncio.Semaphore(at_once)
    begun: asyncio.Queue[asyncio.Task[Answer] | None] = asyncio.Queue()

    async def read() -> None:
        try:
            async for request in requests:
                await room.acquire()
                begun.put_nowait(await begin(request))
        finally:
            begun.put_nowait(None)

    reading = asyncio.create_task(read())
    try:
        while (task := await begun.get()) is not None:
            yield await task
            room.release()
        await reading
    finally:
        left = [begun.get_nowait() for _ in range(begun.qsize())]
        await end(reading, *left)
