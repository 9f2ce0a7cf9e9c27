import asyncio
import contextvars

import pytest

from libs.batcher import Batcher, Pace
from libs.refusals import NotFound, Refusal, Throttled, Unavailable
from stockbroker.common.v1.reason_pb2 import Reason


async def test_what_arrives_while_a_batch_is_in_flight_is_the_next_batch() -> None:
    batches: list[list[int]] = []
    gate = asyncio.Event()

    async def handle(items: list[int]) -> list[int]:
        batches.append(items)
        await gate.wait()
        return [item * 10 for item in items]

    batcher = Batcher(handle)
    first = asyncio.create_task(batcher.submit(1))
    while not batches:
        await asyncio.sleep(0)
    rest = [asyncio.create_task(batcher.submit(item)) for item in (2, 3, 4)]
    while batcher.queued < 3:
        await asyncio.sleep(0)
    gate.set()
    assert await asyncio.gather(first, *rest) == [10, 20, 30, 40]
    assert batches == [[1], [2, 3, 4]]


async def test_a_batch_never_grows_beyond_its_bound() -> None:
    sizes: list[int] = []

    async def handle(items: list[int]) -> list[int]:
        sizes.append(len(items))
        return items

    batcher = Batcher(handle, max_items=4)
    assert await batcher.submit_all(list(range(10))) == list(range(10))
    assert sizes == [4, 4, 2]


async def test_one_poison_item_fails_alone() -> None:
    async def handle(items: list[int]) -> list[int]:
        if 3 in items:
            raise ValueError("poison")
        return items

    batcher = Batcher(handle)
    results = await asyncio.gather(*map(batcher.submit, range(5)), return_exceptions=True)
    assert [isinstance(result, ValueError) for result in results] == [False] * 3 + [True, False]


async def test_who_gets_no_result_is_told_so_and_waits_for_nothing() -> None:
    async def handle(items: list[int]) -> list[int]:
        return [item for item in items if item != 3]

    batcher = Batcher(handle)
    results = await asyncio.gather(*map(batcher.submit, range(5)), return_exceptions=True)
    assert [isinstance(result, AssertionError) for result in results] == [False] * 3 + [True, False]


async def test_who_waits_for_a_call_that_was_cut_off_is_told_so_and_others_go_on() -> None:
    async def handle(items: list[int]) -> list[int]:
        if 3 in items:
            raise asyncio.CancelledError  # as gRPC does where a channel is closed under a call
        return items

    batcher = Batcher(handle)
    told = await asyncio.gather(*map(batcher.submit, (2, 3)), return_exceptions=True)
    assert [type(each) for each in told] == [Unavailable, Unavailable]
    assert await batcher.submit(1) == 1
    await batcher.close()


async def test_a_refusal_among_the_results_reaches_its_submitter_alone() -> None:
    async def handle(items: list[int]) -> list[int | Refusal]:
        refusal = NotFound(Reason.REASON_TRADE_NOT_FOUND, "no")
        return [refusal if item == 1 else item for item in items]

    batcher: Batcher[int, int] = Batcher(handle)
    first, second = await asyncio.gather(
        batcher.submit(0), batcher.submit(1), return_exceptions=True
    )
    assert first == 0
    assert isinstance(second, NotFound)


async def test_beyond_its_bound_it_says_come_back_later() -> None:
    gate = asyncio.Event()

    async def handle(items: list[int]) -> list[int]:
        await gate.wait()
        return items

    batcher = Batcher(handle, max_items=1, max_queued=2)
    waiting = [asyncio.create_task(batcher.submit(0))]
    for _ in range(5):  # the first is in flight, none is queued
        await asyncio.sleep(0)
    waiting += [asyncio.create_task(batcher.submit(item)) for item in (1, 2)]
    while batcher.queued < 2:
        await asyncio.sleep(0)
    with pytest.raises(Throttled) as refused:
        await batcher.submit(9)
    assert refused.value.retry_after_seconds
    gate.set()
    assert await asyncio.gather(*waiting) == [0, 1, 2]


