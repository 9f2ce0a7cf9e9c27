"""Money and shares from outside, and why they may be turned away."""

import grpc
import pytest

from libs.rpc.status import reason_of
from tests.ledger.desk import USD, Desk, new_id


async def test_a_deposit_opens_the_account_and_tells_the_balance(desk: Desk) -> None:
    first = await desk.deposit(5 * USD)
    second = await desk.deposit(7 * USD)
    assert (first.account, first.asset, first.version) == ("customer/alice", "USD", 1)
    assert (second.posted, second.held, second.version) == (12 * USD, 0, 2)
    assert await desk.rows("SELECT name, posted FROM account WHERE NOT has_floor") == [
        ("house/deposits", -12 * USD)
    ]
    await desk.assert_books_balance()


async def test_shares_come_in_with_what_they_cost(desk: Desk) -> None:
    await desk.deposit_shares(10, cost=1_000 * USD)
    balance = await desk.deposit_shares(5, cost=0)
    assert (balance.asset, balance.posted, balance.version) == ("AAPL", 15, 2)
    assert await desk.shares_of() == (15, 0, 1_000 * USD)
    await desk.assert_books_balance()


@pytest.mark.parametrize("state", ["frozen", "closed"])
async def test_an_account_that_is_not_open_takes_no_deposit(desk: Desk, state: str) -> None:
    # An account that was frozen once is read anew each time.
    await desk.rows("INSERT INTO restraint VALUES ('customer/alice', 'open') RETURNING name")
    await desk.deposit(USD)
    await desk.rows("UPDATE restraint SET state = %s RETURNING name", state)
    deposit = new_id()
    for _ in range(2):
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await desk.deposit(USD, deposit=deposit)
        assert caught.value.code() == grpc.StatusCode.FAILED_PRECONDITION
        assert reason_of(caught.value) == "ACCOUNT_NOT_OPEN"
    assert await desk.cash_of() == (USD, 0)
    await desk.assert_books_balance()


async def test_a_deposit_beyond_64_bits_is_turned_away(desk: Desk) -> None:
    # An account that was frozen once is read anew each time.
    await desk.rows("INSERT INTO restraint VALUES ('customer/alice', 'open') RETURNING name")
    await desk.deposit(USD)
    await desk.rows("UPDATE account SET posted = 9223372036854775807 WHERE has_floor RETURNING id")
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await desk.deposit(1)
    assert caught.value.code() == grpc.StatusCode.FAILED_PRECONDITION
    assert reason_of(caught.value) == "BALANCE_OVERFLOW"
