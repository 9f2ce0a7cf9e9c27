"""The rule alone: order, precedence, limits."""

from collections.abc import Sequence
from datetime import timedelta

import pytest
from msgspec.structs import replace

from libs.reasons import Reason
from services.ledger.domain.attempt import MOST
from services.ledger.domain.books import CASH, AccountKey, AccountState, Kind
from services.ledger.domain.operations import Operation, Post, leg
from tests.ledger.memory import (
    ALICE,
    CLEARING,
    DONE,
    NOON,
    SHARES,
    Books,
    drawn,
    group,
    held,
    opened,
    paid_in,
    paid_out,
    released,
)


def test_operations_of_a_batch_see_what_those_before_them_left() -> None:
    assert Books().reasons(
        paid_out(1, called="before the money is there"),
        paid_in(10),
        held(called="all of it"),
        paid_out(1, called="all is held"),
        group(drawn(4), called="fill", hold="all of it", rest=True),
        paid_out(6, called="the rest is free"),
        paid_out(1, called="nothing is left"),
    ) == [
        Reason.REASON_INSUFFICIENT_FUNDS,
        DONE,
        DONE,
        Reason.REASON_INSUFFICIENT_FUNDS,
        DONE,
        DONE,
        Reason.REASON_INSUFFICIENT_FUNDS,
    ]


def test_a_group_moves_all_its_legs_or_none() -> None:
    books = opened(paid_in(10))
    before = dict(books.accounts)

    assert books.reasons(
        group(
            leg(4, CASH, source=ALICE.name, target=CLEARING),
            leg(1, "AAPL", source=ALICE.name, target="customer/new"),
            leg(4, CASH, source=ALICE.name, target="house/fees"),
        )
    ) == [Reason.REASON_INSUFFICIENT_SHARES]

    assert books.accounts == before
    assert books.writes[-1].entries == ()


def test_a_leg_may_spend_what_a_leg_before_it_brought() -> None:
    there = leg(5, CASH, source=CLEARING, target=ALICE.name)
    back = leg(5, CASH, source=ALICE.name, target="house/fees")
    assert Books().reasons(group(there, back, called="a"), group(back, there, called="b")) == [
        DONE,
        Reason.REASON_INSUFFICIENT_FUNDS,
    ]


def test_a_house_account_is_written_once_however_often_it_is_used() -> None:
    books = opened(
        paid_in(10), paid_out(3, called="a"), paid_out(3, called="b"), paid_out(4, called="c")
    )
    writes = books.writes[-1]

    clearing = [a for a in writes.opened if a.key.name == CLEARING]
    assert [(a.posted, a.version) for a in clearing] == [(10, 3)]
    entries = [e for e in writes.entries if e.account_id == clearing[0].id]
    assert [(e.version, e.amount, e.balance_after) for e in entries] == [
        (1, 3, 3),
        (2, 3, 6),
        (3, 4, 10),
    ]


def test_the_same_id_twice_in_a_batch_has_one_effect_and_one_answer() -> None:
    books = Books()
    first, second = books.take(paid_in(10, called="a"), paid_in(10, called="a"))
    assert first == second
    assert books.accounts[ALICE].posted == 10


def test_a_refused_id_never_succeeds_later() -> None:
    books = Books()
    results = books.take(held(5), paid_in(10), held(5))
    assert results[0] == results[2]
    assert results[0].reason == Reason.REASON_INSUFFICIENT_FUNDS
    assert books.take(held(5)) == [results[0]]
    assert books.accounts[ALICE].held == 0


@pytest.mark.parametrize(
    "other",
    [
        paid_in(11, called="a"),
        paid_in(10, AccountKey("customer/bob", CASH), called="a"),
        paid_in(10, SHARES, called="a"),
        paid_in(10, called="a", cost=1),
        replace(paid_in(10, called="a"), reference="other words"),
        replace(paid_in(10, called="a"), kind=Kind.EXECUTION),
        replace(paid_in(10, called="a"), legs=paid_in(10).legs * 2),
        held(10, called="a"),
        replace(released(), id="a"),
    ],
)
def test_an_id_with_other_terms_is_refused_and_changes_nothing(other: Operation) -> None:
    books = opened(paid_in(10, called="a"))
    assert books.reasons(other) == [Reason.REASON_EXISTS_DIFFERENT]
    assert books.writes[-1].transfers == ()
    assert books.reasons(paid_in(10, called="a")) == [DONE]


