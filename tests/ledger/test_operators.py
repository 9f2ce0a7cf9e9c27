"""What operators do: in and out, freeze and close, reversal by two; all of it on record."""

from typing import Any

import grpc
import pytest

from libs.reasons import Reason
from stockbroker.ledger.v1 import ledger_service_pb2 as pb
from tests.ledger.desk import USD, Desk, a_fill, a_hold, new_id
from tests.ledger.test_access import refusal
from tests.ledger.test_transfers import a_leg, a_transfer
from tests.support.keys import bearer

REFUSED = grpc.StatusCode.FAILED_PRECONDITION
DONE = Reason.REASON_UNSPECIFIED
MOST = 2**63 - 1


class Operator:
    """Speaks as one operator."""

    def __init__(self, desk: Desk, name: str) -> None:
        self._metadata = bearer(desk.keys.operator(name))
        self._ledger = desk.ledger

    async def withdraw(self, amount: int, *, called: str = "") -> pb.Balance:
        request = pb.WithdrawRequest(
            withdrawal_id=called or new_id(),
            customer_id="alice",
            amount_micros=amount,
            reference="to the bank",
        )
        return (await self._ledger.Withdraw(request, metadata=self._metadata)).balance

    async def withdraw_shares(self, quantity: int, *, symbol: str = "AAPL") -> pb.Balance:
        request = pb.WithdrawSharesRequest(
            withdrawal_id=new_id(),
            customer_id="alice",
            symbol=symbol,
            quantity=quantity,
            reference="to another house",
        )
        return (await self._ledger.WithdrawShares(request, metadata=self._metadata)).balance

    async def freeze(self, account: str = "customer/alice", why: str = "a court order") -> Any:
        request = pb.FreezeRequest(freeze_id=new_id(), account=account, reference=why)
        return (await self._ledger.Freeze(request, metadata=self._metadata)).balances

    async def unfreeze(self, account: str = "customer/alice") -> Any:
        request = pb.UnfreezeRequest(unfreeze_id=new_id(), account=account, reference="lifted")
        return (await self._ledger.Unfreeze(request, metadata=self._metadata)).balances

    async def close(self, account: str = "customer/alice") -> Any:
        request = pb.CloseRequest(close_id=new_id(), account=account, reference="has left")
        return (await self._ledger.Close(request, metadata=self._metadata)).balances

    async def request(self, transfer: str, *, called: str = "") -> pb.RequestReversalResponse:
        request = pb.RequestReversalRequest(
            request_id=called or new_id(), transfer_id=transfer, reference="booked in error"
        )
        return await self._ledger.RequestReversal(request, metadata=self._metadata)

    async def waiting(self) -> list[tuple[str, str, str, str]]:
        found = await self._ledger.ListReversalRequests(
            pb.ListReversalRequestsRequest(), metadata=self._metadata
        )
        assert all(one.requested_at.seconds for one in found.requests)
        return [
            (one.request_id, one.transfer_id, one.operator, one.reference) for one in found.requests
        ]

    async def approve(self, request_id: str, *, why: str = "seen") -> pb.ApproveReversalResponse:
        request = pb.ApproveReversalRequest(request_id=request_id, reference=why)
        return await self._ledger.ApproveReversal(request, metadata=self._metadata)


@pytest.fixture
def olivia(desk: Desk) -> Operator:
    return Operator(desk, "olivia")


@pytest.fixture
def oscar(desk: Desk) -> Operator:
    return Operator(desk, "oscar")


async def test_cash_goes_out_as_far_as_it_is_available(desk: Desk, olivia: Operator) -> None:
    await desk.deposit(10)
    await desk.hold(a_hold(amount=4))
    assert await refusal(olivia.withdraw(7)) == (REFUSED, "INSUFFICIENT_FUNDS")
    called = new_id()
    balance = await olivia.withdraw(6, called=called)
    assert (balance.account, balance.posted, balance.held) == ("customer/alice", 4, 4)
    assert await olivia.withdraw(6, called=called) == balance
    assert (await refusal(olivia.withdraw(5, called=called)))[1] == "EXISTS_DIFFERENT"
    assert (await refusal(olivia.withdraw(0)))[1] == "INVALID_AMOUNT"
    assert (await desk.balance("house/withdrawals", "USD")).balance.posted == 6
    await desk.assert_books_balance()


async def test_shares_go_out_with_their_cost(desk: Desk, olivia: Operator) -> None:
    await desk.deposit_shares(10, cost=1_000)
    balance = await olivia.withdraw_shares(4)
    assert (balance.asset, balance.posted) == ("AAPL", 6)
    assert await desk.shares_of() == (6, 0, 600)
    assert await refusal(olivia.withdraw_shares(7)) == (REFUSED, "INSUFFICIENT_SHARES")
    assert (await refusal(olivia.withdraw_shares(7, symbol="USD")))[1] == "INVALID_SYMBOL"


