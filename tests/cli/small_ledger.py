"""The ledger as operators use it, out of memory, as small as the command line needs."""

from collections.abc import AsyncIterator
from typing import Any

from google.protobuf.message import Message

from libs.auth import caller
from libs.refusals import Refused
from stockbroker.common.v1.reason_pb2 import Reason
from stockbroker.ledger.v1 import invariant_pb2, journal_pb2, posting_pb2
from stockbroker.ledger.v1 import ledger_service_pb2 as pb
from tests.cli.small_journal import SmallJournal

FROZEN = "customer/frozen"
MALFORMED = posting_pb2.TransferResult(
    reason=Reason.REASON_INVALID_ACCOUNT, reason_text="debit_account must be without a space"
)
RECORDED = posting_pb2.RecordedTransfer(
    transfer=journal_pb2.JournalTransfer(
        seq=7,
        transfer_id="0b1e7f0a-0000-4000-8000-000000000007",
        kind="withdraw",
        reason=Reason.REASON_INSUFFICIENT_FUNDS,
        actor="olivia",
        reference="to the bank",
        terms='["withdraw"]',
    )
)
WAITING = pb.ReversalRequest(
    request_id="0b1e7f0a-0000-4000-8000-000000000008",
    transfer_id="0b1e7f0a-0000-4000-8000-000000000003",
    operator="olivia",
    reference="booked in error",
)


class SmallLedger(SmallJournal):
    """Remembers who asked for what; refuses whatever concerns a frozen account.

    `is_broken` makes it tell that a rule of the books is broken.
    """

    def __init__(self) -> None:
        super().__init__()
        self.asked: list[tuple[str, Any]] = []
        self.is_broken = False

    def requests(self, kind: type[Message]) -> list[Any]:
        """What was asked for of that kind."""
        return [request for _, request in self.asked if isinstance(request, kind)]

    def _note(self, request: Message, account: str = "") -> None:
        self.asked.append((caller().subject, request))
        if account == FROZEN:
            raise Refused(Reason.REASON_ACCOUNT_NOT_OPEN, "the account is frozen or closed")

    async def Deposit(self, request: pb.DepositRequest, context: Any) -> Any:
        self._note(request)
        return pb.DepositResponse(balance=pb.Balance(asset="USD", posted=request.amount_micros))

    async def DepositShares(self, request: pb.DepositSharesRequest, context: Any) -> Any:
        self._note(request)
        balance = pb.Balance(asset=request.symbol, posted=request.quantity)
        return pb.DepositSharesResponse(balance=balance)

    async def Withdraw(self, request: pb.WithdrawRequest, context: Any) -> Any:
        self._note(request, f"customer/{request.customer_id}")
        return pb.WithdrawResponse(balance=pb.Balance(asset="USD", posted=1))

    async def WithdrawShares(self, request: pb.WithdrawSharesRequest, context: Any) -> Any:
        self._note(request, f"customer/{request.customer_id}")
        return pb.WithdrawSharesResponse(balance=pb.Balance(asset=request.symbol, posted=3))

    async def Freeze(self, request: pb.FreezeRequest, context: Any) -> Any:
        self._note(request, request.account)
        return pb.FreezeResponse(balances=[_usd(request.account)])

    async def Unfreeze(self, request: pb.UnfreezeRequest, context: Any) -> Any:
        self._note(request)
        return pb.UnfreezeResponse(balances=[_usd(request.account)])

    async def Close(self, request: pb.CloseRequest, context: Any) -> Any:
        self._note(request, request.account)
        return pb.CloseResponse()

    async def RequestReversal(self, request: pb.RequestReversalRequest, context: Any) -> Any:
        self._note(request)
        leg = posting_pb2.TransferLeg(
            debit_account="customer/alice", credit_account="house/deposits", asset="USD", amount=5
        )
        return pb.RequestReversalResponse(legs=[leg])

    async def ApproveReversal(self, request: pb.ApproveReversalRequest, context: Any) -> Any:
        self._note(request)
        if caller().subject == WAITING.operator:
            raise Refused(Reason.REASON_SAME_OPERATOR, "another operator must approve it")
        balance = posting_pb2.AccountBalance(account="house/deposits", asset="USD", posted=-5)
        return pb.ApproveReversalResponse(transfer_id=request.request_id, balances=[balance])

    async def ListReversalRequests(
        self, request: pb.ListReversalRequestsRequest, context: Any
    ) -> Any:
        return pb.ListReversalRequestsResponse(requests=[WAITING])

    async def PostTransfers(self, request: posting_pb2.PostTransfersRequest, context: Any) -> Any:
        self._note(request)
        (transfer,) = request.transfers
        givers = {leg.debit_account for leg in transfer.legs}
        if any(" " in giver for giver in givers):
            return posting_pb2.PostTransfersResponse(results=[MALFORMED])
        is_frozen = FROZEN in givers
        result = posting_pb2.TransferResult(
            transfer_id=transfer.transfer_id,
            reason=Reason.REASON_ACCOUNT_NOT_OPEN if is_frozen else Reason.REASON_UNSPECIFIED,
        )
        if not is_frozen:
            result.balances.add(account="customer/alice", asset="KO", posted=5, version=2)
        return posting_pb2.PostTransfersResponse(results=[result])

    async def GetTransfers(self, request: posting_pb2.GetTransfersRequest, context: Any) -> Any:
        is_asked = RECORDED.transfer.transfer_id in request.transfer_ids
        return posting_pb2.GetTransfersResponse(transfers=[RECORDED] if is_asked else [])

    async def GetBalance(self, request: posting_pb2.GetBalanceRequest, context: Any) -> Any:
        self._note(request)
        balance = posting_pb2.AccountBalance(version=4, posted=9_000_000, held=2_000_000)
        return posting_pb2.GetBalanceResponse(balance=balance, available=7_000_000, state="open")

    async def GetInvariants(
        self, request: invariant_pb2.GetInvariantsRequest, context: Any
    ) -> AsyncIterator[invariant_pb2.GetInvariantsResponse]:
        self._note(request)
        breaches = ["account 3 has a gap"] if self.is_broken else []
        rule = "an account's versions have no gap"
        found = invariant_pb2.Invariant(id="I3", rule=rule, holds=not breaches, breaches=breaches)
        for seq in (41, 42) if request.follow else (41,):
            yield invariant_pb2.GetInvariantsResponse(invariants=[found], transfer_seq=seq)


def _usd(account: str) -> pb.Balance:
    return pb.Balance(account=account, asset="USD", posted=100_000_000, held=60_000_000)
