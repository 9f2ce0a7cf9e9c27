"""Waiting for a condition, with a limit."""

import asyncio
import inspect
import time
from collections.abc import Awaitable, Callable
from typing import TypeVar, cast

Found = TypeVar("Found")


async def until(
    look: Callable[[], Awaitable[Found]] | Callable[[], Found],
    *,
    seconds: float = 10.0,
    what: str = "",
) -> Found:
    """The first truthy answer of `look`, plain or awaited. AssertionError after `seconds`."""
    deadline = time.monotonic() + seconds
    while True:
        answer = look()
        found = await answer if inspect.isawaitable(answer) else answer
        if found:
            return cast(Found, found)
        if time.monotonic() > deadline:
            raise AssertionError(
                f"not within {seconds} s: {what or inspect.getsource(look).strip()}"
            )
        await asyncio.sleep(0.01)
