"""Ending background tasks."""

import asyncio
from typing import Any

# Longer than what a task may tidy up when it is cancelled.
_AGAIN_SECONDS = 3.0


async def end(*tasks: asyncio.Task[Any] | None, again_seconds: float = _AGAIN_SECONDS) -> None:
    """Cancel the tasks and wait until all of them are done, whatever they end with.

    Asks again every `again_seconds` as long as need be: on Python 3.11 `asyncio.wait_for`, and with
    it many a library, forgets a cancellation that comes in the same moment as what it waits for.
    Who is cancelled meanwhile, is so once the tasks are done: none is left behind.
    """
    left = {task for task in tasks if task is not None}
    cancelled: asyncio.CancelledError | None = None
    while left:
        for task in left:
            task.cancel()
        try:
            await asyncio.wait(left, timeout=again_seconds)
        except asyncio.CancelledError as told:
            cancelled = told
        left = {task for task in left if not task.done()}
    if cancelled is not None:
        raise cancelled


def is_cancelled() -> bool:
    """Whether somebody cancelled the task in progress.

    A CancelledError without that is no wish of anybody's: gRPC raises it in calls whose channel was
    closed under them.
    """
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0
