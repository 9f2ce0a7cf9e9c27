"""What an exchange takes back of fills: busts and corrections, booked by new entries."""

from datetime import UTC, datetime
from pathlib import Path

import pytest

from libs.reasons import Reason
from stockbroker.ledger.v1 import invariant_pb2
from stockbroker.ledger.v1.correction_pb2 import (
    CORRECTION_KIND_BUST,
    CORRECTION_KIND_CORRECT,
    ExecutionCorrection,
)
from tests.ledger.desk import SELL, USD, Desk, a_bust, a_correction, a_fill, a_hold, new_id
from tests.ledger.proofs import sealed, verified
from tests.ledger.test_access import refusal
from tests.ledger.test_booked_executions import moved, page
from tests.ledger.test_operators import Operator
from tests.ledger.test_transfers import a_leg, a_transfer
from tests.support.keys import bearer

DONE = Reason.REASON_UNSPECIFIED


async def a_buy(desk: Desk, execution: str = "E-1") -> str:
    """Alice has 2,000 dollars and buys 10 AAPL at 100; the trade's id."""
    trade = new_id()
    await desk.deposit(2_000 * USD)
    await desk.hold(a_hold(trade=trade, amount=1_000 * USD))
    await desk.post(a_fill(trade, execution=execution, last=True))
    return trade


async def a_sale(desk: Desk, execution: str = "E-1") -> str:
    """Alice has 40 AAPL that cost 20 each and sells 10 at 100; the trade's id."""
    trade = new_id()
    await desk.deposit_shares(40, cost=800 * USD)
    await desk.hold(a_hold(trade=trade, asset="AAPL", amount=10))
    await desk.post(a_fill(trade, side=SELL, execution=execution, last=True))
    return trade


async def test_a_busted_buy_gives_the_cash_back_and_takes_the_shares(desk: Desk) -> None:
    await desk.deposit_shares(10, cost=7)
    await a_buy(desk)
    (result,) = await desk.correct(a_bust("E-1", called="B-1"))
    assert (result.id, result.reason, result.amount) == ("B-1", DONE, 0)
    assert await desk.cash_of() == (2_000 * USD, 0)
    assert await desk.shares_of() == (10, 0, 7)
    await desk.assert_books_balance()


async def test_a_busted_sale_gives_the_shares_back_with_their_cost(desk: Desk) -> None:
    await a_sale(desk)
    assert await desk.shares_of() == (30, 0, 600 * USD)
    assert (await desk.correct(a_bust("E-1")))[0].reason == DONE
    assert await desk.cash_of() == (0, 0)
    assert await desk.shares_of() == (40, 0, 800 * USD)
    await desk.assert_books_balance()


async def test_a_corrected_buy_is_as_if_it_had_been_right(desk: Desk) -> None:
    await a_buy(desk)
    (result,) = await desk.correct(a_correction("E-1", quantity=12, price=90 * USD))
    assert result.reason == DONE
    assert await desk.cash_of() == ((2_000 - 1_080) * USD, 0)
    assert await desk.shares_of() == (12, 0, 1_080 * USD)
    await desk.assert_books_balance()


async def test_a_corrected_sale_is_as_if_it_had_been_right(desk: Desk) -> None:
    await a_sale(desk)
    (result,) = await desk.correct(a_correction("E-1", quantity=20, price=110 * USD))
    assert result.reason == DONE
    assert await desk.cash_of() == (2_200 * USD, 0)
    assert await desk.shares_of() == (20, 0, 400 * USD)
    await desk.assert_books_balance()


async def test_a_correction_needs_no_more_than_the_difference(desk: Desk) -> None:
    """All shares but one and all cash but ten dollars are gone since."""
    await a_buy(desk)
    gone = [
        a_leg("customer/alice", "bank", 9, "AAPL"),
        a_leg("customer/alice", "bank", 990 * USD, "USD"),
    ]
    assert (await desk.transfer(a_transfer(*gone)))[0].reason == DONE
    (result,) = await desk.correct(a_correction("E-1", quantity=10, price=101 * USD))
    assert result.reason == DONE
    assert await desk.cash_of() == (0, 0)
    assert (await desk.shares_of())[0] == 1
    await desk.assert_books_balance()


