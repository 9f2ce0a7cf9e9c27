"""Who may call what."""

from collections.abc import Awaitable, Callable
from typing import Any

import grpc
import pytest

from libs.rpc.status import reason_of
from stockbroker.ledger.v1 import ledger_service_pb2 as pb
from stockbroker.ledger.v1 import portfolio_service_pb2 as portfolio_pb
from tests.ledger.desk import USD, Desk, a_hold, new_id
from tests.support.keys import bearer

Call = Callable[[Desk, Any], Awaitable[Any]]

INTERNAL: dict[str, Call] = {
    "PlaceHolds": lambda d, m: d.ledger.PlaceHolds(
        pb.PlaceHoldsRequest(holds=[a_hold(amount=1)]), metadata=m
    ),
    "AdjustHolds": lambda d, m: d.ledger.AdjustHolds(
        pb.AdjustHoldsRequest(
            adjustments=[pb.HoldAdjustment(adjustment_id=new_id(), hold_id=new_id(), amount=1)]
        ),
        metadata=m,
    ),
    "ReleaseHolds": lambda d, m: d.ledger.ReleaseHolds(
        pb.ReleaseHoldsRequest(releases=[pb.Release(hold_id=new_id())]), metadata=m
    ),
    "PostExecutions": lambda d, m: d.ledger.PostExecutions(pb.PostExecutionsRequest(), metadata=m),
    "CorrectExecutions": lambda d, m: d.ledger.CorrectExecutions(
        pb.CorrectExecutionsRequest(), metadata=m
    ),
}
FOR_OPERATORS: dict[str, Call] = {
    "Deposit": lambda d, m: d.ledger.Deposit(
        pb.DepositRequest(
            deposit_id=new_id(), customer_id="alice", amount_micros=1, reference="a test"
        ),
        metadata=m,
    ),
    "DepositShares": lambda d, m: d.ledger.DepositShares(
        pb.DepositSharesRequest(
            deposit_id=new_id(), customer_id="alice", symbol="AAPL", quantity=1, reference="a test"
        ),
        metadata=m,
    ),
}
FOR_OWNERS: dict[str, Call] = {
    "GetPortfolio": lambda d, m: d.portfolio.GetPortfolio(
        portfolio_pb.GetPortfolioRequest(), metadata=m
    ),
    "ListEntries": lambda d, m: d.portfolio.ListEntries(
        portfolio_pb.ListEntriesRequest(), metadata=m
    ),
}


async def refusal(call: Awaitable[Any]) -> tuple[grpc.StatusCode, str]:
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await call
    return caught.value.code(), reason_of(caught.value)


DENIED = grpc.StatusCode.PERMISSION_DENIED, "PERMISSION_DENIED"


async def test_no_call_is_answered_without_a_token(desk: Desk) -> None:
    for call in (INTERNAL | FOR_OPERATORS | FOR_OWNERS).values():
        for metadata in (None, bearer("forged"), bearer(desk.keys.customer("alice", -1))):
            assert await refusal(call(desk, metadata)) == (
                grpc.StatusCode.UNAUTHENTICATED,
                "UNAUTHENTICATED",
            )


async def test_only_the_execution_service_trades(desk: Desk) -> None:
    await desk.deposit(USD)
    tokens = [
        desk.keys.customer("alice"),
        desk.keys.customer("execution"),
        desk.keys.operator("execution"),
        desk.keys.service("order"),
    ]
    for call in INTERNAL.values():
        for token in tokens:
            assert await refusal(call(desk, bearer(token))) == DENIED
        await call(desk, bearer(desk.keys.service("execution")))
    assert await desk.rows("SELECT count(*) FROM transfer") == [(4,)]


async def test_only_operators_bring_money_in(desk: Desk) -> None:
    for call in FOR_OPERATORS.values():
        for token in (desk.keys.customer("alice"), desk.keys.service("execution")):
            assert await refusal(call(desk, bearer(token))) == DENIED
    assert await desk.rows("SELECT count(*) FROM transfer") == [(0,)]


async def test_who_brought_money_in_is_on_record(desk: Desk) -> None:
    await FOR_OPERATORS["Deposit"](desk, bearer(desk.keys.operator("oscar")))
    assert await desk.rows("SELECT actor FROM transfer") == [("oscar",)]


async def test_services_see_no_portfolio(desk: Desk) -> None:
    for call in FOR_OWNERS.values():
        assert await refusal(call(desk, bearer(desk.keys.service("execution")))) == DENIED


async def test_a_customer_sees_their_own_accounts_and_may_name_nobody(desk: Desk) -> None:
    await desk.deposit(5, customer="alice")
    await desk.deposit(7, customer="bob")
    assert await desk.cash_of("alice") == (5, 0)
    assert await desk.cash_of("bob") == (7, 0)
    alice = bearer(desk.keys.customer("alice"))
    for name in ("bob", "alice", "%", "house/clearing"):
        assert (
            await refusal(
                desk.portfolio.GetPortfolio(
                    portfolio_pb.GetPortfolioRequest(customer_id=name), metadata=alice
                )
            )
            == DENIED
        )
        assert (
            await refusal(
                desk.portfolio.ListEntries(
                    portfolio_pb.ListEntriesRequest(customer_id=name), metadata=alice
                )
            )
            == DENIED
        )


async def test_an_operator_names_the_customer(desk: Desk) -> None:
    await desk.deposit(7, customer="bob")
    operator = bearer(desk.keys.operator())
    portfolio = await desk.portfolio.GetPortfolio(
        portfolio_pb.GetPortfolioRequest(customer_id="bob"), metadata=operator
    )
    assert portfolio.cash.total_micros == 7
    page = await desk.portfolio.ListEntries(
        portfolio_pb.ListEntriesRequest(customer_id="bob"), metadata=operator
    )
    assert [entry.amount for entry in page.entries] == [7]
    for call in FOR_OWNERS.values():
        assert await refusal(call(desk, operator)) == (
            grpc.StatusCode.INVALID_ARGUMENT,
            "INVALID_CUSTOMER",
        )
