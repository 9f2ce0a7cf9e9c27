"""Runs the parts of something that lives and dies as one."""

import asyncio
from collections.abc import Coroutine
from typing import Any

from libs.tasks import end


async def together(*parts: Coroutine[Any, Any, None]) -> None:
    """Run all parts until the first ends or fails, end the others, and raise what it failed by.

    Unlike a TaskGroup of Python 3.11 and 3.12 it never forgets that it was told to end itself, not
    even when a part fails in that very moment.
    """
    tasks = [asyncio.create_task(part) for part in parts]
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        ended = [task for task in tasks if task.done()]
        await end(*tasks)
    for task in (*ended, *tasks):
        error = None if task.cancelled() else task.exception()
        if error is not None:
            raise error
