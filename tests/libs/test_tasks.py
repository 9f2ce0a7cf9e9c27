import asyncio

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
