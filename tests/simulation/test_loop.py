"""The loop of virtual time: nothing in it waits for what is real."""

import asyncio
import random
import threading

import pytest

from simulation.loop import SeededLoop


def test_what_is_given_to_a_thread_is_done_at_once_and_by_none() -> None:
    def fail() -> None:
        raise ZeroDivisionError

    async def work() -> threading.Thread:
        with pytest.raises(ZeroDivisionError):
            await asyncio.to_thread(fail)
        return await asyncio.to_thread(threading.current_thread)

    loop = SeededLoop(random.Random(1))
    try:
        assert loop.run_until_complete(work()) is threading.main_thread()
        assert loop.time() == 0.0
    finally:
        loop.close()