def test_who_asks_and_when_are_no_terms() -> None:
    books = opened(paid_in(10, called="a"))
    again = replace(paid_in(10, called="a"), actor="olivia", effective_at=NOON)
    assert books.reasons(again) == [DONE]


def test_reasons_come_in_their_order() -> None:
    """Every operation but the first breaks all rules from its own on."""
    bob = AccountKey("customer/bob", CASH)
    poor = drawn(2 * MOST)
    books = opened(
        paid_in(10),
        paid_in(10, bob, called="bob"),
        held(5),
        held(5, called="gone"),
        released("gone"),
    )
    books.set_state(ALICE, AccountState.CLOSED)

    assert books.reasons(group(poor, called="bob", hold="unknown")) == [
        Reason.REASON_EXISTS_DIFFERENT
    ]
    assert books.reasons(
        group(poor, called="1", hold="unknown"),
        group(poor, leg(1, CASH, source=bob.name, target=CLEARING, from_hold=True), hold="gone"),
        group(poor, called="2", hold="gone"),
        group(poor, called="3", hold="hold"),
    ) == [
        Reason.REASON_HOLD_NOT_FOUND,
        Reason.REASON_HOLD_NOT_FOUND,
        Reason.REASON_HOLD_CLOSED,
        Reason.REASON_ACCOUNT_NOT_OPEN,
    ]
    books.set_state(ALICE, AccountState.OPEN)
    too_much = leg(MOST, CASH, source="house/deposits", target=bob.name)
    lacking = leg(MOST, CASH, source=ALICE.name, target=bob.name)
    assert books.reasons(
        group(drawn(6), lacking, too_much, called="4", hold="hold"),
        group(drawn(5), lacking, too_much, called="5", hold="hold"),
        group(drawn(5), too_much, called="6", hold="hold"),
        group(drawn(5), called="7", hold="hold"),
    ) == [
        Reason.REASON_HOLD_EXCEEDED,
        Reason.REASON_INSUFFICIENT_FUNDS,
        Reason.REASON_BALANCE_OVERFLOW,
        DONE,
    ]


@pytest.mark.parametrize(
    ("state", "expected"),
    [
        (AccountState.OPEN, [DONE] * 5),
        (
            AccountState.FROZEN,
            [Reason.REASON_ACCOUNT_NOT_OPEN] * 3 + [DONE] * 2,
        ),
        (
            AccountState.CLOSED,
            [Reason.REASON_ACCOUNT_NOT_OPEN] * 4 + [DONE],
        ),
    ],
)
def test_a_frozen_account_only_ends_what_it_began(
    state: AccountState, expected: Sequence[Reason.ValueType]
) -> None:
    books = opened(paid_in(100), held(50))
    books.set_state(ALICE, state)
    assert (
        books.reasons(
            paid_in(1, called="a"),
            paid_out(1, called="b"),
            held(1, called="c"),
            group(drawn(1), called="d", hold="hold"),
            released(),
        )
        == expected
    )


def test_a_balance_may_be_as_large_as_64_bits_and_no_larger() -> None:
    books = opened(paid_in(MOST, called="a"))
    assert books.reasons(paid_in(1, called="b")) == [Reason.REASON_BALANCE_OVERFLOW]
    # The house can owe one more than that, and no more either.
    assert books.reasons(paid_in(1, AccountKey("customer/bob", CASH), called="c")) == [DONE]
    assert books.reasons(paid_in(1, AccountKey("customer/bob", CASH), called="d")) == [
        Reason.REASON_BALANCE_OVERFLOW
    ]


def test_a_cost_may_be_as_large_as_64_bits_and_no_larger() -> None:
    books = opened(paid_in(1, SHARES, called="a", cost=MOST))
    assert books.reasons(paid_in(1, SHARES, called="b", cost=1)) == [Reason.REASON_BALANCE_OVERFLOW]


