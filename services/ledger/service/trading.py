"""For the execution service: holds and fills."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from typing import TypeVar

from libs.auth import caller
from libs.reasons import Reason
from libs.refusals import Denied
from libs.rpc import Context
from services.ledger import wire
from services.ledger.domain.books import Result
from services.ledger.domain.corrections import (
    Answered,
    Booking,
    Correction,
    as_before,
    correction,
    execution_corrected,
    id_of_correction,
)
from services.ledger.domain.forms import Malformed
from services.ledger.domain.operations import Operation
from services.ledger.service.access import TRADING
from services.ledger.service.asking import check_count, take_all
from services.ledger.store.history import History
from services.ledger.writer import Writer
from stockbroker.ledger.v1 import ledger_service_pb2 as pb
from stockbroker.ledger.v1.correction_pb2 import ExecutionCorrection

Item = TypeVar("Item")


class Trading:
    """Moves money and shares for trades."""

    _writer: Writer
    _history: History

    async def PlaceHolds(
        self, request: pb.PlaceHoldsRequest, context: Context
    ) -> pb.PlaceHoldsResponse:
        results = await self._trade(
            request.holds, wire.place_hold_from, None if request.is_brief else lambda h: h.hold_id
        )
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
            request.executions,
            wire.execution_from,
            None if request.is_brief else lambda e: e.execution_id,
        )
        return pb.PostExecutionsResponse(results=results)

    async def CorrectExecutions(
        self, request: pb.CorrectExecutionsRequest, context: Context
    ) -> pb.CorrectExecutionsResponse:
        """Run by run: what corrects a correction in the same request finds it booked."""
        _check_trades()
        check_count(request.corrections)
        results: list[pb.ItemResult] = []
        for run in _runs(request.corrections):
            results += await self._correct(run)
        return pb.CorrectExecutionsResponse(results=results)

    async def _correct(self, items: Sequence[ExecutionCorrection]) -> list[pb.ItemResult]:
        """What it reads of the record never changes, so it can be read before the writer locks.

        Of two that correct the same, told at the same time, the books take one.
        """
        named = _by_execution(items)
        bookings = await self._bookings_of(named)
        archived = [id_ for id_ in named if any(b.moved is None for b in bookings[id_])]
        answered = await self._answered([each for id_ in archived for each in named[id_]])

        def operation_of(item: ExecutionCorrection) -> Operation | Result:
            asked = wire.correction_from(item)
            booked = bookings[execution_corrected(asked)]
            before = answered.get(id_of_correction(asked))
            return correction(asked, booked) if before is None else as_before(asked, booked, before)

        return await self._trade(items, operation_of, lambda c: c.correction_id)

    async def _bookings_of(self, ids: Iterable[str]) -> dict[str, list[Booking]]:
        """How executions and the corrections of them were booked, in order; by execution."""
        lines = await self._history.corrections(sorted(ids))
        found = await self._history.transfers([id_ for line in lines.values() for id_ in line])
        moved = await self._history.moved(found.values())
        return {
            id_: [
                Booking(
                    id=each,
                    kind=found[each].record.kind,
                    reference=found[each].record.reference,
                    is_refused=bool(found[each].record.reason),
                    moved=moved.get(each),
                )
                for each in line
            ]
            for id_, line in lines.items()
        }

    async def _answered(self, asked: Iterable[Correction]) -> dict[str, Answered]:
        """What these came to, those that were told before; by their id."""
        ids = [id_of_correction(each) for each in asked]
        found = await self._history.transfers(ids) if ids else {}
        return {
            id_: Answered(
                each.record.kind, each.record.reverses, Reason.ValueType(each.record.reason)
            )
            for id_, each in found.items()
        }

    async def _trade(
        self,
        items: Iterable[Item],
        operation_of: Callable[[Item], Operation | Result],
        id_of: Callable[[Item], str] | None,
    ) -> list[pb.ItemResult]:
        """One result per item, in order; brief without `id_of`."""
        _check_trades()
        asked = list(items)
        results = await take_all(self._writer, asked, operation_of)
        if id_of is None:
            return list(map(wire.brief_to, results))
        return [
            wire.malformed_to(id_of(item), result)
            if isinstance(result, Malformed)
            else wire.result_to(id_of(item), result)
            for item, result in zip(asked, results, strict=True)
        ]


def _by_execution(items: Iterable[ExecutionCorrection]) -> dict[str, list[Correction]]:
    """Those that are well-formed, by the id of the booking that each is about."""
    found: dict[str, list[Correction]] = {}
    for item in items:
        with suppress(Malformed):
            asked = wire.correction_from(item)
            found.setdefault(execution_corrected(asked), []).append(asked)
    return found


def _runs(items: Iterable[ExecutionCorrection]) -> Iterator[list[ExecutionCorrection]]:
    """Cut so that a run has one of an execution at most."""
    run: dict[tuple[str, str], ExecutionCorrection] = {}
    for item in items:
        if (item.venue, item.execution_id) in run:
            yield list(run.values())
            run = {}
        run[item.venue, item.execution_id] = item
    yield list(run.values())


def _check_trades() -> None:
    if caller().subject != TRADING:
        raise Denied(Reason.REASON_PERMISSION_DENIED, "this service may not trade")
