"""Waiting for a condition, with a limit."""

import asyncio
import inspect
import time
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar, overload

Found = TypeVar("Found")


@overload
async def until(
    look: Callable[[], Awaitable[Found]], *, seconds: float = 60.0, what: str = ""
) -> Found: ...


@overload
async def until(look: Callable[[], Found], *, seconds: float = 60.0, what: str = "") -> Found: ...


async def until(look: Callable[[], Any], *, seconds: float = 60.0, what: str = "") -> Any:
    """The first truthy answer of `look`, plain or awaited. AssertionError after `seconds`."""
    deadline = time.monotonic() + seconds
    while True:
        found = look()
        if inspect.isawaitable(found):
            found = await found
        if found:
            return found
        if time.monotonic() > deadline:
            raise AssertionError(
                f"not within {seconds} s: {what or inspect.getsource(look).strip()}"
            )
        await asyncio.sleep(0.01)
