"""A trade's way through the books: deposit, hold, fills, release."""

from tests.ledger.desk import SELL, USD, Desk, a_fill, a_hold, new_id


async def test_a_buy_pays_out_of_its_hold_and_frees_the_rest(desk: Desk) -> None:
    await desk.deposit(10_000 * USD)
    trade = new_id()

    held = await desk.hold(a_hold(trade=trade))
    assert (held[0].reason, held[0].amount) == (0, 10_000 * USD)
    assert await desk.cash_of() == (0, 10_000 * USD)

    first, last = await desk.post(
        a_fill(trade, quantity=30, price=101_000_001),
        a_fill(trade, quantity=20, price=102 * USD, last=True),
    )
    cost = 30 * 101_000_001 + 20 * 102 * USD
    assert (first.reason, first.amount) == (0, 0)
    assert (last.reason, last.amount) == (0, 10_000 * USD - cost)
    assert await desk.cash_of() == (10_000 * USD - cost, 0)
    assert await desk.shares_of() == (50, 0, cost)
    await desk.assert_books_balance()


async def test_a_sell_delivers_out_of_its_hold_and_is_paid(desk: Desk) -> None:
    await desk.deposit_shares(100, cost=9_000 * USD)
    trade = new_id()

    await desk.hold(a_hold(trade=trade, asset="AAPL", amount=40))
    assert await desk.shares_of() == (60, 40, 9_000 * USD)

    await desk.post(a_fill(trade, side=SELL, quantity=40, price=120 * USD, last=True))
    assert await desk.cash_of() == (4_800 * USD, 0)
    assert await desk.shares_of() == (60, 0, 5_400 * USD)
    await desk.assert_books_balance()


async def test_a_release_frees_what_fills_left(desk: Desk) -> None:
    await desk.deposit(5_000 * USD)
    trade = new_id()
    await desk.hold(a_hold(trade=trade, amount=2_000 * USD))
    await desk.post(a_fill(trade, quantity=5, price=100 * USD))

    released = await desk.release(trade)

    assert (released[0].id, released[0].reason, released[0].amount) == (trade, 0, 1_500 * USD)
    assert await desk.cash_of() == (4_500 * USD, 0)
    await desk.assert_books_balance()