async def test_a_frozen_customer_only_ends_what_they_began_until_it_is_lifted(
    desk: Desk, olivia: Operator
) -> None:
    await desk.deposit(100)
    trade = new_id()
    await desk.hold(a_hold(trade=trade, amount=60))
    frozen = await olivia.freeze()
    assert [(b.account, b.posted, b.held) for b in frozen] == [("customer/alice", 100, 60)]
    assert (await desk.balance("customer/alice", "USD")).state == "frozen"

    (hold,) = await desk.hold(a_hold(amount=1))
    assert hold.reason == Reason.REASON_ACCOUNT_NOT_OPEN
    assert await refusal(desk.deposit(1)) == (REFUSED, "ACCOUNT_NOT_OPEN")
    assert await refusal(olivia.withdraw(1)) == (REFUSED, "ACCOUNT_NOT_OPEN")
    # An account opened later is of the same name.
    assert await refusal(desk.deposit_shares(1, symbol="MSFT")) == (REFUSED, "ACCOUNT_NOT_OPEN")
    (fill,) = await desk.post(a_fill(trade, quantity=1, price=50, last=True))
    assert fill.reason == DONE

    await olivia.unfreeze()
    assert (await desk.balance("customer/alice", "USD")).state == "open"
    await desk.deposit(1)
    await desk.assert_books_balance()


async def test_who_is_frozen_takes_part_in_no_leg(desk: Desk, olivia: Operator) -> None:
    await desk.deposit(5, customer="bob")
    await olivia.freeze()
    for last in (a_leg("customer/bob", "customer/alice", 1), a_leg("customer/alice", "shop", 1)):
        (result,) = await desk.transfer(a_transfer(a_leg("customer/bob", "shop", 1), last))
        assert result.reason == Reason.REASON_ACCOUNT_NOT_OPEN
    assert await desk.cash_of("bob") == (5, 0)


async def test_a_customer_may_be_frozen_before_they_own_anything(
    desk: Desk, olivia: Operator
) -> None:
    assert list(await olivia.freeze()) == []
    assert await refusal(desk.deposit(1)) == (REFUSED, "ACCOUNT_NOT_OPEN")


async def test_only_what_is_empty_is_closed_and_stays_so(desk: Desk, olivia: Operator) -> None:
    await desk.deposit(5)
    await desk.deposit_shares(1)
    assert await refusal(olivia.close()) == (REFUSED, "ACCOUNT_NOT_EMPTY")
    await olivia.withdraw(5)
    assert await refusal(olivia.close()) == (REFUSED, "ACCOUNT_NOT_EMPTY")
    await olivia.withdraw_shares(1)
    assert [(b.asset, b.posted) for b in await olivia.close()] == [("AAPL", 0), ("USD", 0)]
    for call in (desk.deposit(1), olivia.unfreeze(), olivia.freeze(), olivia.close()):
        assert await refusal(call) == (REFUSED, "ACCOUNT_NOT_OPEN")
    assert (await desk.balance("customer/alice", "USD")).state == "closed"


@pytest.mark.parametrize("account", ["clearing", "deposits", "withdrawals"])
async def test_what_every_trade_or_deposit_goes_through_is_never_closed(
    desk: Desk, olivia: Operator, account: str
) -> None:
    assert (await refusal(olivia.close(f"house/{account}")))[1] == "INVALID_ACCOUNT"
    await olivia.close("house/fees")


async def test_every_act_of_an_operator_is_on_record_with_name_and_words(
    desk: Desk, olivia: Operator, oscar: Operator
) -> None:
    await desk.deposit(5)
    await oscar.freeze(why="looks odd")
    await olivia.unfreeze()
    await olivia.withdraw(5)
    await olivia.close()
    await refusal(oscar.freeze())
    rows = await desk.rows(
        "SELECT kind::text, actor, reference, reason, terms FROM transfer ORDER BY seq"
    )
    assert rows == [
        ("deposit", "olivia", "gift", 0, None),
        ("freeze", "oscar", "looks odd", 0, '["freeze","customer/alice","looks odd"]'),
        ("unfreeze", "olivia", "lifted", 0, '["unfreeze","customer/alice","lifted"]'),
        ("withdraw", "olivia", "to the bank", 0, None),
        ("close", "olivia", "has left", 0, '["close","customer/alice","has left"]'),
        (
            "freeze",
            "oscar",
            "a court order",
            Reason.REASON_ACCOUNT_NOT_OPEN,
            '["freeze","customer/alice","a court order"]',
        ),
    ]
    for words in ("", "  ", "x" * 201, "a\nb"):
        assert (await refusal(oscar.freeze(why=words)))[1] == "INVALID_REQUEST"
    assert (await refusal(oscar.freeze("customer/*")))[1] == "INVALID_ACCOUNT"
    assert (await refusal(oscar.freeze("customer/a/b")))[1] == "INVALID_CUSTOMER"


