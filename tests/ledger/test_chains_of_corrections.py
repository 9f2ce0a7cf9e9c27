"""Fills that are corrected time and again, and busted then: each time from what they were last."""

from pathlib import Path

import pytest

from libs.reasons import Reason
from stockbroker.ledger.v1 import invariant_pb2
from stockbroker.ledger.v1.correction_pb2 import ExecutionCorrection
from tests.ledger.desk import USD, Desk, a_bust, a_correction
from tests.ledger.past import At, Past, assert_invariants_hold
from tests.ledger.proofs import sealed, verified
from tests.ledger.test_booked_executions import moved, page
from tests.ledger.test_corrections import a_buy, a_sale
from tests.support.keys import bearer

DONE = Reason.REASON_UNSPECIFIED


def chain(execution: str = "E-1") -> list[ExecutionCorrection]:
    """10 at 100 were 7 at 90, then 9 at 110, and then they never were."""
    return [
        a_correction(execution, called="C-1", quantity=7, price=90 * USD),
        a_correction(execution, called="C-2", after="C-1", quantity=9, price=110 * USD),
        a_bust(execution, called="B-3", after="C-2"),
    ]


async def reasons(desk: Desk, *corrections: ExecutionCorrection) -> list[Reason.ValueType]:
    return [result.reason for result in await desk.correct(*corrections)]


async def test_a_buy_is_corrected_time_and_again_and_busted(desk: Desk) -> None:
    await desk.deposit_shares(10, cost=7)
    await a_buy(desk)
    stands = []
    for each in chain():
        assert await reasons(desk, each) == [DONE]
        stands.append((await desk.cash_of(), await desk.shares_of()))
    assert stands == [
        (((2_000 - 630) * USD, 0), (17, 0, 630 * USD + 7)),
        (((2_000 - 990) * USD, 0), (19, 0, 990 * USD + 7)),
        ((2_000 * USD, 0), (10, 0, 7)),
    ]
    await desk.assert_books_balance()


async def test_a_sale_is_corrected_time_and_again_and_busted_in_one_request(desk: Desk) -> None:
    await a_sale(desk)
    assert await reasons(desk, *chain()) == [DONE, DONE, DONE]
    assert await desk.cash_of() == (0, 0)
    assert await desk.shares_of() == (40, 0, 800 * USD)
    await desk.assert_books_balance()


async def test_told_again_each_is_answered_as_before_and_moves_nothing(desk: Desk) -> None:
    await a_buy(desk)
    told = await desk.correct(*chain()[:2])
    before = await desk.rows("SELECT transfer_seq FROM journal_head")
    assert await desk.correct(*chain()[:2]) == told
    assert await desk.correct(chain()[0]) == told[:1]
    assert await desk.rows("SELECT transfer_seq FROM journal_head") == before
    assert await reasons(desk, chain()[2]) == [DONE]
    assert await desk.cash_of() == (2_000 * USD, 0)


async def test_what_is_not_the_latest_is_not_corrected_again(desk: Desk) -> None:
    await a_buy(desk, "E-1")
    await a_buy(desk, "E-2")
    first, second, bust = chain()
    unknown = a_bust("E-1", called="X-1", after="C-1")
    assert await reasons(desk, unknown) == [Reason.REASON_TRANSFER_NOT_FOUND]
    assert await reasons(desk, first, second) == [DONE, DONE]
    stands = await desk.cash_of(), await desk.shares_of()

    cases = {
        a_bust("E-1", called="X-2").SerializeToString(): Reason.REASON_ALREADY_REVERSED,
        a_bust("E-1", called="X-3", after="C-1").SerializeToString(): (
            Reason.REASON_ALREADY_REVERSED
        ),
        a_bust("E-1", called="X-4", after="C-9").SerializeToString(): (
            Reason.REASON_TRANSFER_NOT_FOUND
        ),
        a_bust("E-2", called="X-5", after="C-2").SerializeToString(): (
            Reason.REASON_TRANSFER_NOT_FOUND
        ),
        a_bust("E-1", called="X-6", after="a b").SerializeToString(): Reason.REASON_INVALID_ID,
    }
    asked = map(ExecutionCorrection.FromString, cases)
    assert await reasons(desk, *asked) == list(cases.values())
    assert (await desk.cash_of(), await desk.shares_of()) == stands

    after_bust = a_correction("E-1", called="X-7", after="B-3", quantity=1, price=USD)
    assert await reasons(desk, bust, after_bust) == [DONE, Reason.REASON_NOT_REVERSIBLE]
    await desk.assert_books_balance()


