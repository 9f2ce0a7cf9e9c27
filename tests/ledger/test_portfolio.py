"""What a customer sees: one moment, one list, pages without gap or repeat."""

import asyncio
import contextlib

import grpc
import pytest

from libs.rpc.status import reason_of
from stockbroker.ledger.v1 import portfolio_service_pb2 as pb
from tests.ledger.desk import SELL, USD, Desk, a_fill, a_hold, new_id
from tests.support.keys import bearer


async def page(
    desk: Desk, *, customer: str = "alice", asset: str = "", size: int = 0, token: str = ""
) -> pb.ListEntriesResponse:
    request = pb.ListEntriesRequest(asset=asset, page_size=size, page_token=token)
    return await desk.portfolio.ListEntries(request, metadata=bearer(desk.keys.customer(customer)))


async def pages(desk: Desk, *, asset: str = "", size: int = 0) -> list[list[pb.Entry]]:
    found, token = [], ""
    while True:
        answer = await page(desk, asset=asset, size=size, token=token)
        found.append(list(answer.entries))
        token = answer.next_page_token
        if not token:
            return found


async def trade(desk: Desk, symbol: str, quantity: int) -> str:
    """Buy some and sell one of them again."""
    bought, sold = new_id(), new_id()
    await desk.hold(a_hold(trade=bought))
    await desk.post(a_fill(bought, symbol=symbol, quantity=quantity, price=USD, last=True))
    await desk.hold(a_hold(trade=sold, asset=symbol, amount=1))
    await desk.post(a_fill(sold, symbol=symbol, side=SELL, quantity=1, price=USD, last=True))
    return bought


async def test_a_stranger_has_an_empty_portfolio(desk: Desk) -> None:
    assert await desk.owned_by("stranger") == pb.GetPortfolioResponse(cash=pb.Cash())
    assert await page(desk, customer="stranger") == pb.ListEntriesResponse()


async def test_positions_come_by_symbol_and_only_while_there_are_shares(desk: Desk) -> None:
    await desk.deposit_shares(5, symbol="MSFT", cost=50)
    await desk.deposit_shares(7, symbol="AAPL")
    await desk.deposit_shares(1, symbol="BRK.B")
    sold = new_id()
    await desk.hold(a_hold(trade=sold, asset="BRK.B", amount=1))
    await desk.post(a_fill(sold, symbol="BRK.B", side=SELL, quantity=1, last=True))

    positions = (await desk.owned_by()).positions

    assert [(p.symbol, p.quantity, p.cost_micros) for p in positions] == [
        ("AAPL", 7, 0),
        ("MSFT", 5, 50),
    ]


async def test_the_version_grows_with_every_change_of_any_account(desk: Desk) -> None:
    seen = [(await desk.owned_by()).version]
    held = new_id()

    async def look() -> None:
        seen.append((await desk.owned_by()).version)

    await desk.deposit(1_000 * USD)
    await look()
    await desk.deposit_shares(5)
    await look()
    await desk.hold(a_hold(trade=held))
    await look()
    await desk.post(a_fill(held, quantity=1, price=USD))
    await look()
    await desk.release(held)
    await look()
    assert seen == sorted(set(seen))
    await desk.release(held)
    await desk.deposit(1, customer="bob")
    assert (await desk.owned_by()).version == seen[-1]


async def test_a_portfolio_is_of_one_moment(desk: Desk) -> None:
    """Every fill moves a dollar against a share: the sum never wavers, in any look."""
    await desk.deposit(1_000 * USD)
    held = new_id()
    await desk.hold(a_hold(trade=held))
    looks: list[pb.GetPortfolioResponse] = []

    async def look() -> None:
        while True:
            looks.append(await desk.owned_by())

    looking = asyncio.create_task(look())
    for _ in range(50):
        await desk.post(a_fill(held, quantity=1, price=USD))
    looking.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await looking

    assert len(looks) > 10
    for portfolio in looks:
        shares = sum(p.quantity for p in portfolio.positions)
        assert portfolio.cash.total_micros + shares * USD == 1_000 * USD
        assert sum(p.cost_micros for p in portfolio.positions) == shares * USD


