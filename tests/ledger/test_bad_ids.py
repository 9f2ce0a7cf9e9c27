"""Ids that callers get wrong: none that is no id is taken, and one id is one operation for ever."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from libs.reasons import Reason
from libs.rpc.status import reason_of
from services.ledger import tenure
from services.ledger.main import Settings
from services.ledger.writer import Writer
from stockbroker.ledger.v1 import ledger_service_pb2 as pb
from tests.ledger.bench import Turn
from tests.ledger.desk import USD, Desk, a_fill, a_hold, new_id
from tests.ledger.memory import paid_in, paid_out
from tests.ledger.test_access import refusal
from tests.ledger.test_input import NO_IDS
from tests.ledger.test_transfers import a_leg, a_transfer
from tests.support.keys import bearer

Ask = Callable[[Desk, str], Awaitable[Any]]
DONE = Reason.REASON_UNSPECIFIED
WORDS = {"account": "customer/alice", "reference": "a test"}


def operator(desk: Desk, name: str = "olivia") -> Any:
    return bearer(desk.keys.operator(name))


ALONE: dict[str, Ask] = {
    "deposit": lambda d, id_: d.ledger.Deposit(
        pb.DepositRequest(deposit_id=id_, customer_id="alice", amount_micros=7, reference="a test"),
        metadata=operator(d),
    ),
    "deposit of shares": lambda d, id_: d.ledger.DepositShares(
        pb.DepositSharesRequest(
            deposit_id=id_, customer_id="alice", symbol="AAPL", quantity=7, reference="a test"
        ),
        metadata=operator(d),
    ),
    "withdrawal": lambda d, id_: d.ledger.Withdraw(
        pb.WithdrawRequest(
            withdrawal_id=id_, customer_id="alice", amount_micros=7, reference="a test"
        ),
        metadata=operator(d),
    ),
    "withdrawal of shares": lambda d, id_: d.ledger.WithdrawShares(
        pb.WithdrawSharesRequest(
            withdrawal_id=id_, customer_id="alice", symbol="AAPL", quantity=7, reference="a test"
        ),
        metadata=operator(d),
    ),
    "freeze": lambda d, id_: d.ledger.Freeze(
        pb.FreezeRequest(freeze_id=id_, **WORDS), metadata=operator(d)
    ),
    "unfreeze": lambda d, id_: d.ledger.Unfreeze(
        pb.UnfreezeRequest(unfreeze_id=id_, **WORDS), metadata=operator(d)
    ),
    "close": lambda d, id_: d.ledger.Close(
        pb.CloseRequest(close_id=id_, account="customer/bob", reference="a test"),
        metadata=operator(d),
    ),
}
ITEMS: dict[str, Ask] = {
    "hold": lambda d, id_: d.hold(a_hold(trade=id_, amount=7)),
    "transfer": lambda d, id_: d.transfer(a_transfer(a_leg("house/fees", "bank", 7), called=id_)),
}


async def reason(ask: Ask, desk: Desk, id_: str) -> str:
    """What an operation is refused for; empty: nothing."""
    answer = ask(desk, id_)
    try:
        answered = await answer
    except Exception as error:
        return reason_of(error)  # type: ignore[arg-type]
    if ask not in ITEMS.values() or not answered[0].reason:
        return ""
    return Reason.Name(answered[0].reason).removeprefix("REASON_")


@pytest.mark.parametrize("name", [*ALONE])
async def test_what_is_no_id_is_not_taken_for_one(desk: Desk, name: str) -> None:
    await desk.deposit(USD)
    for text in [*NO_IDS, "customer/alice", "house/clearing"]:
        assert await reason(ALONE[name], desk, text) == "INVALID_ID", text
    assert await desk.rows("SELECT count(*) FROM transfer") == [(1,)]


async def test_what_is_no_id_is_not_taken_for_one_in_a_batch_or_a_reversal(desk: Desk) -> None:
    leg = a_leg("house/fees", "bank", 1)
    drawn = a_leg("customer/alice", "bank", 1, held=True)
    for text in [*NO_IDS[1:], "customer/alice"]:
        (result,) = await desk.transfer(a_transfer(leg, called=text))
        assert result.reason == Reason.REASON_INVALID_ID, text
        (result,) = await desk.transfer(a_transfer(drawn, hold=text))
        assert result.reason == Reason.REASON_INVALID_ID, text
    for text in [*NO_IDS, "customer/alice"]:
        for request in (
            pb.RequestReversalRequest(request_id=text, transfer_id=new_id(), reference="why"),
            pb.RequestReversalRequest(request_id=new_id(), transfer_id=text, reference="why"),
        ):
            call = desk.ledger.RequestReversal(request, metadata=operator(desk))
            assert (await refusal(call))[1] == "INVALID_ID", text
        approval = pb.ApproveReversalRequest(request_id=text, reference="why")
        approving = desk.ledger.ApproveReversal(approval, metadata=operator(desk))
        assert (await refusal(approving))[1] == "INVALID_ID", text
        assert (await refusal(desk.transfers(text)))[1] == "INVALID_ID", text
    assert await desk.rows("SELECT count(*) FROM transfer") == [(0,)]


async def test_an_id_of_one_kind_is_none_of_another(desk: Desk) -> None:
    """Whichever kind comes first with an id, no other kind is done under it."""
    await desk.deposit(USD)
    await desk.deposit_shares(100)
    every = ALONE | ITEMS
    for first in every:
        if first == "close":
            continue  # nothing would be left to do
        id_ = new_id()
        assert await reason(every[first], desk, id_) == ""
        if first == "freeze":
            assert await reason(every["unfreeze"], desk, new_id()) == ""
        count = await desk.rows("SELECT count(*) FROM transfer")
        for other, ask in every.items():
            expected = "" if other == first else "EXISTS_DIFFERENT"
            assert await reason(ask, desk, id_) == expected, (first, other)
        assert await desk.rows("SELECT count(*) FROM transfer") == count
    await desk.assert_books_balance()


async def test_the_same_id_twice_in_a_batch_has_one_effect(desk: Desk) -> None:
    await desk.deposit(100)
    trade, moved = new_id(), new_id()
    same, more = a_hold(trade=trade, amount=7), a_hold(trade=trade, amount=8)
    results = await desk.hold(same, more, same, same)
    different = Reason.REASON_EXISTS_DIFFERENT
    assert [r.reason for r in results] == [DONE, different, DONE, DONE]
    assert results[0] == results[2] == results[3]
    leg = a_leg("customer/alice", "bank", 5)
    one, other = a_transfer(leg, called=moved), a_transfer(leg, leg, called=moved)
    told = await desk.transfer(one, one, other, one)
    assert [r.reason for r in told] == [DONE, DONE, different, DONE]
    assert await desk.cash_of() == (88, 7)
    await desk.assert_books_balance()


async def test_two_callers_with_one_id_are_answered_alike_and_it_is_done_once(desk: Desk) -> None:
    request = pb.DepositRequest(
        deposit_id=new_id(), customer_id="alice", amount_micros=7, reference="a test"
    )
    answers = await asyncio.gather(
        *(
            desk.ledger.Deposit(request, metadata=operator(desk, name))
            for name in ("olivia", "oscar") * 16
        )
    )
    assert {a.balance.posted for a in answers} == {7}
    assert await desk.cash_of() == (7, 0)


class Calendar:
    """A clock that is turned by hand."""

    def __init__(self) -> None:
        self.today = datetime(2026, 1, 1, tzinfo=UTC)

    def now(self) -> datetime:
        return self.today

    def monotonic(self) -> float:
        return self.today.timestamp()

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(0)


async def test_an_id_is_known_years_later(
    desk: Desk, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The ledger of `desk` is only there for the tables."""
    monkeypatch.setattr(tenure, "MOST_AHEAD", timedelta.max)  # as if the database's clock went on
    calendar, turn = Calendar(), Turn(settings.database_url)
    writer = Writer(
        settings.database_url, tenure=turn, clock=calendar, max_items=100, max_queued=100
    )
    rows = await desk.rows(
        "UPDATE journal_head SET writer_epoch = writer_epoch + 1 RETURNING writer_epoch"
    )
    turn.epoch = rows[0][0]
    deposit, refused = paid_in(5, called=new_id()), paid_out(7, called=new_id())
    first = await writer.take([deposit, refused])
    for years in (1, 10, 100):
        calendar.today += timedelta(days=365 * years)
        assert await writer.take([deposit, refused]) == first
        assert (await writer.take([paid_in(1, called=new_id())]))[0].reason == DONE
    await writer.close()
    await desk.assert_books_balance()


async def test_an_execution_id_used_again_next_day_is_no_new_fill(desk: Desk) -> None:
    """Exchanges may begin anew every day; then the venue's name has to tell the days apart."""
    await desk.deposit(1_000 * USD)
    trades = [new_id(), new_id()]
    await desk.hold(*(a_hold(trade=trade, amount=100 * USD) for trade in trades))
    first, next_day = (a_fill(t, quantity=1, price=USD, execution="77") for t in trades)
    results = await desk.post(first, next_day)
    assert [r.reason for r in results] == [DONE, Reason.REASON_EXISTS_DIFFERENT]
    assert await desk.shares_of() == (1, 0, USD)
