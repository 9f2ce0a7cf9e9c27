import asyncio
from collections.abc import Sequence

import pytest

from libs.ahead import AheadBatcher
from libs.refusals import Throttled

Sums = tuple[list[int], int]  # items, and what they add up to with all before them


class Sum:
    """Tells each item what it and all items before it add up to."""

    def __init__(self) -> None:
        self.kept = 0
        self.made_ready: list[tuple[list[int], bool]] = []  # whether ahead of another batch
        self.handled: list[list[int]] = []
        self.may_keep = asyncio.Event()
        self.refuses: set[int] = set()
        self.batcher: AheadBatcher[int, int, Sums] = AheadBatcher(
            self.handle, prepare=self.prepare, keep=self.keep, max_items=2, max_queued=100
        )

    async def prepare(self, items: list[int], before: Sums | None) -> Sums:
        self.made_ready.append((items, before is not None))
        await asyncio.sleep(0)
        if 99 in items:
            raise ValueError("cannot be made ready")
        return items, (before[1] if before is not None else self.kept) + sum(items)

    async def keep(self, ready: Sums) -> Sequence[int]:
        await self.may_keep.wait()
        items, total = ready
        if self.refuses.intersection(items):
            raise ConnectionError("not kept")
        return self.add(items, total)

    async def handle(self, items: list[int]) -> Sequence[int]:
        self.handled.append(items)
        await asyncio.sleep(0)
        return self.add(items, self.kept + sum(items))

    def add(self, items: list[int], total: int) -> list[int]:
        assert total == self.kept + sum(items), "kept on what did not come about"
        self.kept = total
        return [total - sum(items[place + 1 :]) for place in range(len(items))]


async def test_a_batch_is_made_ready_while_the_one_before_is_kept() -> None:
    sums = Sum()
    waiting = asyncio.create_task(sums.batcher.submit_all([1, 2, 3, 4, 5]))
    while len(sums.made_ready) < 2:
        await asyncio.sleep(0)
    assert sums.kept == 0
    sums.may_keep.set()
    assert await waiting == [1, 3, 6, 10, 15]
    assert sums.made_ready == [([1, 2], False), ([3, 4], True), ([5], True)]
    assert sums.handled == []


async def test_no_more_than_one_batch_is_made_ready_ahead() -> None:
    sums = Sum()
    waiting = asyncio.create_task(sums.batcher.submit_all([1, 2, 3, 4, 5]))
    for _ in range(50):
        await asyncio.sleep(0)
    assert [items for items, _ in sums.made_ready] == [[1, 2], [3, 4]]
    assert sums.batcher.queued == 1
    sums.may_keep.set()
    await waiting


async def test_nobody_is_answered_before_what_was_said_is_kept() -> None:
    sums = Sum()
    waiting = asyncio.create_task(sums.batcher.submit(1))
    for _ in range(50):
        await asyncio.sleep(0)
    assert not waiting.done()
    sums.may_keep.set()
    assert await waiting == 1


@pytest.mark.parametrize("fault", [1, 3, 5, 7])
async def test_what_was_made_ready_on_a_batch_that_is_not_kept_is_void(fault: int) -> None:
    sums = Sum()
    sums.refuses = {fault}
    sums.may_keep.set()
    assert await sums.batcher.submit_all([1, 2, 3, 4, 5, 6, 7, 8]) == [1, 3, 6, 10, 15, 21, 28, 36]
    first = [fault, fault + 1]
    assert sums.handled in ([first], [first, [fault + 2, fault + 3]])


async def test_what_cannot_be_made_ready_is_handled_in_its_turn() -> None:
    sums = Sum()
    sums.may_keep.set()
    assert await sums.batcher.submit_all([1, 2, 99, 4, 5]) == [1, 3, 102, 106, 111]
    assert sums.handled == [[99, 4]]
    assert sums.made_ready[-1] == ([5], False)


async def test_after_a_pause_a_batch_is_made_ready_on_what_is_kept() -> None:
    sums = Sum()
    sums.may_keep.set()
    assert await sums.batcher.submit(1) == 1
    sums.kept = 10  # by another
    assert await sums.batcher.submit(1) == 11
    assert sums.handled == []


async def test_close_waits_for_the_batch_that_is_being_kept() -> None:
    sums = Sum()
    waiting = asyncio.create_task(sums.batcher.submit_all([1, 2, 3]))
    while len(sums.made_ready) < 2:
        await asyncio.sleep(0)
    closing = asyncio.create_task(sums.batcher.close())
    await asyncio.sleep(0)
    assert not closing.done()
    sums.may_keep.set()
    await closing
    assert waiting.done() or await waiting
    assert sums.kept == 6
    with pytest.raises(Throttled):
        await sums.batcher.submit(4)
