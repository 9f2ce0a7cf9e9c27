"""Holds that are adjusted, and what a fill frees beside its cost."""

from itertools import permutations

from msgspec.structs import replace

from libs.reasons import Reason
from services.ledger.domain.attempt import MOST
from services.ledger.domain.books import AccountKey, AccountState
from services.ledger.domain.operations import Operation
from stockbroker.ledger.v1 import ledger_service_pb2 as pb
from tests.ledger.desk import SELL, USD, Desk, a_fill, a_hold, an_adjustment, new_id
from tests.ledger.memory import (
    ALICE,
    DONE,
    adjusted,
    drawn,
    group,
    held,
    opened,
    paid_in,
    paid_out,
    released,
)
from tests.ledger.test_input import NO_IDS
from tests.support.keys import bearer

NO_AMOUNTS = [0, -(2**63)]


def test_a_hold_holds_more_or_less_and_stays_open() -> None:
    books = opened(paid_in(10), held(5))
    results = books.take(
        adjusted(3, called="up"),
        adjusted(-6, called="down"),
        adjusted(-2, called="all of it"),
        adjusted(4, called="again"),
        group(drawn(4), called="fill", hold="hold"),
        released(),
    )
    assert [r.reason for r in results] == [DONE] * 6
    assert [r.amount for r in results] == [3, 6, 2, 4, 0, 0]
    assert (books.accounts[ALICE].posted, books.accounts[ALICE].held) == (6, 0)


def test_a_hold_is_raised_after_fills_drew_on_it() -> None:
    books = opened(paid_in(10), held(5), group(drawn(4), called="first", hold="hold"))
    assert books.reasons(
        group(drawn(2), called="too much", hold="hold"),
        adjusted(5),
        group(drawn(6), called="second", hold="hold"),
    ) == [Reason.REASON_HOLD_EXCEEDED, DONE, DONE]
    assert (books.accounts[ALICE].posted, books.accounts[ALICE].held) == (0, 0)


def test_an_adjustment_is_done_whole_or_not_at_all() -> None:
    books = opened(paid_in(10), held(5))
    before = dict(books.accounts), dict(books.holds)
    assert books.reasons(
        adjusted(6, called="more than is available"),
        adjusted(-6, called="more than is held"),
        adjusted(MOST, called="more than fits"),
    ) == [
        Reason.REASON_INSUFFICIENT_FUNDS,
        Reason.REASON_HOLD_EXCEEDED,
        Reason.REASON_INSUFFICIENT_FUNDS,
    ]
    assert (books.accounts, books.holds) == before


def test_a_refused_adjustment_never_succeeds_later() -> None:
    books = opened(paid_in(10), held(5))
    first = books.take(adjusted(6))
    books.take(paid_in(100))
    assert books.take(adjusted(6)) == first
    assert books.reasons(adjusted(7)) == [Reason.REASON_EXISTS_DIFFERENT]
    assert books.reasons(adjusted(6, hold="another")) == [Reason.REASON_EXISTS_DIFFERENT]
    assert books.reasons(adjusted(6, called="another")) == [DONE]


def test_an_adjustment_without_an_open_hold_is_told_why_and_forbids_nothing() -> None:
    books = opened(paid_in(10), held(5, called="gone"), released("gone"))
    assert books.reasons(adjusted(1, called="early"), held(5), adjusted(1)) == [
        Reason.REASON_HOLD_NOT_FOUND,
        DONE,
        DONE,
    ]
    assert books.reasons(adjusted(1, called="late", hold="gone")) == [Reason.REASON_HOLD_CLOSED]


def test_a_frozen_customer_holds_less_and_not_more() -> None:
    books = opened(paid_in(10), held(5))
    books.set_state(ALICE, AccountState.FROZEN)
    assert books.reasons(adjusted(1, called="up"), adjusted(-1, called="down")) == [
        Reason.REASON_ACCOUNT_NOT_OPEN,
        DONE,
    ]


def test_adjustments_commute_with_fills() -> None:
    """In whatever order they come, they come to the same."""
    steps: list[Operation] = [
        adjusted(3, called="up"),
        adjusted(-2, called="down"),
        group(drawn(4), called="fill", hold="hold"),
        replace(group(drawn(1), called="saving", hold="hold"), frees=1),
    ]
    ends = set()
    for order in permutations(steps):
        books = opened(paid_in(20), held(9))
        assert set(books.reasons(*order)) == {DONE}
        alice = books.accounts[ALICE]
        ends.add((alice.posted, alice.held, books.holds["hold"].remaining))
    assert ends == {(15, 4, 4)}


def test_a_fill_frees_beside_its_cost_no_more_than_is_left() -> None:
    books = opened(paid_in(20), held(10))
    saving = group(drawn(4), called="a", hold="hold")
    results = books.take(
        replace(saving, frees=2), replace(saving, id="b", legs=(drawn(3),), frees=2), released()
    )
    assert [(r.reason, r.amount) for r in results] == [(DONE, 2), (DONE, 1), (DONE, 0)]
    assert (books.accounts[ALICE].posted, books.accounts[ALICE].held) == (13, 0)
    assert books.reasons(saving, replace(saving, frees=1)) == [Reason.REASON_EXISTS_DIFFERENT] * 2


