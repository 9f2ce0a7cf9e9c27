"""What a firm's back-end places trades with, against a door that answers as each test wants."""

import asyncio

import grpc
import pytest

from libs.backend import InDoubt, NotPlaced, backend
from libs.refusals import Denied, Refusal, Unauthenticated
from stockbroker.common.v1.reason_pb2 import Reason
from stockbroker.order.v1 import order_service_pb2 as pb
from tests.libs.back_end_door import (
    AWAY,
    Item,
    Result,
    always,
    answers_after,
    as_placed,
    as_refused,
    buy,
    doors,
    ends,
    leap,
    overloaded,
    placed,
    then,
)


@pytest.fixture(autouse=True)
def _no_hurry(monkeypatch: pytest.MonkeyPatch) -> None:
    """However slow the machine is: an answer that comes is waited for."""
    monkeypatch.setattr(backend, "_ANSWER_SECONDS", 300.0)


async def test_what_is_placed_together_goes_together_and_each_gets_its_own_answer() -> None:
    async with doors() as (firm, door):
        names = [(f"c{number}", f"o{number}") for number in range(300)]
        answers = await asyncio.gather(*(firm.place(c, buy(o)) for c, o in names))

    assert [answer.trade_id for answer in answers] == [f"{c}/{o}" for c, o in names]
    assert len(door.batches) <= 8
    assert door.tokens == ["Bearer T1"]


async def test_one_customers_trades_are_read_in_the_order_of_the_calls() -> None:
    async with doors() as (firm, door):
        ids = [f"o{number}" for number in range(1000)]
        await asyncio.gather(*(firm.place("carol", buy(each)) for each in ids))

    assert door.read == ids
    assert len(door.batches) > 1


async def test_a_refused_trade_is_told_why_and_its_neighbours_are_placed() -> None:
    async def answer(items: list[Item]) -> list[Result]:
        refused = as_refused(
            Reason.REASON_INVALID_QUANTITY,
            grpc.StatusCode.INVALID_ARGUMENT,
            text="must be 1 or more",
            field="quantity",
        )
        return [as_placed(each) if each.trade.quantity else refused for each in items]

    async with doors() as (firm, door):
        door.answer = answer
        good, bad = await asyncio.gather(
            firm.place("carol", buy("good")),
            firm.place("carol", buy("bad", quantity=0)),
            return_exceptions=True,
        )

    assert isinstance(good, pb.PlaceTradesResponse.Placed)
    assert isinstance(bad, NotPlaced)
    assert (bad.code, bad.reason, bad.field) == (
        grpc.StatusCode.INVALID_ARGUMENT,
        "INVALID_QUANTITY",
        "quantity",
    )
    assert door.read.count("bad") == 1


async def test_a_trade_without_an_id_gets_one_and_is_repeated_under_it() -> None:
    async with doors() as (firm, door):
        door.answer = then(ends(AWAY), placed)
        request = buy()
        answer = await firm.place("carol", request)

    first, again = door.read
    assert first == again == answer.client_order_id != ""
    assert not request.client_order_id


async def test_who_is_told_to_come_back_does_so_and_not_sooner() -> None:
    async with doors() as (firm, door):
        door.answer = then(always(overloaded(0.3)), placed)
        began = asyncio.get_running_loop().time()
        await firm.place("carol", buy("o1"))
        took = asyncio.get_running_loop().time() - began

    assert door.read == ["o1", "o1"]
    assert took >= 0.3


async def test_nobody_waits_for_a_moment_that_is_too_late() -> None:
    async with doors() as (firm, door):
        door.answer = always(overloaded(3600))
        with pytest.raises(NotPlaced) as refused:
            await firm.place("carol", buy("o1"))

    assert (refused.value.reason, refused.value.retry_after_seconds) == ("OVERLOADED", 3600)
    assert door.read == ["o1"]


