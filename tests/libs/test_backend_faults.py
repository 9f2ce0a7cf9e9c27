"""What a firm's back-end is told when answers are late, broken, or of a kind it does not know."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import grpc
import pytest

from libs.backend import BackEnd, InDoubt, NotPlaced, backend
from libs.backend.stream import Ended, Stream
from libs.embedded import free_port
from services.chaos.proxy import Mode, Way
from stockbroker.common.v1.reason_pb2 import Reason
from stockbroker.order.v1 import order_service_pb2 as pb
from tests.libs.back_end_door import (
    AWAY,
    Item,
    Result,
    always,
    answers_after,
    buy,
    doors,
    ends,
    leap,
    placed,
    then,
)


@pytest.fixture(autouse=True)
def _no_hurry(monkeypatch: pytest.MonkeyPatch) -> None:
    """However slow the machine is: an answer that comes is waited for."""
    monkeypatch.setattr(backend, "_ANSWER_SECONDS", 300.0)


async def test_an_answer_in_the_moment_patience_ends_counts(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    class Late(Stream):
        async def exchange(self, request: pb.PlaceTradesRequest) -> pb.PlaceTradesResponse:
            response = await super().exchange(request)
            answer: asyncio.Future[None] = asyncio.get_running_loop().create_future()

            def comes() -> None:
                answer.set_result(None)  # who waits for it goes on in the next turn
                leap(monkeypatch, 600)

            asyncio.get_running_loop().call_soon(comes)
            await answer
            return response

    monkeypatch.setattr(backend, "Stream", Late)
    monkeypatch.setattr(backend, "_ANSWER_SECONDS", 6000.0)
    async with doors() as (firm, door):
        answer = await firm.place("carol", buy("o1"))

    assert answer.trade_id == "carol/o1"
    assert door.read == ["o1"]


async def test_who_leaves_a_silent_stream_leaves_no_other_batch_without_an_end(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(backend, "_ANSWER_SECONDS", 1.0)
    async with doors() as (firm, door):
        door.answer = then(answers_after(asyncio.Event()), placed)
        first = asyncio.create_task(firm.place("carol", buy("o1")))
        while not door.read:
            await asyncio.sleep(0)
        # More than fits into the way there: somebody is at writing when the stream is left.
        large = "x" * 5_000
        others = [firm.place(f"c{n % 8}", buy(f"{n}{large}")) for n in range(100)]
        answers = await asyncio.gather(first, *others)

    assert len({answer.trade_id for answer in answers}) == 101
    assert set(door.tokens) >= {"Bearer T1", "Bearer T2"}


async def test_a_call_that_was_cut_off_is_an_end_like_any_other() -> None:
    class CutOff:
        """As a call of gRPC looks at times when it is cancelled while the house ends it."""

        def cancel(self) -> bool:
            return False

        def cancelled(self) -> bool:
            return False

        async def write(self, _: pb.PlaceTradesRequest) -> None:
            raise asyncio.CancelledError

        async def __aiter__(self) -> AsyncIterator[pb.PlaceTradesResponse]:
            raise asyncio.CancelledError
            yield

    stream = Stream(CutOff())
    with pytest.raises(Ended):
        await stream.exchange(pb.PlaceTradesRequest())
    assert stream.is_over
    await stream.close()


async def test_a_reason_that_is_newer_than_the_client_is_a_refusal_like_any_other() -> None:
    newer = pb.PlaceTradesResponse.Refused(code=99, reason=Reason.ValueType(9999), text="no")
    async with doors() as (firm, door):
        door.answer = always(Result(refused=newer))
        both = await asyncio.gather(
            *(firm.place("carol", buy(each)) for each in ("o1", "o2")), return_exceptions=True
        )

    for error in both:
        assert isinstance(error, NotPlaced)
        assert (error.code, error.reason, error.text) == (grpc.StatusCode.UNKNOWN, "9999", "no")
    assert door.read == ["o1", "o2"]


async def test_a_result_that_says_neither_is_no_refusal() -> None:
    async with doors() as (firm, door):
        door.answer = then(always(Result()), placed)
        await firm.place("carol", buy("o1"))

    assert door.read == ["o1", "o1"]


@pytest.mark.parametrize("results", [1, 3])
async def test_results_that_belong_to_no_item_are_believed_by_nobody(results: int) -> None:
    async def answer(items: list[Item]) -> list[Result]:
        return (await placed([*items, items[0]]))[:results]

    async with doors() as (firm, door):
        door.answer = then(answer, placed)
        both = await asyncio.gather(*(firm.place("carol", buy(each)) for each in ("o1", "o2")))

    assert [each.trade_id for each in both] == ["carol/o1", "carol/o2"]
    assert door.read[:2] == ["o1", "o2"]
    assert sorted(door.read[2:]) == ["o1", "o2"]


async def test_an_answer_too_many_ends_the_stream_and_nothing_else() -> None:
    async with doors() as (firm, door):
        door.answers_each = 2
        await firm.place("carol", buy("o1"))
    assert door.read == ["o1"]


async def test_what_is_larger_than_any_trade_is_refused_and_its_neighbours_are_placed() -> None:
    async with doors() as (firm, door):
        large, good = await asyncio.gather(
            firm.place("carol", buy("x" * 5_000_000)),
            firm.place("carol", buy("o1")),
            return_exceptions=True,
        )

    assert isinstance(large, NotPlaced)
    assert (large.code, large.reason) == (grpc.StatusCode.INVALID_ARGUMENT, "INVALID_REQUEST")
    assert isinstance(good, pb.PlaceTradesResponse.Placed)
    assert door.read == ["o1"]


def _no_token() -> str:
    raise FileNotFoundError("firm.token")


@pytest.mark.parametrize("token", [_no_token, lambda: "T1\nT2", lambda: "T\u00e41"])
async def test_without_a_token_that_can_be_sent_nothing_is_placed(token: Any) -> None:
    async with doors(token=token) as (firm, door):
        both = await asyncio.gather(
            *(firm.place("carol", buy(each)) for each in ("o1", "o2")), return_exceptions=True
        )

    for error in both:
        assert isinstance(error, NotPlaced)
        assert error.reason == "UNAUTHENTICATED"
    assert not door.read


async def test_without_a_token_for_the_second_attempt_the_first_stays_in_doubt() -> None:
    tokens = iter(["T1"])
    async with doors(token=lambda: next(tokens, None) or _no_token()) as (firm, door):
        door.answer = ends(AWAY)
        with pytest.raises(InDoubt):
            await firm.place("carol", buy("o1"))


async def test_what_its_caller_gave_up_in_the_queue_is_not_sent() -> None:
    may_answer = asyncio.Event()
    async with doors() as (firm, door):
        door.answer = answers_after(may_answer)
        sent = asyncio.create_task(firm.place("carol", buy("o1")))
        while not door.read:
            await asyncio.sleep(0)
        queued = [asyncio.create_task(firm.place("carol", buy(o))) for o in ("o2", "o3")]
        await asyncio.sleep(0)
        for task in (sent, queued[0]):
            task.cancel()
        await asyncio.wait([sent, queued[0]])
        may_answer.set()
        await queued[1]

    assert door.read == ["o1", "o3"]


@pytest.mark.parametrize("turns", [1, 2, 5])
async def test_a_close_that_is_given_up_hangs_up_and_all_are_told_at_once(turns: int) -> None:
    async with doors() as (firm, door):
        door.answer = answers_after(asyncio.Event())
        sent = asyncio.create_task(firm.place("carol", buy("o1")))
        while not door.read:
            await asyncio.sleep(0)
        queued = asyncio.create_task(firm.place("carol", buy("o2")))
        await asyncio.sleep(0)
        closing = asyncio.create_task(firm.close())
        for _ in range(turns):
            await asyncio.sleep(0)
        closing.cancel()
        with pytest.raises(asyncio.CancelledError):
            await closing
        with pytest.raises(InDoubt):
            await sent
        with pytest.raises((InDoubt, NotPlaced)):
            await queued

    assert door.read == ["o1"]


async def test_with_a_house_that_is_not_there_nothing_is_placed_and_nothing_in_doubt() -> None:
    async with BackEnd("127.0.0.1:1", lambda: "T1", patience_seconds=0.5) as firm:
        ended = await asyncio.gather(
            *(firm.place(f"c{number % 7}", buy()) for number in range(1_000)),
            return_exceptions=True,
        )
    assert all(isinstance(each, NotPlaced) for each in ended)
    reasons = {each.reason for each in ended if isinstance(each, NotPlaced)}
    assert reasons == {"UNAVAILABLE"}


@pytest.mark.parametrize("address", ["", "127.0.0.1", "127.0.0.1:65536", "http://127.0.0.1:7400"])
async def test_an_address_that_is_none_is_refused_and_not_called_in_vain(address: str) -> None:
    with pytest.raises(ValueError, match="is not host:port"):
        BackEnd(address, lambda: "T1")


async def test_a_proxy_of_the_environment_is_not_asked_for_the_way(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    monkeypatch.delenv("no_proxy", raising=False)
    monkeypatch.delenv("no_grpc_proxy", raising=False)
    async with doors(patience_seconds=20.0) as (firm, door):
        await firm.place("carol", buy("o1"))

    assert door.read == ["o1"]


@pytest.mark.parametrize("mode", [Mode.CUT, Mode.STALLED])
async def test_what_found_no_connection_is_not_placed_and_what_comes_later_is(mode: Mode) -> None:
    async with doors() as (_, door):
        way = Way(free_port(), door.address)
        way.set(mode)
        await way.open()
        async with BackEnd(way.address, lambda: "T1", patience_seconds=0.2) as firm:
            with pytest.raises(NotPlaced):
                await firm.place("carol", buy("o1"))
            way.set(Mode.CUT)  # nothing is waited for any more
        way.set(mode)
        async with BackEnd(way.address, lambda: "T1", patience_seconds=600) as firm:
            waits = asyncio.create_task(firm.place("carol", buy("o2")))
            given_up = asyncio.create_task(firm.place("carol", buy("o3")))
            for _ in range(10):
                await asyncio.sleep(0)
            given_up.cancel()
            way.set(Mode.OPEN)
            await waits
        await way.close()

    assert door.read == ["o2"]


async def test_who_never_gets_a_result_for_each_item_is_in_doubt(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def none(items: list[Item]) -> list[Result]:
        return []

    async def at_last(items: list[Item]) -> list[Result]:
        leap(monkeypatch, 600)
        return []

    async with doors() as (firm, door):
        door.answer = then(none, at_last)
        with pytest.raises(InDoubt):
            await firm.place("carol", buy("o1"))

    assert door.read == ["o1", "o1"]
