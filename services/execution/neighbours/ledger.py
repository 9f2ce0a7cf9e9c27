"""The ledger: cash and shares."""

from collections.abc import Sequence
from pathlib import Path

from libs.clock import Clock
from services.execution import amend_wire, replace_wire, report_wire, wire
from services.execution.domain.booking import APPLIED, Booking, code_of
from services.execution.domain.replacing import Adjustment
from services.execution.domain.report import Amended, Fill, Report
from services.execution.domain.trade import Held, Trade
from services.execution.neighbours.calling import Neighbour, must_answer_all
from stockbroker.common.v1.reason_pb2 import Reason
from stockbroker.ledger.v1 import ledger_service_pb2 as ledger_pb
from stockbroker.ledger.v1 import ledger_service_pb2_grpc as ledger_grpc


class Ledger(Neighbour):
    """Cash and shares."""

    def __init__(self, address: str, token_file: Path | str, clock: Clock) -> None:
        super().__init__(address, token_file, clock)
        self._stub = ledger_grpc.LedgerServiceStub(self.channel)

    async def hold(self, trades: Sequence[Trade]) -> list[Held]:
        """Set aside what each trade needs."""
        response = await self._call(self._stub.PlaceHolds, wire.holds_to(trades))
        must_answer_all(trades, response.results)
        return [Held(result.amount, result.reason) for result in response.results]

    async def post(self, fills: Sequence[tuple[Report, Fill]]) -> list[Booking]:
        """Book fills; what was done with each."""
        response = await self._call(self._stub.PostExecutions, report_wire.postings_to(fills))
        must_answer_all(fills, response.results)
        return [_booked(result.reason) for result in response.results]

    async def adjust(self, adjustments: Sequence[Adjustment]) -> list[Reason.ValueType]:
        """Hold more or less for trades; the ledger's reasons."""
        request = ledger_pb.AdjustHoldsRequest(
            adjustments=map(replace_wire.adjustment_to, adjustments)
        )
        response = await self._call(self._stub.AdjustHolds, request)
        must_answer_all(adjustments, response.results)
        return [result.reason for result in response.results]

    async def adjust_down(self, adjustments: Sequence[Adjustment]) -> list[Booking]:
        """Free parts of what is held; of a hold that is closed nothing is left to free."""
        reasons = await self.adjust(adjustments)
        closed = Reason.REASON_HOLD_CLOSED
        return [_booked(Reason.REASON_UNSPECIFIED if each == closed else each) for each in reasons]

    async def correct(self, amended: Sequence[tuple[Report, Amended]]) -> list[Booking]:
        """Book what the exchange took back of fills; what was done with each."""
        corrections = [amend_wire.correction_to(report, news) for report, news in amended]
        request = ledger_pb.CorrectExecutionsRequest(corrections=corrections)
        response = await self._call(self._stub.CorrectExecutions, request)
        must_answer_all(amended, response.results)
        return [_booked(result.reason) for result in response.results]

    async def release(self, trade_ids: Sequence[str]) -> list[Booking]:
        """Free what is left of the trades' holds; what was done with each."""
        return [_booked(reason) for reason in await self.free(trade_ids)]

    async def free(self, trade_ids: Sequence[str]) -> list[Reason.ValueType]:
        """The same; the ledger's reasons. HOLD_NOT_FOUND: nothing is held and never will be."""
        releases = [ledger_pb.Release(hold_id=trade_id) for trade_id in trade_ids]
        request = ledger_pb.ReleaseHoldsRequest(releases=releases)
        response = await self._call(self._stub.ReleaseHolds, request)
        must_answer_all(trade_ids, response.results)
        return [result.reason for result in response.results]


def _booked(reason: Reason.ValueType) -> Booking:
    if not reason:
        return APPLIED
    return Booking(code_of(reason), f"the ledger says {wire.name_of(reason)}")