async def test_what_is_not_answered_before_patience_ends_is_in_doubt(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def at_last(items: list[Item]) -> list[Result]:
        leap(monkeypatch, 600)
        raise AWAY

    async with doors() as (firm, door):
        door.answer = then(ends(AWAY), ends(AWAY), at_last)
        with pytest.raises(InDoubt) as doubt:
            await firm.place("carol", buy("o1"))
        assert door.read == ["o1"] * 3

        door.answer = placed
        answer = await firm.place("carol", buy(doubt.value.client_order_id))

    assert answer.trade_id == "carol/o1"


async def test_what_was_sent_and_not_answered_is_in_doubt_and_what_was_not_sent_is_not(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(backend, "_ANSWER_SECONDS", 6000.0)
    may_answer = asyncio.Event()
    async with doors() as (firm, door):
        door.answer = answers_after(may_answer)
        sent = asyncio.create_task(firm.place("carol", buy("o1")))
        while not door.read:
            await asyncio.sleep(0)
        queued = asyncio.create_task(firm.place("carol", buy("o2")))
        await asyncio.sleep(0)
        leap(monkeypatch, 600)
        with pytest.raises(InDoubt):
            await sent
        with pytest.raises(NotPlaced) as not_sent:
            await queued
        may_answer.set()

    assert type(not_sent.value) is NotPlaced
    assert not_sent.value.reason == "UNAVAILABLE"
    assert door.read == ["o1"]


async def test_a_refusal_after_an_attempt_without_an_answer_leaves_it_in_doubt() -> None:
    async with doors() as (firm, door):
        door.answer = then(ends(AWAY), always(overloaded(3600)))
        with pytest.raises(InDoubt):
            await firm.place("carol", buy("o1"))


async def test_an_item_whose_fate_the_house_does_not_know_is_sent_again() -> None:
    unknown = as_refused(Reason.REASON_INTERNAL, grpc.StatusCode.INTERNAL, text="internal error")
    async with doors() as (firm, door):
        door.answer = then(always(unknown), placed)
        await firm.place("carol", buy("o1"))

    assert door.read == ["o1", "o1"]


async def test_a_silent_stream_is_left_for_another(monkeypatch: pytest.MonkeyPatch) -> None:
    async def silence(items: list[Item]) -> list[Result]:
        leap(monkeypatch, backend._ANSWER_SECONDS)
        return await answers_after(asyncio.Event())(items)

    async with doors() as (firm, door):
        door.answer = then(silence, placed)
        answer = await firm.place("carol", buy("o1"))

    assert answer.trade_id == "carol/o1"
    assert door.tokens[:2] == ["Bearer T1", "Bearer T2"]


async def test_a_token_that_is_over_is_replaced() -> None:
    over = Unauthenticated(Reason.REASON_UNAUTHENTICATED, "the token has expired")
    async with doors() as (firm, door):
        door.answer = then(placed, ends(over), placed)
        await firm.place("carol", buy("o1"))
        await firm.place("carol", buy("o2"))

    assert door.tokens == ["Bearer T1", "Bearer T2"]
    assert door.read == ["o1", "o2", "o2"]


@pytest.mark.parametrize(
    "refusal",
    [
        Unauthenticated(Reason.REASON_UNAUTHENTICATED, "one bearer token is needed"),
        Denied(Reason.REASON_PERMISSION_DENIED, "this token may not call this method"),
    ],
)
async def test_who_is_not_let_in_is_told_at_once(refusal: Refusal) -> None:
    async with doors() as (firm, door):
        door.answer = ends(refusal)
        with pytest.raises(NotPlaced) as refused:
            await firm.place("carol", buy("o1"))

    assert (refused.value.code, refused.value.reason) == (refusal.code, refusal.reason_name)
    assert door.read == ["o1"]


async def test_it_closes_when_what_is_under_way_is_answered() -> None:
    may_answer = asyncio.Event()
    async with doors() as (firm, door):
        door.answer = answers_after(may_answer)
        trade = asyncio.create_task(firm.place("carol", buy("o1")))
        while not door.batches:
            await asyncio.sleep(0)
        closing = asyncio.create_task(firm.close())
        await asyncio.sleep(0)
        may_answer.set()
        await closing
        assert (await trade).trade_id == "carol/o1"
        with pytest.raises(NotPlaced, match="closed"):
            await firm.place("carol", buy("o2"))
    assert door.read == ["o1"]


async def test_what_waits_to_be_repeated_is_told_at_once_that_it_is_closed() -> None:
    async with doors() as (firm, door):
        door.answer = always(overloaded(500))
        trade = asyncio.create_task(firm.place("carol", buy("o1")))
        while not door.batches:
            await asyncio.sleep(0)
        await firm.close()
        with pytest.raises(NotPlaced, match="closed"):
            await asyncio.wait_for(trade, 60)
    assert door.read == ["o1"]