async def test_what_corrects_a_correction_that_was_refused_waits_for_it(desk: Desk) -> None:
    await a_buy(desk)
    dear = a_correction("E-1", called="C-1", quantity=10, price=201 * USD)
    cheap = a_correction("E-1", called="C-2", after="C-1", quantity=10, price=50 * USD)
    refused = [Reason.REASON_INSUFFICIENT_FUNDS, Reason.REASON_TRANSFER_NOT_FOUND]
    assert await reasons(desk, dear, cheap) == refused

    await desk.deposit(10 * USD)
    dear.retries = cheap.retries = 1
    assert await reasons(desk, cheap, dear) == [Reason.REASON_TRANSFER_NOT_FOUND, DONE]
    cheap.retries = 2
    assert await reasons(desk, cheap) == [DONE]
    assert await desk.cash_of() == ((2_010 - 500) * USD, 0)
    told = (await page(desk)).executions
    assert [each.correction_id for each in told] == ["", "C-1", "C-2"]
    await desk.assert_books_balance()


async def test_a_retry_takes_no_id_that_the_exchange_may_give(desk: Desk) -> None:
    await a_buy(desk, "E-1")
    await a_buy(desk, "E-2")
    retried = a_bust("E-1", called="B-1", retries=1)
    assert await reasons(desk, retried, a_bust("E-2", called="B-1/1"), retried) == [DONE] * 3
    none = a_bust("E-2", called="B-1 1"), a_bust("E-2", retries=-1)
    invalid = [Reason.REASON_INVALID_ID, Reason.REASON_INVALID_REQUEST]
    assert await reasons(desk, *none) == invalid
    assert await desk.shares_of() == (0, 0, 0)
    await desk.assert_books_balance()
    await assert_invariants_hold(desk)


async def test_what_has_the_longest_id_is_asked_again_too(desk: Desk) -> None:
    await a_buy(desk)
    longest = "B" * 128
    dear = a_correction("E-1", called=longest, quantity=10, price=201 * USD)
    assert await reasons(desk, dear) == [Reason.REASON_INSUFFICIENT_FUNDS]
    await desk.deposit(10 * USD)
    dear.retries = 2**31 - 1
    assert await reasons(desk, dear, a_bust("E-1", after=longest)) == [DONE, DONE]
    assert await desk.cash_of() == (2_010 * USD, 0)
    await desk.assert_books_balance()


async def test_the_exchange_may_name_one_as_if_another_were_asked_again(desk: Desk) -> None:
    await a_buy(desk)
    first = a_correction("E-1", called="C/1", quantity=7, price=90 * USD)
    second = a_correction("E-1", called="C", after="C/1", quantity=9, price=110 * USD)
    assert await reasons(desk, first, second) == [DONE, DONE]
    assert await reasons(desk, a_bust("E-1", called="B", after="C/1")) == [
        Reason.REASON_ALREADY_REVERSED
    ]
    assert await reasons(desk, a_bust("E-1", called="D", after="C")) == [DONE]
    assert await desk.cash_of() == (2_000 * USD, 0)
    await desk.assert_books_balance()


async def test_each_is_told_of_its_execution(desk: Desk) -> None:
    trade = await a_buy(desk)
    await desk.correct(*chain())
    told = (await page(desk)).executions
    named = [(each.execution_id, each.correction_id, each.trade_id) for each in told]
    assert named == [("E-1", id_, trade) for id_ in ("", "C-1", "C-2", "B-3")]
    assert [moved(each)["alice", "AAPL"] for each in told] == [10, -3, 2, -9]
    assert [moved(each)["alice", "USD"] // USD for each in told] == [-1_000, 370, -360, 990]


async def test_books_with_chains_of_corrections_are_proven(desk: Desk, tmp_path: Path) -> None:
    await a_buy(desk, "E-1")
    assert await reasons(desk, *chain()) == [DONE] * 3
    await a_sale(desk, "E-2")
    again = a_correction("E-2", called="D-2", after="D-1", quantity=3, price=80 * USD)
    assert await reasons(
        desk, a_correction("E-2", called="D-1", quantity=4, price=120 * USD), again
    ) == [DONE, DONE]
    await sealed(desk)
    await verified(desk, tmp_path)
    looks = desk.ledger.GetInvariants(
        invariant_pb2.GetInvariantsRequest(full=True), metadata=bearer(desk.keys.operator())
    )
    async for look in looks:
        assert all(invariant.holds for invariant in look.invariants)


@pytest.mark.parametrize("number", [0, 1, 2])
async def test_what_was_told_before_it_was_archived_is_answered_the_same_for_ever(
    past: Past, archive: At, number: int
) -> None:
    desk = past.desk
    corrections = chain(past.fills[0])[: number + 1]
    assert await reasons(desk, *corrections) == [DONE] * (number + 1)
    await archive.run()
    assert await reasons(desk, *corrections) == [DONE] * (number + 1)
    corrections[-1].correction_id = "X"
    corrections[-1].previous_correction_id = corrections[-2].correction_id if number else ""
    assert await reasons(desk, corrections[-1]) == [Reason.REASON_HISTORY_ARCHIVED]
    elsewhere = a_bust(past.fills[1], called="C-1")
    assert await reasons(desk, elsewhere) == [Reason.REASON_EXISTS_DIFFERENT]