def test_what_a_fill_saves_may_be_spent_at_once() -> None:
    books = opened(paid_in(10), held(10))
    assert books.reasons(
        replace(group(drawn(4), called="fill", hold="hold"), frees=2),
        paid_out(3, called="more than that"),
        paid_out(2, called="that"),
    ) == [DONE, Reason.REASON_INSUFFICIENT_FUNDS, DONE]


def test_a_hold_of_shares_is_adjusted_too() -> None:
    shares = AccountKey(ALICE.name, "AAPL")
    books = opened(paid_in(10, shares), held(5, shares))
    assert books.reasons(adjusted(6, called="up"), adjusted(5, called="all")) == [
        Reason.REASON_INSUFFICIENT_SHARES,
        DONE,
    ]


async def test_a_limited_buy_holds_what_the_rest_may_cost(desk: Desk) -> None:
    """10 at 12 or less; a fill at 10; replaced by 20 at 13; the last fill at 11."""
    await desk.deposit(1_000 * USD)
    trade = new_id()
    await desk.hold(a_hold(trade=trade, amount=10 * 12 * USD))
    await desk.post(a_fill(trade, quantity=4, price=10 * USD, saved=4 * 2 * USD))
    assert await desk.cash_of() == ((1_000 - 40 - 72) * USD, 6 * 12 * USD)

    up = pb.HoldAdjustment(adjustment_id=new_id(), hold_id=trade, amount=(16 * 13 - 72) * USD)
    (raised,) = await desk.adjust(up)
    assert (raised.id, raised.reason, raised.amount) == (up.adjustment_id, 0, 136 * USD)
    assert [(b.account, b.held) for b in raised.balances] == [("customer/alice", 16 * 13 * USD)]
    assert (await desk.adjust(up))[0] == raised

    await desk.post(a_fill(trade, quantity=16, price=11 * USD, saved=16 * 2 * USD, last=True))
    assert await desk.cash_of() == ((1_000 - 4 * 10 - 16 * 11) * USD, 0)
    assert (await desk.adjust(up))[0] == raised
    await desk.assert_books_balance()


async def test_what_is_held_of_a_frozen_account_is_lessened_and_not_raised(desk: Desk) -> None:
    await desk.deposit(1_000 * USD)
    trade = new_id()
    await desk.hold(a_hold(trade=trade, amount=100 * USD))
    freeze = pb.FreezeRequest(freeze_id=new_id(), account="customer/alice", reference="a doubt")
    await desk.ledger.Freeze(freeze, metadata=bearer(desk.keys.operator()))

    (raised,) = await desk.adjust(an_adjustment(trade, 1))
    (lessened,) = await desk.adjust(an_adjustment(trade, -40 * USD))
    await desk.post(a_fill(trade, quantity=1, price=10 * USD))
    (held_after_a_fill,) = await desk.hold(a_hold())

    assert held_after_a_fill.reason == Reason.REASON_ACCOUNT_NOT_OPEN
    assert raised.reason == Reason.REASON_ACCOUNT_NOT_OPEN
    assert lessened.reason == DONE
    assert await desk.cash_of() == (940 * USD, 50 * USD)


async def test_each_malformed_adjustment_is_named_and_good_ones_among_them_pass(
    desk: Desk,
) -> None:
    await desk.deposit(1_000 * USD)
    trade = new_id()
    await desk.hold(a_hold(trade=trade, amount=USD))
    bad = [
        *[pb.HoldAdjustment(adjustment_id=t, hold_id=trade, amount=1) for t in NO_IDS],
        *[pb.HoldAdjustment(adjustment_id=new_id(), hold_id=t, amount=1) for t in NO_IDS],
        *[pb.HoldAdjustment(adjustment_id=new_id(), hold_id=trade, amount=a) for a in NO_AMOUNTS],
    ]
    good = pb.HoldAdjustment(adjustment_id=new_id(), hold_id=trade, amount=1)

    results = await desk.adjust(*bad, good)

    ids = [Reason.REASON_INVALID_ID] * 2 * len(NO_IDS)
    assert [r.reason for r in results] == [*ids, *[Reason.REASON_INVALID_AMOUNT] * 2, DONE]
    assert [r.id for r in results] == [item.adjustment_id for item in (*bad, good)]
    assert await desk.cash_of() == (999 * USD - 1, USD + 1)


async def test_only_a_buy_saves_and_never_less_than_nothing(desk: Desk) -> None:
    await desk.deposit_shares(10)
    trade = new_id()
    await desk.hold(a_hold(trade=trade, asset="AAPL", amount=5))
    results = await desk.post(
        a_fill(trade, side=SELL, quantity=1, saved=1),
        a_fill(new_id(), quantity=1, saved=-1),
        a_fill(trade, side=SELL, quantity=1),
    )
    assert [r.reason for r in results] == [Reason.REASON_INVALID_AMOUNT] * 2 + [DONE]