async def test_close_finishes_what_is_queued_and_takes_nothing_new() -> None:
    async def handle(items: list[int]) -> list[int]:
        await asyncio.sleep(0)
        return items

    batcher = Batcher(handle, max_items=1)
    waiting = [asyncio.create_task(batcher.submit(item)) for item in range(3)]
    await asyncio.sleep(0)
    await batcher.close()
    assert [task.result() for task in waiting] == [0, 1, 2]
    with pytest.raises(Throttled):
        await batcher.submit(4)


async def test_who_waits_no_more_for_its_close_leaves_the_work_to_its_end() -> None:
    gate = asyncio.Event()

    async def handle(items: list[int]) -> list[int]:
        await gate.wait()
        return items

    batcher = Batcher(handle)
    work = asyncio.create_task(batcher.submit(1))
    await asyncio.sleep(0)
    closing = asyncio.create_task(batcher.close())
    await asyncio.sleep(0)
    closing.cancel()
    await asyncio.wait([closing])
    assert closing.cancelled()
    gate.set()
    assert await work == 1
    await batcher.close()


async def test_a_submitter_that_goes_away_does_not_disturb_the_others() -> None:
    gate = asyncio.Event()

    async def handle(items: list[int]) -> list[int]:
        await gate.wait()
        return items

    batcher = Batcher(handle)
    gone, stays = (asyncio.create_task(batcher.submit(item)) for item in (1, 2))
    await asyncio.sleep(0)
    gone.cancel()
    gate.set()
    assert await stays == 2


async def test_a_batch_bears_the_mark_of_no_submitter() -> None:
    mark: contextvars.ContextVar[str] = contextvars.ContextVar("mark", default="nobody's")
    seen: list[str] = []

    async def handle(items: list[int]) -> list[int]:
        seen.append(mark.get())
        return items

    batcher = Batcher(handle)

    async def submit() -> None:
        mark.set("a submitter's")
        await batcher.submit(1)

    await asyncio.create_task(submit())
    assert seen == ["nobody's"]


async def test_the_first_item_waits_for_nobody_however_long_batches_may_linger() -> None:
    async def handle(items: list[int]) -> list[int]:
        return items

    assert await Batcher(handle, linger_seconds=3600).submit(1) == 1


def test_the_pace_follows_what_comes_and_forgets_it_when_it_is_quiet() -> None:
    pace = Pace()
    for second in range(3):
        pace.note(1, float(second))
    assert pace.within(0.005) < 1
    for tick in range(10):
        pace.note(20, 2.0 + tick / 100)
    assert pace.within(0.005) > 3
    pace.note(1, 10.0)
    assert pace.within(0.005) < 1


async def test_while_many_come_a_batch_takes_those_along_that_come_a_moment_later() -> None:
    batches: list[list[int]] = []

    async def handle(items: list[int]) -> list[int]:
        batches.append(items)
        return items

    batcher = Batcher(handle, linger_seconds=0.2, max_items=50)
    for _ in range(4):
        await batcher.submit_all(list(range(50)))
    first = asyncio.create_task(batcher.submit(1))
    for _ in range(5):
        await asyncio.sleep(0)
    second = asyncio.create_task(batcher.submit(2))
    await asyncio.gather(first, second)
    assert batches[-1] == [1, 2]


async def test_what_has_queued_behind_a_slow_batch_waits_for_those_that_come_after() -> None:
    batches: list[list[int]] = []

    async def handle(items: list[int]) -> list[int]:
        batches.append(items)
        await asyncio.sleep(0.1)
        return items

    batcher = Batcher(handle, linger_seconds=0.001)
    first = asyncio.create_task(batcher.submit(1))
    while not batches:
        await asyncio.sleep(0)
    second = asyncio.create_task(batcher.submit(2))
    await first
    third = asyncio.create_task(batcher.submit(3))
    await asyncio.gather(second, third)
    assert batches == [[1], [2, 3]]