@pytest.mark.parametrize(
    ("sold", "correction", "reason"),
    [
        (True, a_bust("E-1"), Reason.REASON_INSUFFICIENT_SHARES),
        (True, a_correction("E-1", quantity=2, price=USD), Reason.REASON_INSUFFICIENT_SHARES),
        (
            False,
            a_correction("E-1", quantity=10, price=201 * USD),
            Reason.REASON_INSUFFICIENT_FUNDS,
        ),
    ],
)
async def test_what_the_customer_no_longer_has_is_left_to_an_operator(
    desk: Desk, sold: bool, correction: ExecutionCorrection, reason: Reason.ValueType
) -> None:
    await a_buy(desk)
    if sold:
        await desk.hold(a_hold(asset="AAPL", amount=3))
        await desk.transfer(a_transfer(a_leg("customer/alice", "bank", 1_000 * USD, "USD")))
        before = (0, 0), (7, 3, 1_000 * USD)
    else:
        before = (1_000 * USD, 0), (10, 0, 1_000 * USD)

    assert [r.reason for r in await desk.correct(correction)] == [reason]
    assert (await desk.cash_of(), await desk.shares_of()) == before

    await desk.deposit(5_000 * USD)
    await desk.deposit_shares(10)
    assert [r.reason for r in await desk.correct(correction)] == [reason]  # for ever
    correction.correction_id += "-again"
    assert [r.reason for r in await desk.correct(correction)] == [DONE]
    await desk.assert_books_balance()


async def test_an_execution_is_corrected_once(desk: Desk) -> None:
    await a_buy(desk)
    bust = a_bust("E-1")
    first, again, other, right = await desk.correct(
        bust, bust, a_bust("E-1"), a_correction("E-1", quantity=1, price=USD)
    )
    assert (first.reason, first.balances) == (DONE, again.balances)
    assert [again.reason, other.reason, right.reason] == [
        DONE,
        Reason.REASON_ALREADY_REVERSED,
        Reason.REASON_ALREADY_REVERSED,
    ]
    assert (await desk.correct(bust))[0] == first
    assert await desk.cash_of() == (2_000 * USD, 0)


async def test_what_an_operator_reversed_is_not_busted_and_the_other_way_round(desk: Desk) -> None:
    await a_buy(desk, "E-1")
    await a_buy(desk, "E-2")
    olivia, oscar = Operator(desk, "olivia"), Operator(desk, "oscar")
    ids = {b.execution_id: b.transfer_id for b in (await page(desk)).executions}
    first, second = new_id(), new_id()
    for execution, request in (("E-1", first), ("E-2", second)):
        await olivia.request(ids[execution], called=request)
    await oscar.approve(first)
    results = await desk.correct(a_bust("E-1"), a_bust("E-2"))
    assert [r.reason for r in results] == [Reason.REASON_ALREADY_REVERSED, DONE]
    assert (await refusal(oscar.approve(second)))[1] == "ALREADY_REVERSED"
    assert await olivia.waiting() == []


async def test_the_same_id_with_other_terms_is_refused(desk: Desk) -> None:
    await a_buy(desk, "E-1")
    await a_buy(desk, "E-2")
    results = await desk.correct(
        a_bust("E-1", called="B"),
        a_bust("E-2", called="B"),
        a_correction("E-1", called="B", quantity=1, price=USD),
        a_correction("E-2", called="C", quantity=2, price=USD),
        a_correction("E-2", called="C", quantity=1, price=2 * USD),
    )
    different = Reason.REASON_EXISTS_DIFFERENT
    assert [r.reason for r in results] == [DONE, different, different, DONE, different]


async def test_what_is_not_booked_is_told_and_not_recorded(desk: Desk) -> None:
    await desk.post(a_fill(new_id(), execution="E-refused"))
    bust = a_bust("E-late")
    results = await desk.correct(bust, a_bust("E-refused"))
    assert [r.reason for r in results] == [
        Reason.REASON_TRANSFER_NOT_FOUND,
        Reason.REASON_NOT_REVERSIBLE,
    ]
    await a_buy(desk, "E-late")
    assert (await desk.correct(bust))[0].reason == DONE