def test_a_hold_takes_all_that_is_available_or_is_refused_when_that_is_nothing() -> None:
    books = opened(paid_in(10), paid_out(3))
    first, second = books.take(held(called="a"), held(called="b"))
    assert (first.reason, first.amount) == (DONE, 7)
    assert (second.reason, second.amount) == (Reason.REASON_INSUFFICIENT_FUNDS, 0)
    assert Books().reasons(held(key=SHARES)) == [Reason.REASON_INSUFFICIENT_SHARES]


def test_a_hold_serves_many_posts_and_one_release() -> None:
    books = opened(paid_in(10), held(9))
    assert [
        (r.reason, r.amount)
        for r in books.take(
            group(drawn(2), called="a", hold="hold"),
            group(drawn(3), drawn(1), called="b", hold="hold"),
            released(called="c"),
            released(called="d"),
            group(drawn(1), called="e", hold="hold"),
        )
    ] == [
        (DONE, 0),
        (DONE, 0),
        (DONE, 3),
        (Reason.REASON_HOLD_CLOSED, 0),
        (Reason.REASON_HOLD_CLOSED, 0),
    ]
    alice = books.accounts[ALICE]
    assert (alice.posted, alice.held) == (4, 0)


def test_a_hold_drawn_whole_is_still_released_once() -> None:
    books = opened(paid_in(10), held(10), group(drawn(10), called="a", hold="hold"))
    assert books.reasons(released(called="b"), released(called="c")) == [
        DONE,
        Reason.REASON_HOLD_CLOSED,
    ]


def test_a_hold_that_comes_after_its_release_is_refused() -> None:
    books = opened(paid_in(10))
    assert books.reasons(released("late"), held(5, called="late"), released("late")) == [
        Reason.REASON_HOLD_NOT_FOUND,
        Reason.REASON_HOLD_CLOSED,
        Reason.REASON_HOLD_NOT_FOUND,
    ]
    assert books.accounts[ALICE].held == 0


def test_a_fill_that_found_no_hold_does_not_forbid_it() -> None:
    books = opened(paid_in(10))
    assert books.reasons(
        group(drawn(1), called="early", hold="hold"), held(5), group(drawn(1), hold="hold")
    ) == [Reason.REASON_HOLD_NOT_FOUND, DONE, DONE]


def test_results_tell_the_accounts_as_they_stood() -> None:
    books = opened(paid_in(10))
    hold, fill, refused = books.take(held(8), group(drawn(5), hold="hold", rest=True), paid_out(6))
    assert [(b.account, b.version, b.posted, b.held) for b in hold.balances] == [(ALICE, 2, 10, 8)]
    assert [(b.account.name, b.version, b.posted, b.held) for b in fill.balances] == [
        (ALICE.name, 3, 5, 0),
        (CLEARING, 1, 5, 0),
    ]
    assert refused.balances == fill.balances


def test_record_time_never_falls_even_if_the_clock_does() -> None:
    books = opened(paid_in(1))
    books.take(paid_in(2), at=NOON - timedelta(hours=1))
    books.take(paid_in(3), at=NOON + timedelta(hours=1))
    times = [w.transfers[0].recorded_at for w in books.writes]
    assert times == [NOON, NOON, NOON + timedelta(hours=1)]


def test_what_was_to_be_reversed_in_vain_is_reversed_once_all_the_same() -> None:
    books = opened(paid_in(5, called="wrong"))

    def reversal(amount: int, *, called: str) -> Post:
        back = leg(amount, CASH, source=ALICE.name, target=CLEARING)
        return Post(id=called, kind=Kind.REVERSAL, legs=(back,), reverses="wrong")

    attempts = reversal(6, called="a"), reversal(4, called="b"), reversal(1, called="c")
    assert books.reasons(*attempts) == [
        Reason.REASON_INSUFFICIENT_FUNDS,
        DONE,
        Reason.REASON_ALREADY_REVERSED,
    ]
