"""Cash and holds, by the contract, in memory."""

from collections import defaultdict
from typing import Any

import grpc

from stockbroker.common.v1.reason_pb2 import Reason
from stockbroker.ledger.v1 import correction_pb2 as correction_pb
from stockbroker.ledger.v1 import ledger_service_pb2 as ledger_pb
from stockbroker.ledger.v1 import ledger_service_pb2_grpc as ledger_grpc
from tests.execution.fakes.faults import Faults
from tests.execution.fakes.replacing import FakeHoldSizes

Context = grpc.aio.ServicerContext[Any, Any]
_START_CASH = 1_000_000_000_000


class FakeLedger(FakeHoldSizes, ledger_grpc.LedgerServiceServicer):
    """Cash, and holds that give their first answer again."""

    def __init__(self) -> None:
        super().__init__()
        self.faults = Faults()
        self.cash: dict[str, int] = defaultdict(lambda: _START_CASH)
        self.holds: dict[str, ledger_pb.ItemResult] = {}
        self.asked: dict[str, ledger_pb.Hold] = {}
        self.closed: set[str] = set()
        self.posted: dict[str, ledger_pb.ExecutionPosting] = {}
        self.released: set[str] = set()
        self.corrected: dict[tuple[str, int], correction_pb.ExecutionCorrection] = {}
        self.refuses_corrections = Reason.REASON_UNSPECIFIED
        self.log: list[tuple[str, str]] = []
        self.chokes_on: set[str] = set()  # ids of holds and executions answered `chokes_with`
        self.chokes_with = Reason.REASON_INTERNAL

    async def PlaceHolds(
        self, request: ledger_pb.PlaceHoldsRequest, context: Context
    ) -> ledger_pb.PlaceHoldsResponse:
        await self.faults.before("PlaceHolds", request)
        results = [self._hold(hold) for hold in request.holds]
        await self.faults.after("PlaceHolds")
        return ledger_pb.PlaceHoldsResponse(results=results)

    def _hold(self, hold: ledger_pb.Hold) -> ledger_pb.ItemResult:
        if hold.hold_id in self.chokes_on:
            return ledger_pb.ItemResult(id=hold.hold_id, reason=self.chokes_with)
        if hold.hold_id not in self.holds:
            self.holds[hold.hold_id] = self._place(hold)
            self.asked[hold.hold_id] = hold
        assert self.asked[hold.hold_id] == hold
        return self.holds[hold.hold_id]

    def _place(self, hold: ledger_pb.Hold) -> ledger_pb.ItemResult:
        available = self.cash[hold.customer_id] if hold.asset == "USD" else 0
        if hold.asset != "USD":
            reason = Reason.REASON_INSUFFICIENT_SHARES
        elif available < max(hold.amount, 1):
            reason = Reason.REASON_INSUFFICIENT_FUNDS
        else:
            reason = Reason.REASON_UNSPECIFIED
        amount = 0 if reason else hold.amount or available
        return ledger_pb.ItemResult(id=hold.hold_id, reason=reason, amount=amount)

    async def PostExecutions(
        self, request: ledger_pb.PostExecutionsRequest, context: Context
    ) -> ledger_pb.PostExecutionsResponse:
        await self.faults.before("PostExecutions", request)
        results = []
        for posting in request.executions:
            reason = Reason.REASON_UNSPECIFIED
            is_new = posting.execution_id not in self.posted
            if is_new:
                reason = self._why_not(posting.trade_id)
            if posting.execution_id in self.chokes_on:
                reason, is_new = self.chokes_with, False
            if is_new and not reason:
                self.posted[posting.execution_id] = posting
                self.log.append(("posted", posting.trade_id))
                if posting.releases_rest:
                    self.closed.add(posting.trade_id)
            results.append(ledger_pb.ItemResult(id=posting.execution_id, reason=reason))
        await self.faults.after("PostExecutions")
        return ledger_pb.PostExecutionsResponse(results=results)

    async def CorrectExecutions(
        self, request: ledger_pb.CorrectExecutionsRequest, context: Context
    ) -> ledger_pb.CorrectExecutionsResponse:
        await self.faults.before("CorrectExecutions", request)
        results = [self._correct(correction) for correction in request.corrections]
        await self.faults.after("CorrectExecutions")
        return ledger_pb.CorrectExecutionsResponse(results=results)

    def _correct(self, correction: correction_pb.ExecutionCorrection) -> ledger_pb.ItemResult:
        reason, name = Reason.REASON_UNSPECIFIED, (correction.correction_id, correction.retries)
        if correction.execution_id not in self.posted:
            reason = Reason.REASON_TRANSFER_NOT_FOUND
        elif name not in self.corrected:
            reason = self.refuses_corrections
        if not reason and name not in self.corrected:
            self.corrected[name] = correction
            self.log.append(("corrected", self.posted[correction.execution_id].trade_id))
        return ledger_pb.ItemResult(id=correction.correction_id, reason=reason)

    async def ReleaseHolds(
        self, request: ledger_pb.ReleaseHoldsRequest, context: Context
    ) -> ledger_pb.ReleaseHoldsResponse:
        await self.faults.before("ReleaseHolds", request)
        results = []
        for release in request.releases:
            reason = Reason.REASON_UNSPECIFIED
            is_new = release.hold_id not in self.released
            if is_new:
                reason = self._why_not(release.hold_id)
            if release.hold_id in self.chokes_on:
                reason, is_new = self.chokes_with, False
            if is_new and not reason:
                self.released.add(release.hold_id)
                self.closed.add(release.hold_id)
                self.log.append(("released", release.hold_id))
            results.append(ledger_pb.ItemResult(id=release.hold_id, reason=reason))
        await self.faults.after("ReleaseHolds")
        return ledger_pb.ReleaseHoldsResponse(results=results)

    def _why_not(self, hold_id: str) -> Reason.ValueType:
        if hold_id not in self.holds or self.holds[hold_id].reason:
            return Reason.REASON_HOLD_NOT_FOUND
        if hold_id in self.closed:
            return Reason.REASON_HOLD_CLOSED
        return Reason.REASON_UNSPECIFIED
