"""Nothing an operator does to the books is done without a reason on record."""

from typing import Any

import grpc
import pytest

from stockbroker.ledger.v1 import ledger_service_pb2 as pb
from tests.ledger.desk import Desk, new_id
from tests.ledger.test_access import refusal
from tests.ledger.test_operators import Operator
from tests.support.keys import bearer

WITH_WORDS: dict[str, Any] = {
    "Deposit": pb.DepositRequest(deposit_id=new_id(), customer_id="alice", amount_micros=1),
    "DepositShares": pb.DepositSharesRequest(
        deposit_id=new_id(), customer_id="alice", symbol="AAPL", quantity=1
    ),
    "Withdraw": pb.WithdrawRequest(withdrawal_id=new_id(), customer_id="alice", amount_micros=1),
    "WithdrawShares": pb.WithdrawSharesRequest(
        withdrawal_id=new_id(), customer_id="alice", symbol="AAPL", quantity=1
    ),
    "Freeze": pb.FreezeRequest(freeze_id=new_id(), account="customer/alice"),
    "Unfreeze": pb.UnfreezeRequest(unfreeze_id=new_id(), account="customer/alice"),
    "Close": pb.CloseRequest(close_id=new_id(), account="customer/alice"),
    "RequestReversal": pb.RequestReversalRequest(request_id=new_id(), transfer_id=new_id()),
}


@pytest.mark.parametrize("method", WITH_WORDS)
async def test_nothing_is_done_without_words(desk: Desk, method: str) -> None:
    metadata = bearer(desk.keys.operator("olivia"))
    request = WITH_WORDS[method]
    for words in ("", "  "):
        request.reference = words
        call = getattr(desk.ledger, method)(request, metadata=metadata)
        assert await refusal(call) == (grpc.StatusCode.INVALID_ARGUMENT, "INVALID_REQUEST")
    assert await desk.rows("SELECT count(*) FROM transfer") == [(0,)]


async def test_a_reversal_is_not_approved_without_words(desk: Desk) -> None:
    olivia, oscar = Operator(desk, "olivia"), Operator(desk, "oscar")
    deposit, asked = new_id(), new_id()
    await desk.deposit(7, deposit=deposit)
    await olivia.request(deposit, called=asked)
    assert await refusal(oscar.approve(asked, why=" ")) == (
        grpc.StatusCode.INVALID_ARGUMENT,
        "INVALID_REQUEST",
    )
    assert await desk.cash_of() == (7, 0)