async def test_a_transfer_is_reversed_by_two_operators_with_a_new_transfer(
    desk: Desk, olivia: Operator, oscar: Operator
) -> None:
    deposit, request = new_id(), new_id()
    await desk.deposit(50, deposit=deposit)
    asked = await olivia.request(deposit, called=request)
    assert [(leg.debit_account, leg.credit_account, leg.amount) for leg in asked.legs] == [
        ("customer/alice", "house/deposits", 50)
    ]
    assert await desk.cash_of() == (50, 0)  # nothing moved yet

    assert await refusal(olivia.approve(request)) == (REFUSED, "SAME_OPERATOR")
    assert await oscar.waiting() == [(request, deposit, "olivia", "booked in error")]
    done = await oscar.approve(request)

    assert [(b.account, b.posted) for b in done.balances] == [
        ("customer/alice", 0),
        ("house/deposits", 0),
    ]
    assert await oscar.approve(request) == done
    assert await oscar.waiting() == []
    assert await desk.rows(
        "SELECT kind::text, actor, reference, reverses::text FROM transfer ORDER BY seq OFFSET 1"
    ) == [
        ("reversal_request", "olivia", "booked in error", deposit),
        ("reversal", "oscar", "seen", deposit),
    ]
    await desk.assert_books_balance()


async def test_a_transfer_is_reversed_at_most_once(
    desk: Desk, olivia: Operator, oscar: Operator
) -> None:
    deposit, first, second = new_id(), new_id(), new_id()
    await desk.deposit(50, deposit=deposit)
    await desk.deposit(50)
    await olivia.request(deposit, called=first)
    await oscar.request(deposit, called=second)
    await oscar.approve(first)
    assert await refusal(olivia.approve(second)) == (REFUSED, "ALREADY_REVERSED")
    assert await refusal(olivia.request(deposit)) == (REFUSED, "ALREADY_REVERSED")
    assert await desk.cash_of() == (50, 0)
    (reversal,) = await desk.rows(
        "SELECT id::text FROM transfer WHERE kind = 'reversal' AND reason = 0"
    )
    assert await refusal(olivia.request(reversal[0])) == (REFUSED, "NOT_REVERSIBLE")


async def test_a_fill_is_reversed_with_its_cash_its_shares_and_their_cost(
    desk: Desk, olivia: Operator, oscar: Operator
) -> None:
    await desk.deposit_shares(10, cost=1_000)
    await desk.deposit(100 * USD)
    trade, request = new_id(), new_id()
    await desk.hold(a_hold(trade=trade, amount=30 * USD))
    (fill,) = await desk.post(a_fill(trade, quantity=5, price=4 * USD, last=True))
    assert fill.reason == DONE
    assert await desk.shares_of() == (15, 0, 1_000 + 20 * USD)
    ((posted,),) = await desk.rows("SELECT id::text FROM transfer WHERE kind = 'execution'")
    await olivia.request(posted, called=request)
    await oscar.approve(request)
    assert await desk.shares_of() == (10, 0, 1_000)
    assert await desk.cash_of() == (100 * USD, 0)
    await desk.assert_books_balance()


async def test_a_reversal_takes_nobody_below_zero_and_may_be_asked_for_anew(
    desk: Desk, olivia: Operator, oscar: Operator
) -> None:
    deposit, first, second = new_id(), new_id(), new_id()
    await desk.deposit(50, deposit=deposit)
    await olivia.withdraw(20)
    await olivia.request(deposit, called=first)
    assert await refusal(oscar.approve(first)) == (REFUSED, "INSUFFICIENT_FUNDS")
    await desk.deposit(20)
    # What was refused stays refused; a new request is a new matter.
    assert [one[0] for one in await oscar.waiting()] == [first]
    assert await refusal(oscar.approve(first)) == (REFUSED, "INSUFFICIENT_FUNDS")
    await olivia.request(deposit, called=second)
    await oscar.approve(second)
    assert await desk.cash_of() == (0, 0)


async def test_a_frozen_account_can_be_put_right(
    desk: Desk, olivia: Operator, oscar: Operator
) -> None:
    deposit, request = new_id(), new_id()
    await desk.deposit(50, deposit=deposit)
    await olivia.freeze()
    await olivia.request(deposit, called=request)
    await oscar.approve(request)
    assert await desk.cash_of() == (0, 0)


