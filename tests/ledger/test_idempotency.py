"""One id, one effect, one answer, for ever."""

import asyncio

import grpc
import pytest

from libs.rpc.status import reason_of
from services.ledger.main import Settings, house
from stockbroker.common.v1.reason_pb2 import Reason
from tests.ledger.desk import SELL, USD, Desk, a_fill, a_hold, new_id
from tests.support.keys import Keys

DONE = Reason.REASON_UNSPECIFIED


async def test_a_fill_told_64_times_at_once_is_booked_once(desk: Desk) -> None:
    await desk.deposit(1_000 * USD)
    trade = new_id()
    await desk.hold(a_hold(trade=trade))
    fill = a_fill(trade, quantity=3, price=7 * USD)

    answers = await asyncio.gather(*(desk.post(fill) for _ in range(64)))

    assert all(answer == answers[0] for answer in answers)
    assert answers[0][0].reason == DONE
    assert await desk.shares_of() == (3, 0, 21 * USD)
    await desk.assert_books_balance()


async def test_one_batch_may_name_a_hold_its_fill_its_release_and_all_again(desk: Desk) -> None:
    await desk.deposit(1_000 * USD)
    trade = new_id()
    hold = a_hold(trade=trade, amount=100 * USD)
    fill = a_fill(trade, quantity=3, price=7 * USD)

    assert len(set(map(str, await desk.hold(hold, hold, hold)))) == 1
    assert len(set(map(str, await desk.post(fill, fill)))) == 1
    assert len(set(map(str, await desk.release(trade, trade)))) == 1

    assert await desk.cash_of() == (979 * USD, 0)
    await desk.assert_books_balance()


async def test_the_answer_stays_the_same_after_the_accounts_moved_on(desk: Desk) -> None:
    await desk.deposit(1_000 * USD)
    trade = new_id()
    hold, fill = a_hold(trade=trade, amount=100 * USD), a_fill(trade, quantity=3, price=7 * USD)
    first = [*await desk.hold(hold), *await desk.post(fill), *await desk.release(trade)]
    await desk.deposit(5 * USD)

    again = [*await desk.hold(hold), *await desk.post(fill), *await desk.release(trade)]

    assert again == first
    assert [balance.version for balance in first[1].balances] == [3, 1]
    await desk.assert_books_balance()


async def test_a_brief_answer_says_the_same_of_each_item_without_ids_and_balances(
    desk: Desk,
) -> None:
    await desk.deposit(1_000 * USD)
    trade = new_id()
    holds = a_hold(trade=trade, amount=100 * USD), a_hold(amount=9_000 * USD), a_hold(trade="x")
    fills = a_fill(trade, quantity=3, price=7 * USD, last=True), a_fill(new_id())
    said = [*await desk.hold(*holds), *await desk.post(*fills)]

    brief = [*await desk.hold(*holds, is_brief=True), *await desk.post(*fills, is_brief=True)]

    assert [(each.reason, each.amount) for each in brief] == [
        (DONE, 100 * USD),
        (Reason.REASON_INSUFFICIENT_FUNDS, 0),
        (Reason.REASON_INVALID_ID, 0),
        (DONE, 79 * USD),
        (Reason.REASON_HOLD_NOT_FOUND, 0),
    ]
    assert [(each.reason, each.amount) for each in said] == [
        (each.reason, each.amount) for each in brief
    ]
    assert not any(each.id or each.balances for each in brief)
    await desk.assert_books_balance()


async def test_a_refusal_is_the_answer_for_ever(desk: Desk) -> None:
    hold = a_hold(amount=100 * USD)
    refused = await desk.hold(hold)
    assert refused[0].reason == Reason.REASON_INSUFFICIENT_FUNDS

    await desk.deposit(1_000 * USD)

    assert await desk.hold(hold) == refused
    assert await desk.cash_of() == (1_000 * USD, 0)
    await desk.assert_books_balance()


async def test_answers_outlive_the_process(
    settings: Settings, postgres_url: str, keys: Keys
) -> None:
    trade, deposit = new_id(), new_id()
    holds = a_hold(trade=trade, amount=100 * USD), a_hold(amount=5_000 * USD)
    fill = a_fill(trade, quantity=3, price=7 * USD)

    async with house(settings) as rpc, Desk(rpc.address, postgres_url, keys) as desk:
        balance = await desk.deposit(1_000 * USD, deposit=deposit)
        first = [*await desk.hold(*holds), *await desk.post(fill)]
    async with house(settings) as rpc, Desk(rpc.address, postgres_url, keys) as desk:
        assert await desk.deposit(1_000 * USD, deposit=deposit) == balance
        assert [*await desk.hold(*holds), *await desk.post(fill)] == first
        await desk.assert_books_balance()


async def test_an_id_with_other_terms_is_refused(desk: Desk) -> None:
    await desk.deposit(1_000 * USD)
    trade = new_id()
    await desk.hold(a_hold(trade=trade, amount=100 * USD))
    await desk.post(a_fill(trade, quantity=3, price=7 * USD, execution="E"))

    others = [
        a_fill(trade, quantity=4, price=7 * USD, execution="E"),
        a_fill(trade, quantity=3, price=8 * USD, execution="E"),
        a_fill(trade, quantity=3, price=7 * USD, execution="E", symbol="MSFT"),
        a_fill(trade, quantity=3, price=7 * USD, execution="E", side=SELL),
        a_fill(trade, quantity=3, price=7 * USD, execution="E", customer="bob"),
        a_fill(new_id(), quantity=3, price=7 * USD, execution="E"),
        a_fill(trade, quantity=3, price=7 * USD, execution="E", last=True),
    ]
    answers = [
        *await desk.post(*others),
        *await desk.hold(a_hold(trade=trade, amount=101 * USD), a_hold(trade=trade)),
    ]

    assert {answer.reason for answer in answers} == {Reason.REASON_EXISTS_DIFFERENT}
    assert await desk.cash_of() == (900 * USD, 79 * USD)
    await desk.assert_books_balance()


async def test_the_same_execution_id_of_another_venue_is_another_fill(desk: Desk) -> None:
    await desk.deposit(1_000 * USD)
    trade = new_id()
    await desk.hold(a_hold(trade=trade))
    here, there = a_fill(trade, execution="1"), a_fill(trade, execution="1")
    here.price_micros = there.price_micros = USD
    there.venue = "XNAS"

    assert [r.reason for r in await desk.post(here, there)] == [DONE, DONE]
    assert (await desk.shares_of())[0] == 20


async def test_a_deposit_is_made_once_by_64_callers(desk: Desk) -> None:
    deposit = new_id()
    balances = await asyncio.gather(*(desk.deposit(USD, deposit=deposit) for _ in range(64)))
    assert {(b.posted, b.version) for b in balances} == {(USD, 1)}

    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await desk.deposit(2 * USD, deposit=deposit)
    assert caught.value.code() == grpc.StatusCode.ALREADY_EXISTS
    assert reason_of(caught.value) == "EXISTS_DIFFERENT"
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await desk.deposit_shares(USD, deposit=deposit)
    assert reason_of(caught.value) == "EXISTS_DIFFERENT"
    assert await desk.cash_of() == (USD, 0)


async def test_a_deposit_spelled_in_capitals_is_the_same_deposit(desk: Desk) -> None:
    deposit = new_id()
    await desk.deposit(USD, deposit=deposit)
    await desk.deposit(USD, deposit=deposit.upper())
    assert await desk.cash_of() == (USD, 0)
