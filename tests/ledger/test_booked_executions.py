"""ListBookedExecutions: what fills and their corrections moved, as the journal has it."""

from typing import Any

import pytest

from stockbroker.ledger.v1 import booked_execution_pb2 as pb
from stockbroker.ledger.v1 import ledger_service_pb2, posting_pb2
from tests.ledger.desk import SELL, USD, Desk, a_fill, a_hold, new_id
from tests.ledger.test_access import refusal
from tests.support.fills import DAY_SECONDS, fills_of
from tests.support.keys import bearer


async def page(
    desk: Desk, after_seq: int = 0, limit: int = 0, *, in_columns: bool = False
) -> pb.ListBookedExecutionsResponse:
    """Some bookings as reconciliation reads them."""
    request = pb.ListBookedExecutionsRequest(
        after_seq=after_seq, limit=limit, in_columns=in_columns
    )
    metadata = bearer(desk.keys.service("reconciliation"))
    return await desk.ledger.ListBookedExecutions(request, metadata=metadata)


def moved(booked: pb.BookedExecution) -> dict[tuple[str, str], int]:
    """What each customer got of each asset."""
    return {(each.customer_id, each.asset): each.amount for each in booked.movements}


async def a_booked_buy(desk: Desk, execution: str) -> str:
    """10 AAPL at 100 dollars for alice; the trade's id."""
    trade = new_id()
    await desk.deposit(2_000 * USD)
    await desk.hold(a_hold(trade=trade))
    await desk.post(a_fill(trade, execution=execution, last=True))
    return trade


async def test_a_fill_is_told_with_what_it_moved(desk: Desk) -> None:
    bought = await a_booked_buy(desk, "E-buy")
    sold = new_id()
    await desk.hold(a_hold(asset="AAPL", trade=sold))
    await desk.post(a_fill(sold, side=SELL, quantity=4, execution="E-sell", last=True))

    buy, sell = (await page(desk)).executions

    assert (buy.venue, buy.execution_id, buy.trade_id) == ("XSIM", "E-buy", bought)
    assert moved(buy) == {("alice", "USD"): -1_000 * USD, ("alice", "AAPL"): 10}
    assert buy.is_fill
    assert sell.trade_id == sold
    assert moved(sell) == {("alice", "USD"): 400 * USD, ("alice", "AAPL"): -4}


async def test_fills_of_a_venue_are_told_in_columns_and_all_others_as_messages(
    desk: Desk,
) -> None:
    for number in range(3):
        await a_booked_buy(desk, f"E-{number}")
    elsewhere = a_fill(new_id(), execution="E-other")
    elsewhere.venue = "OTHER"
    await desk.hold(a_hold(trade=elsewhere.trade_id))
    await desk.post(elsewhere)
    as_messages = list((await page(desk)).executions)

    told = await page(desk, in_columns=True)

    assert list(told.executions) == as_messages[3:]
    assert fills_of(told.columns) == [
        (
            *("XSIM", each.seq, each.execution_id, each.trade_id, "alice", "AAPL"),
            *(10, -1_000 * USD, each.effective_at.seconds // DAY_SECONDS),
        )
        for each in as_messages[:3]
    ]


async def test_bookings_are_told_in_pages_of_transfers(desk: Desk) -> None:
    for number in range(3):
        await a_booked_buy(desk, f"E-{number}")
    after, found = 0, []
    while True:
        told = await page(desk, after, limit=2)
        found += [each.execution_id for each in told.executions]
        after = told.next_after_seq
        if told.reaches_end:
            break

    assert found == ["E-0", "E-1", "E-2"]
    assert after == 9


@pytest.mark.parametrize(
    ("after", "limit", "reason"),
    [(-1, 0, "INVALID_SEQUENCE"), (0, -1, "INVALID_REQUEST"), (0, 5_001, "INVALID_REQUEST")],
)
async def test_a_page_out_of_range_is_refused(
    desk: Desk, after: int, limit: int, reason: str
) -> None:
    assert (await refusal(page(desk, after, limit=limit)))[1] == reason


async def test_a_page_that_ends_amid_a_batch_tells_when_that_was_recorded(desk: Desk) -> None:
    await desk.transfer(_cash("break XSIM/E-1", 7), _cash("break XSIM/E-2", 5))
    assert await desk.rows("SELECT first_seq, last_seq FROM batch") == [(1, 2)]
    one, other = (await page(desk)).executions
    assert list((await page(desk, limit=1)).executions) == [one]
    assert list((await page(desk, 1, limit=1)).executions) == [other]


async def test_a_reversal_and_a_compensating_transfer_are_told_of_their_execution(
    desk: Desk,
) -> None:
    await a_booked_buy(desk, "E-1")
    (booked,) = (await page(desk)).executions
    ask = ledger_service_pb2.RequestReversalRequest(
        request_id=(request_id := new_id()), transfer_id=booked.transfer_id, reference="never was"
    )
    await desk.ledger.RequestReversal(ask, metadata=bearer(desk.keys.operator("olivia")))
    approve = ledger_service_pb2.ApproveReversalRequest(request_id=request_id, reference="so it is")
    await desk.ledger.ApproveReversal(approve, metadata=bearer(desk.keys.operator("oscar")))
    await desk.transfer(_cash("break XSIM/E-1 the cash", 7), _cash("breakfast", 5))

    _, reversal, transfer = (await page(desk)).executions
    in_columns = await page(desk, in_columns=True)

    assert (reversal.execution_id, reversal.is_fill) == ("E-1", False)
    assert moved(reversal) == {("alice", "USD"): 1_000 * USD, ("alice", "AAPL"): -10}
    assert (transfer.venue, transfer.execution_id, transfer.is_fill) == ("XSIM", "E-1", False)
    assert moved(transfer) == {("alice", "USD"): 7}
    assert list(in_columns.executions) == [reversal, transfer]
    assert list(in_columns.columns.execution_ids) == ["E-1"]


def _cash(reference: str, amount: int) -> Any:
    leg = posting_pb2.TransferLeg(
        debit_account="house/clearing",
        credit_account="customer/alice",
        asset="USD",
        amount=amount,
    )
    return posting_pb2.PostedTransfer(transfer_id=new_id(), legs=[leg], reference=reference)