async def test_entries_tell_every_change_newest_first(desk: Desk) -> None:
    deposited, bought = new_id(), new_id()
    await desk.deposit(100 * USD, deposit=deposited, reference='birthday; "gift" \\ 🎁')
    await desk.hold(a_hold(trade=bought, amount=60 * USD))
    await desk.post(a_fill(bought, quantity=2, price=20 * USD))
    await desk.release(bought)

    (entries,) = await pages(desk)

    assert [
        (e.asset, e.version, e.kind, e.amount, e.balance_after, e.held_after, e.reference)
        for e in entries
    ] == [
        ("USD", 4, "release", 0, 60 * USD, 0, bought),
        ("AAPL", 1, "execution", 2, 2, 0, bought),
        ("USD", 3, "execution", -40 * USD, 60 * USD, 20 * USD, bought),
        ("USD", 2, "hold", 0, 100 * USD, 60 * USD, bought),
        ("USD", 1, "deposit", 100 * USD, 100 * USD, 0, 'birthday; "gift" \\ 🎁'),
    ]
    assert {e.account for e in entries} == {"customer/alice"}
    assert entries[4].transfer_id == deposited
    assert entries[3].transfer_id == bought
    assert entries[1].transfer_id == entries[2].transfer_id


@pytest.mark.parametrize("asset", ["", "USD", "AAPL", "MSFT"])
async def test_pages_of_any_size_make_up_the_same_list(desk: Desk, asset: str) -> None:
    await desk.deposit(1_000 * USD)
    for symbol in ("AAPL", "MSFT", "AAPL", "TSLA"):
        await trade(desk, symbol, quantity=3)
    (whole,) = await pages(desk, asset=asset, size=1000)
    assert len(whole) == {"": 25, "USD": 13, "AAPL": 6, "MSFT": 3}[asset]

    for size in (1, 2, 7, len(whole) - 1, len(whole)):
        split = await pages(desk, asset=asset, size=size)
        assert [entry for part in split for entry in part] == whole
        assert all(len(part) == size for part in split[:-1])
        assert split[-1]


async def test_pages_do_not_shift_when_new_entries_arrive(desk: Desk) -> None:
    await desk.deposit(1_000 * USD)
    await trade(desk, "AAPL", quantity=3)
    (whole,) = await pages(desk)
    first = await page(desk, size=4)

    await desk.deposit(1)
    await trade(desk, "AAPL", quantity=3)
    await desk.deposit_shares(5, symbol="NEW")

    second = await page(desk, size=1000, token=first.next_page_token)
    assert [*first.entries, *second.entries] == whole


async def test_a_page_token_is_good_for_its_list_alone(desk: Desk) -> None:
    for customer in ("alice", "bob"):
        for _ in range(3):
            await desk.deposit(1, customer=customer)
    token = (await page(desk, size=1)).next_page_token
    assert token

    async def refused(token: str, *, customer: str = "alice", asset: str = "") -> None:
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await page(desk, customer=customer, asset=asset, token=token)
        assert caught.value.code() == grpc.StatusCode.INVALID_ARGUMENT
        assert reason_of(caught.value) == "INVALID_PAGE_TOKEN"

    await refused(token, customer="bob")
    await refused(token, asset="USD")
    for forged in ("1.1.1", token[:-1], token[::-1], token.swapcase(), "x" * 1_000_000):
        await refused(forged)


@pytest.mark.parametrize("size", [-1, 1001, 2**31 - 1, -(2**31)])
async def test_a_page_size_out_of_range_is_refused(desk: Desk, size: int) -> None:
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await page(desk, size=size)
    assert reason_of(caught.value) == "INVALID_PAGE_SIZE"


async def test_a_filter_that_is_no_asset_is_refused(desk: Desk) -> None:
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await page(desk, asset="' OR 1=1")
    assert reason_of(caught.value) == "INVALID_SYMBOL"
