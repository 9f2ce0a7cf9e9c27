"""Requests under way several at a time, answered in order."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from libs.rpc.window import in_order


async def _numbers(count: int) -> AsyncIterator[int]:
    for number in range(count):
        yield number


async def test_answers_come_in_the_order_of_the_requests_whichever_is_done_first() -> None:
    gates = [asyncio.Event() for _ in range(3)]

    async def work(number: int) -> int:
        await gates[number].wait()
        if number:
            gates[number - 1].set()
        return number

    async def begin(number: int) -> asyncio.Task[int]:
        return asyncio.create_task(work(number))

    gates[2].set()
    assert [answer async for answer in in_order(_numbers(3), begin, at_once=3)] == [0, 1, 2]


async def test_no_more_are_begun_than_may_be_under_way() -> None:
    under_way, most = 0, 0

    async def work() -> None:
        nonlocal under_way
        await asyncio.sleep(0)
        under_way -= 1

    async def begin(_: int) -> asyncio.Task[None]:
        nonlocal under_way, most
        under_way += 1
        most = max(most, under_way)
        return asyncio.create_task(work())

    assert len([each async for each in in_order(_numbers(20), begin, at_once=4)]) == 20
    assert most == 4


async def test_what_was_begun_is_answered_before_a_fault_ends_it() -> None:
    async def work(number: int) -> int:
        await asyncio.sleep(0)
        return number

    async def begin(number: int) -> asyncio.Task[int]:
        if number == 2:
            raise ValueError("two")
        return asyncio.create_task(work(number))

    heard = []
    with pytest.raises(ValueError, match="two"):
        async for answer in in_order(_numbers(5), begin, at_once=4):
            heard.append(answer)  # noqa: PERF401
    assert heard == [0, 1]


async def test_who_goes_away_leaves_nothing_running() -> None:
    async def begin(_: int) -> asyncio.Task[bool]:
        return asyncio.create_task(asyncio.Event().wait())

    before = asyncio.all_tasks()
    listening = asyncio.create_task(anext(in_order(_numbers(5), begin, at_once=2)))
    await asyncio.sleep(0)
    listening.cancel()
    with pytest.raises(asyncio.CancelledError):
        await listening
    assert asyncio.all_tasks() == before
