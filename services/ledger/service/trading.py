"""For the execution service: holds and fills."""

from collections.abc import Callable, Iterable
from typing import TypeVar

from libs.auth import caller
from libs.reasons import Reason
from libs.refusals import Denied
from libs.rpc import Context
from services.ledger import wire
from services.ledger.domain.forms import Malformed
from services.ledger.domain.operations import Operation
from services.ledger.service.access import TRADING
from services.ledger.service.asking import take_all
from services.ledger.writer import Writer
from stockbroker.ledger.v1 import ledger_service_pb2 as pb

Item = TypeVar("Item")


class Trading:
    """Moves money and shares for trades."""

    _writer: Writer

    async def PlaceHolds(
        self, request: pb.PlaceHoldsRequest, context: Context
    ) -> pb.PlaceHoldsResponse:
        results = await self._trade(request.holds, wire.place_hold_from, lambda h: h.hold_id)
        return pb.PlaceHoldsResponse(results=results)

    async def AdjustHolds(
        self, request: pb.AdjustHoldsRequest, context: Context
    ) -> pb.AdjustHoldsResponse:
        results = await self._trade(
            request.adjustments, wire.adjust_hold_from, lambda a: a.adjustment_id
        )
        return pb.AdjustHoldsResponse(results=results)

    async def ReleaseHolds(
        self, request: pb.ReleaseHoldsRequest, context: Context
    ) -> pb.ReleaseHoldsResponse:
        results = await self._trade(request.releases, wire.release_from, lambda r: r.hold_id)
        return pb.ReleaseHoldsResponse(results=results)

    async def PostExecutions(
        self, request: pb.PostExecutionsRequest, context: Context
    ) -> pb.PostExecutionsResponse:
        results = await self._trade(
            request.executions, wire.execution_from, lambda e: e.execution_id
        )
        return pb.PostExecutionsResponse(results=results)

    async def _trade(
        self,
        items: Iterable[Item],
        operation_of: Callable[[Item], Operation],
        id_of: Callable[[Item], str],
    ) -> list[pb.ItemResult]:
        """One result per item, in order."""
        if caller().subject != TRADING:
            raise Denied(Reason.REASON_PERMISSION_DENIED, "this service may not trade")
        asked = list(items)
        results = await take_all(self._writer, asked, operation_of)
        return [
            wire.malformed_to(id_of(item), result)
            if isinstance(result, Malformed)
            else wire.result_to(id_of(item), result)
            for item, result in zip(asked, results, strict=True)
        ]
