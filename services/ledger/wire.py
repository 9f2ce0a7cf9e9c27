"""The contract's messages to operations, and results to messages.

What comes in is checked for its form on the way: see `domain.forms`.
"""

from google.protobuf.timestamp_pb2 import Timestamp

from libs.stamps import set_moment
from services.ledger import journal_wire
from services.ledger.domain import deeds
from services.ledger.domain.books import CASH, CUSTOMER, Account, Balance, Result
from services.ledger.domain.corrections import Correction
from services.ledger.domain.forms import Malformed
from services.ledger.domain.operations import AdjustHold, PlaceHold, Post
from services.ledger.store.portfolio import ListedEntry
from stockbroker.ledger.v1 import ledger_service_pb2 as pb
from stockbroker.ledger.v1 import portfolio_service_pb2 as portfolio_pb
from stockbroker.ledger.v1.correction_pb2 import ExecutionCorrection


def place_hold_from(hold: pb.Hold) -> PlaceHold:
    return deeds.place_hold(
        hold_id=hold.hold_id,
        customer_id=hold.customer_id,
        asset=hold.asset,
        amount=hold.amount,
    )


def adjust_hold_from(adjustment: pb.HoldAdjustment) -> AdjustHold:
    return deeds.adjust_hold(
        adjustment_id=adjustment.adjustment_id,
        hold_id=adjustment.hold_id,
        amount=adjustment.amount,
    )


def release_from(release: pb.Release) -> Post:
    return deeds.release(release.hold_id)


def execution_from(posting: pb.ExecutionPosting) -> Post:
    executed_at = None
    if posting.HasField("executed_at"):
        executed_at = journal_wire.time_from(posting.executed_at, field="executed_at")
    return deeds.execution(
        deeds.Execution(
            venue=posting.venue,
            execution_id=posting.execution_id,
            trade_id=posting.trade_id,
            customer_id=posting.customer_id,
            side=posting.side,
            symbol=posting.symbol,
            quantity=posting.quantity,
            price_micros=posting.price_micros,
            executed_at=executed_at,
            releases_rest=posting.releases_rest,
            released_micros=posting.released_micros,
        )
    )


def correction_from(correction: ExecutionCorrection) -> Correction:
    """Its form is checked by `domain.corrections`, but for the time. Raises Malformed."""
    effective_at = None
    if correction.HasField("effective_at"):
        effective_at = journal_wire.time_from(correction.effective_at, field="effective_at")
    return Correction(
        correction_id=correction.correction_id,
        execution_id=correction.execution_id,
        venue=correction.venue,
        kind=correction.kind,
        quantity=correction.quantity,
        price_micros=correction.price_micros,
        effective_at=effective_at,
        previous_correction_id=correction.previous_correction_id,
        retries=correction.retries,
    )


def deposit_from(request: pb.DepositRequest, *, operator: str) -> Post:
    return deeds.deposit(
        deeds.Crossing(
            id=request.deposit_id,
            customer_id=request.customer_id,
            amount=request.amount_micros,
            reference=request.reference,
            operator=operator,
        )
    )


def deposit_shares_from(request: pb.DepositSharesRequest, *, operator: str) -> Post:
    return deeds.deposit_shares(
        deeds.Crossing(
            id=request.deposit_id,
            customer_id=request.customer_id,
            amount=request.quantity,
            reference=request.reference,
            operator=operator,
        ),
        symbol=request.symbol,
        cost_micros=request.cost_micros,
    )


def withdraw_from(request: pb.WithdrawRequest, *, operator: str) -> Post:
    return deeds.withdraw(
        deeds.Crossing(
            id=request.withdrawal_id,
            customer_id=request.customer_id,
            amount=request.amount_micros,
            reference=request.reference,
            operator=operator,
        )
    )


def withdraw_shares_from(request: pb.WithdrawSharesRequest, *, operator: str) -> Post:
    return deeds.withdraw_shares(
        deeds.Crossing(
            id=request.withdrawal_id,
            customer_id=request.customer_id,
            amount=request.quantity,
            reference=request.reference,
            operator=operator,
        ),
        symbol=request.symbol,
    )


def result_to(item_id: str, result: Result) -> pb.ItemResult:
    return pb.ItemResult(
        id=item_id,
        reason=result.reason,
        balances=customer_balances_to(result),
        amount=result.amount,
    )


def brief_to(result: Result | Malformed) -> pb.ItemResult:
    """For who asked for a brief answer."""
    if isinstance(result, Malformed):
        return pb.ItemResult(reason=result.reason)
    return pb.ItemResult(reason=result.reason, amount=result.amount)


def malformed_to(item_id: str, fault: Malformed) -> pb.ItemResult:
    return pb.ItemResult(id=item_id, reason=fault.reason)


def customer_balances_to(result: Result) -> list[pb.Balance]:
    """Those of customers: the house's own are nobody else's business."""
    return [_balance_to(b) for b in result.balances if b.account.name.startswith(CUSTOMER)]


def balances_to(result: Result) -> list[pb.Balance]:
    """All of them."""
    return [_balance_to(b) for b in result.balances]


def _balance_to(balance: Balance) -> pb.Balance:
    return pb.Balance(
        account=balance.account.name,
        asset=balance.account.asset,
        version=balance.version,
        posted=balance.posted,
        held=balance.held,
    )


def portfolio_to(accounts: list[Account]) -> portfolio_pb.GetPortfolioResponse:
    """`accounts`: all of one customer, by asset, from one moment."""
    response = portfolio_pb.GetPortfolioResponse(
        cash=portfolio_pb.Cash(), version=sum(account.version for account in accounts)
    )
    for account in accounts:
        if account.key.asset == CASH:
            response.cash.available_micros = account.available
            response.cash.held_micros = account.held
            response.cash.total_micros = account.posted
        elif account.posted:
            response.positions.add(
                symbol=account.key.asset,
                quantity=account.posted,
                available_quantity=account.available,
                held_quantity=account.held,
                cost_micros=account.cost_micros,
            )
    return response


def entry_to(entry: ListedEntry) -> portfolio_pb.Entry:
    recorded_at, effective_at = Timestamp(), Timestamp()
    set_moment(recorded_at, entry.recorded_at)
    set_moment(effective_at, entry.effective_at)
    return portfolio_pb.Entry(
        account=entry.account,
        asset=entry.asset,
        version=entry.place.version,
        transfer_id=entry.transfer_id,
        kind=entry.kind,
        amount=entry.amount,
        balance_after=entry.balance_after,
        held_after=entry.held_after,
        reference=entry.reference,
        recorded_at=recorded_at,
        effective_at=effective_at,
    )
