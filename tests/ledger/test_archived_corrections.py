"""Busts and corrections of fills whose entries are archived: answered for good, never by half."""

from contextlib import AsyncExitStack

from libs.postgres import Pool
from services.ledger.domain.deeds import id_of_execution
from services.ledger.store.history import History
from stockbroker.common.v1.reason_pb2 import Reason
from tests.ledger.desk import USD, a_bust, a_correction, a_hold
from tests.ledger.past import DONE, At, Past, assert_invariants_hold, buy

ARCHIVED = Reason.REASON_HISTORY_ARCHIVED


async def test_what_was_told_before_its_fill_was_archived_is_answered_the_same_for_ever(
    past: Past, archive: At
) -> None:
    desk = past.desk
    too_dear = a_correction(past.fills[1], quantity=1_000, price=100 * USD, called="C-1")
    bust = a_bust(past.fills[0], called="B-1")
    told = await desk.correct(too_dear, bust)
    assert [each.reason for each in told] == [Reason.REASON_INSUFFICIENT_FUNDS, DONE]
    owned = await desk.cash_of(), await desk.shares_of()
    await archive.run()
    for _ in range(2):
        again = await desk.correct(too_dear, bust)
        assert [each.reason for each in again] == [each.reason for each in told]
        assert [each.id for each in again] == ["C-1", "B-1"]
    others = [
        a_bust(past.fills[1], called="B-1"),
        a_correction(past.fills[0], quantity=9, price=100 * USD, called="B-1"),
    ]
    assert {each.reason for each in await desk.correct(*others)} == {Reason.REASON_EXISTS_DIFFERENT}
    assert (await desk.cash_of(), await desk.shares_of()) == owned
    await assert_invariants_hold(desk)


async def test_what_is_told_afterwards_is_refused_alone_and_leaves_nothing_behind(
    past: Past, archive: At
) -> None:
    desk = past.desk
    await archive.run()
    fresh = await buy(desk)
    ends = await desk.rows("SELECT transfer_seq FROM journal_head")
    late = a_bust(past.fills[0], called="B-1")
    for _ in range(2):
        refused = await desk.correct(late, a_correction(past.fills[1], quantity=9, price=USD))
        assert [each.reason for each in refused] == [ARCHIVED, ARCHIVED]
    assert await desk.rows("SELECT transfer_seq FROM journal_head") == ends
    mixed = await desk.correct(late, a_bust(fresh), a_bust("nobody's"), a_bust(past.fills[2]))
    assert [each.reason for each in mixed] == [
        ARCHIVED,
        DONE,
        Reason.REASON_TRANSFER_NOT_FOUND,
        DONE,
    ]
    (held,) = await desk.hold(a_hold(amount=100 * USD))
    assert held.reason == DONE
    await assert_invariants_hold(desk)


async def test_what_is_archived_between_two_looks_is_not_taken_for_half_of_it(
    past: Past, archive: At, postgres_url: str
) -> None:
    ids = [id_of_execution("XSIM", execution) for execution in past.fills]
    pool = Pool(postgres_url)
    async with AsyncExitStack() as open_:
        await pool.open()
        open_.push_async_callback(pool.close)
        history = History(pool)
        found = await history.transfers(ids)
        assert not any(each.is_archived for each in found.values())
        await archive.run()
        assert list(await history.moved(found.values())) == ids[2:]