async def test_only_a_transfer_that_moved_something_is_reversed(
    desk: Desk, olivia: Operator, oscar: Operator
) -> None:
    (hold,) = await desk.hold(a_hold(amount=1))
    assert await refusal(olivia.request(hold.id)) == (REFUSED, "NOT_REVERSIBLE")
    await olivia.freeze("house/fees")
    ((freeze,),) = await desk.rows("SELECT id::text FROM transfer WHERE kind = 'freeze'")
    assert await refusal(olivia.request(freeze)) == (REFUSED, "NOT_REVERSIBLE")
    not_found = (grpc.StatusCode.NOT_FOUND, "TRANSFER_NOT_FOUND")
    assert await refusal(olivia.request(new_id())) == not_found
    assert await refusal(oscar.approve(new_id())) == not_found
    assert await refusal(oscar.approve(freeze)) == not_found
    assert (await refusal(olivia.request("x")))[1] == "INVALID_ID"
    assert (await refusal(oscar.approve("x")))[1] == "INVALID_ID"


async def test_a_transfer_of_many_legs_is_reversed_whole(
    desk: Desk, olivia: Operator, oscar: Operator
) -> None:
    transfer = a_transfer(
        a_leg("house/fees", "a", 5),
        a_leg("house/fees", "b", 7),
        a_leg("b", "c", 3),
        a_leg("house/fees", "c", 2, "EUR"),
    )
    await desk.transfer(transfer)
    request = new_id()
    await olivia.request(transfer.transfer_id, called=request)
    await oscar.approve(request)
    assert await desk.rows("SELECT name, asset FROM account WHERE posted <> 0") == []
    await desk.assert_books_balance()


async def test_all_who_gave_and_got_shares_have_what_theirs_cost_again(
    desk: Desk, olivia: Operator, oscar: Operator
) -> None:
    """Alice got hers from two, and bob gave his to two."""
    before = {
        "alice": (10, 0, 1_000),
        "bob": (10, 0, 100),
        "carol": (3, 0, 500),
        "dave": (10, 0, 60),
    }
    for customer, (shares, _, cost) in before.items():
        await desk.deposit_shares(shares, customer=customer, cost=cost)
    legs = []
    for giver, getter, shares, cost in (
        ("bob", "alice", 5, 50),
        ("bob", "carol", 5, 50),
        ("dave", "alice", 4, 24),
    ):
        legs.append(a_leg(f"customer/{giver}", f"customer/{getter}", shares, "AAPL"))
        legs[-1].cost_micros = cost
    transfer, request = a_transfer(*legs), new_id()
    assert [each.reason for each in await desk.transfer(transfer)] == [DONE]
    assert await desk.shares_of() == (19, 0, 1_074)
    await olivia.request(transfer.transfer_id, called=request)
    await oscar.approve(request)
    assert {customer: await desk.shares_of(customer) for customer in before} == before
    await desk.assert_books_balance()


async def test_what_no_leg_could_move_at_once_is_reversed_by_several(
    desk: Desk, olivia: Operator, oscar: Operator
) -> None:
    """Accounts without a floor span twice what an amount can be."""
    before = a_transfer(a_leg("b", "a", 1, "EUR"), below_zero=["a", "b"])
    most = a_transfer(a_leg("a", "b", MOST, "EUR"), a_leg("a", "b", 1, "EUR"))
    assert [each.reason for each in await desk.transfer(before, most)] == [DONE, DONE]
    request = new_id()
    asked = await olivia.request(most.transfer_id, called=request)
    assert [(leg.debit_account, leg.amount) for leg in asked.legs] == [("b", MOST), ("b", 1)]
    done = await oscar.approve(request)
    assert [(b.account, b.posted) for b in done.balances] == [("b", -1), ("a", 1)]
    await desk.assert_books_balance()


async def test_a_reversal_takes_no_more_cost_back_than_is_left(
    desk: Desk, olivia: Operator, oscar: Operator
) -> None:
    """The five that alice got for her ten were dear, and she has given them away since."""
    await desk.deposit_shares(10, cost=0)
    swap, request = new_id(), new_id()
    dear = a_leg("house/stock", "customer/alice", 5, "AAPL")
    dear.cost_micros = 1_000
    given = a_leg("customer/alice", "customer/bob", 10, "AAPL")
    (done,) = await desk.transfer(a_transfer(given, dear, called=swap))
    assert done.reason == DONE
    assert await desk.shares_of() == (5, 0, 1_000)
    gift = a_leg("customer/alice", "customer/carol", 5, "AAPL")
    assert [each.reason for each in await desk.transfer(a_transfer(gift))] == [DONE]

    await olivia.request(swap, called=request)
    await oscar.approve(request)
    assert await desk.shares_of() == (5, 0, 0)
    await desk.assert_books_balance()