async def test_each_malformed_correction_is_named_and_good_ones_among_them_pass(
    desk: Desk,
) -> None:
    await a_buy(desk)

    def wrong(**fields: object) -> ExecutionCorrection:
        right = {"correction_id": "C", "execution_id": "E-1", "venue": "XSIM", "quantity": 1}
        known = right | {"price_micros": 1, "kind": CORRECTION_KIND_CORRECT} | fields
        return ExecutionCorrection(**known)  # type: ignore[arg-type]

    bust = {"kind": CORRECTION_KIND_BUST, "quantity": 0, "price_micros": 0}
    cases = [
        *[(wrong(correction_id=text), Reason.REASON_INVALID_ID) for text in ["", "a b", "x" * 129]],
        *[(wrong(execution_id=text), Reason.REASON_INVALID_ID) for text in ["", "\x00", "é"]],
        *[(wrong(venue=text), Reason.REASON_INVALID_ID) for text in ["", "a/b", "x" * 70_000]],
        *[(wrong(kind=kind), Reason.REASON_INVALID_REQUEST) for kind in [0, 3, -1]],
        *[(wrong(quantity=n), Reason.REASON_INVALID_QUANTITY) for n in [0, -1, -(2**63)]],
        *[(wrong(price_micros=n), Reason.REASON_INVALID_PRICE) for n in [0, -1]],
        (wrong(quantity=2**32, price_micros=2**31), Reason.REASON_INVALID_AMOUNT),
        (wrong(**(bust | {"quantity": 1})), Reason.REASON_INVALID_QUANTITY),
        (wrong(**(bust | {"price_micros": 1})), Reason.REASON_INVALID_PRICE),
    ]
    late = wrong()
    late.effective_at.seconds = 2**62
    cases.append((late, Reason.REASON_INVALID_REQUEST))
    results = await desk.correct(*[item for item, _ in cases], a_bust("E-1"))
    assert [r.reason for r in results] == [*[reason for _, reason in cases], DONE]


async def test_a_frozen_customer_s_fills_are_corrected_too(desk: Desk) -> None:
    await a_buy(desk)
    await Operator(desk, "olivia").freeze("customer/alice")
    assert (await desk.correct(a_bust("E-1")))[0].reason == DONE


async def test_corrections_are_told_of_their_execution(desk: Desk) -> None:
    trade = await a_buy(desk, "E-1")
    await a_buy(desk, "E-2")
    bust = a_bust("E-1", called="B-1")
    bust.effective_at.FromDatetime(datetime(2026, 11, 20, 17, tzinfo=UTC))
    await desk.correct(bust, a_correction("E-2", called="C-2", quantity=9, price=100 * USD))

    fills, told = (await page(desk)).executions[:2], (await page(desk)).executions[2:]

    assert [(f.is_fill, f.correction_kind, f.correction_id) for f in fills] == [(True, 0, "")] * 2
    assert [(t.execution_id, t.is_fill, t.correction_kind, t.correction_id) for t in told] == [
        ("E-1", False, CORRECTION_KIND_BUST, "B-1"),
        ("E-2", False, CORRECTION_KIND_CORRECT, "C-2"),
    ]
    assert told[0].trade_id == trade
    assert told[0].effective_at == bust.effective_at
    assert moved(told[0]) == {("alice", "USD"): 1_000 * USD, ("alice", "AAPL"): -10}
    assert moved(told[1]) == {("alice", "USD"): 100 * USD, ("alice", "AAPL"): -1}


async def test_the_books_with_corrections_are_proven(desk: Desk, tmp_path: Path) -> None:
    await a_buy(desk, "E-1")
    await a_sale(desk, "E-2")
    await a_buy(desk, "E-3")
    await desk.correct(
        a_bust("E-1"),
        a_correction("E-2", quantity=4, price=120 * USD),
        a_correction("E-3", quantity=300, price=100 * USD),
        a_correction("E-3", quantity=3, price=100 * USD),
    )
    await sealed(desk)
    await verified(desk, tmp_path)
    await desk.assert_books_balance()
    looks = desk.ledger.GetInvariants(
        invariant_pb2.GetInvariantsRequest(full=True), metadata=bearer(desk.keys.operator())
    )
    async for look in looks:
        assert all(invariant.holds for invariant in look.invariants)
