"""For operators alone: what comes in and goes out, who may use accounts, and reversals.

All of it is on record with the operator's name and words.
"""

from libs.auth import caller
from libs.reasons import Reason
from libs.refusals import Archived
from libs.rpc import Context
from services.ledger import journal_wire, wire
from services.ledger.domain import deeds, forms, transfers
from services.ledger.domain.books import Kind
from services.ledger.domain.operations import Leg, Operation, Restrain
from services.ledger.service.asking import checked, refusal, take_one
from services.ledger.store.history import History
from services.ledger.store.stored import StoredTransfer
from services.ledger.writer import Writer
from stockbroker.ledger.v1 import ledger_service_pb2 as pb


class Operators:
    """Does what operators ask for."""

    _writer: Writer
    _history: History

    async def Deposit(self, request: pb.DepositRequest, context: Context) -> pb.DepositResponse:
        post = checked(lambda: wire.deposit_from(request, operator=caller().subject))
        return pb.DepositResponse(balance=_only(await self._done(post)))

    async def DepositShares(
        self, request: pb.DepositSharesRequest, context: Context
    ) -> pb.DepositSharesResponse:
        post = checked(lambda: wire.deposit_shares_from(request, operator=caller().subject))
        return pb.DepositSharesResponse(balance=_only(await self._done(post)))

    async def Withdraw(self, request: pb.WithdrawRequest, context: Context) -> pb.WithdrawResponse:
        post = checked(lambda: wire.withdraw_from(request, operator=caller().subject))
        return pb.WithdrawResponse(balance=_only(await self._done(post)))

    async def WithdrawShares(
        self, request: pb.WithdrawSharesRequest, context: Context
    ) -> pb.WithdrawSharesResponse:
        post = checked(lambda: wire.withdraw_shares_from(request, operator=caller().subject))
        return pb.WithdrawSharesResponse(balance=_only(await self._done(post)))

    async def Freeze(self, request: pb.FreezeRequest, context: Context) -> pb.FreezeResponse:
        asked = _restraint(request.freeze_id, request.account, request.reference)
        operation = checked(lambda: deeds.freeze(asked))
        return pb.FreezeResponse(balances=await self._done(operation))

    async def Unfreeze(self, request: pb.UnfreezeRequest, context: Context) -> pb.UnfreezeResponse:
        asked = _restraint(request.unfreeze_id, request.account, request.reference)
        operation = checked(lambda: deeds.unfreeze(asked))
        return pb.UnfreezeResponse(balances=await self._done(operation))

    async def Close(self, request: pb.CloseRequest, context: Context) -> pb.CloseResponse:
        asked = _restraint(request.close_id, request.account, request.reference)
        operation = checked(lambda: deeds.close(asked))
        return pb.CloseResponse(balances=await self._done(operation))

    async def RequestReversal(
        self, request: pb.RequestReversalRequest, context: Context
    ) -> pb.RequestReversalResponse:
        post = checked(
            lambda: transfers.reversal_request(
                request_id=request.request_id,
                transfer_id=request.transfer_id,
                reference=request.reference,
                operator=caller().subject,
            )
        )
        try:
            legs = await self._legs_back(request.transfer_id)
        except Archived:
            if not await self._history.transfers([post.id]):
                raise
            legs = []  # it is answered as it was, but for these
        await take_one(self._writer, post)
        return pb.RequestReversalResponse(legs=map(journal_wire.leg_to, legs))

    async def ApproveReversal(
        self, request: pb.ApproveReversalRequest, context: Context
    ) -> pb.ApproveReversalResponse:
        """What it reads of the record never changes, so it can be read before the writer locks."""
        operator = caller().subject
        request_id = checked(lambda: forms.an_id(request.request_id, field="request_id"))
        asked = (await self._transfer(request_id)).record
        if asked.kind != Kind.REVERSAL_REQUEST or asked.reason or asked.reverses is None:
            raise refusal(Reason.REASON_TRANSFER_NOT_FOUND)
        if asked.actor == operator:
            raise refusal(Reason.REASON_SAME_OPERATOR)
        transfer_id = asked.reverses
        try:
            legs = await self._legs_back(transfer_id)
        except Archived:
            id_ = transfers.id_of_reversal(request_id, operator=operator)
            return await self._as_approved(id_, request.reference)
        post = checked(
            lambda: transfers.reversal(
                request_id,
                transfer_id=transfer_id,
                legs=legs,
                reference=request.reference,
                operator=operator,
            )
        )
        result = await take_one(self._writer, post)
        return pb.ApproveReversalResponse(
            transfer_id=result.id, balances=map(journal_wire.balance_to, result.balances)
        )

    async def _as_approved(self, id_: str, reference: str) -> pb.ApproveReversalResponse:
        """What it came to while it was known what the transfer moved, but for the balances.

        Raises what it was refused for; HISTORY_ARCHIVED, if it was not asked for then.
        """
        before = (await self._history.transfers([id_])).get(id_)
        if before is None:
            raise _what_it_moved_is_archived()
        if before.record.reference != reference:
            raise refusal(Reason.REASON_EXISTS_DIFFERENT)
        if before.record.reason:
            raise refusal(Reason.ValueType(before.record.reason))
        return pb.ApproveReversalResponse(transfer_id=id_)

    async def ListReversalRequests(
        self, request: pb.ListReversalRequestsRequest, context: Context
    ) -> pb.ListReversalRequestsResponse:
        waiting = await self._history.reversal_requests()
        return pb.ListReversalRequestsResponse(
            requests=map(journal_wire.reversal_request_to, waiting)
        )

    async def _done(self, operation: Operation) -> list[pb.Balance]:
        """The balances of those it is done for. Raises what it is refused for."""
        result = await take_one(self._writer, operation)
        if isinstance(operation, Restrain):
            return wire.balances_to(result)
        return wire.customer_balances_to(result)

    async def _legs_back(self, transfer_id: str) -> list[Leg]:
        """What reverses a transfer. Raises TRANSFER_NOT_FOUND, NOT_REVERSIBLE, HISTORY_ARCHIVED."""
        stored = await self._transfer(
            checked(lambda: forms.an_id(transfer_id, field="transfer_id"))
        )
        moved = await self._history.moved([stored])
        if stored.record.id not in moved:
            raise _what_it_moved_is_archived()
        legs = transfers.legs_back(moved[stored.record.id])
        if stored.record.reason or Kind(stored.record.kind) not in transfers.REVERSIBLE or not legs:
            raise refusal(Reason.REASON_NOT_REVERSIBLE)
        return legs

    async def _transfer(self, transfer_id: str) -> StoredTransfer:
        """Raises TRANSFER_NOT_FOUND."""
        found = await self._history.transfers([transfer_id])
        if transfer_id not in found:
            raise refusal(Reason.REASON_TRANSFER_NOT_FOUND)
        return found[transfer_id]


def _only(balances: list[pb.Balance]) -> pb.Balance | None:
    """The customer's; None: what was done then is archived, and the id was asked again."""
    return balances[0] if balances else None


def _what_it_moved_is_archived() -> Archived:
    return Archived(
        Reason.REASON_HISTORY_ARCHIVED,
        "what the transfer moved is archived: post a transfer that moves it back",
    )


def _restraint(id_: str, account: str, reference: str) -> deeds.Restraint:
    return deeds.Restraint(id=id_, account=account, reference=reference, operator=caller().subject)
