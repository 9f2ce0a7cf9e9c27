import asyncio
import contextlib

from libs.tasks import end


async def test_a_task_that_forgets_a_cancellation_is_asked_again() -> None:
    forgotten = 0

    async def forgetful() -> None:
        nonlocal forgotten
        while True:
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                forgotten += 1
                if forgotten == 2:
                    raise

    async def failing() -> None:
        raise ZeroDivisionError

    tasks = [asyncio.create_task(forgetful()), asyncio.create_task(failing())]
    await asyncio.sleep(0)
    async with asyncio.timeout(5):
        await end(*tasks, None, again_seconds=0.05)
    assert all(task.done() for task in tasks)
    assert forgotten == 2
    assert isinstance(tasks[1].exception(), ZeroDivisionError)


async def test_who_is_cancelled_while_ending_tasks_leaves_none_behind() -> None:
    may_end = asyncio.Event()

    async def tidying() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            while not may_end.is_set():
                with contextlib.suppress(asyncio.CancelledError):
                    await may_end.wait()

    task = asyncio.create_task(tidying())
    await asyncio.sleep(0)
    ending = asyncio.create_task(end(task))
    await asyncio.sleep(0)
    ending.cancel()
    done, _ = await asyncio.wait([ending], timeout=0.05)
    assert not done
    may_end.set()
    async with asyncio.timeout(5):
        await asyncio.wait([ending])
    assert task.done()
    assert ending.cancelled()
