"""Breaks, days and progress as the contract has them. No rules."""

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Any

import msgspec
from google.protobuf.timestamp_pb2 import Timestamp

from services.reconciliation.domain.day import SealedDay
from services.reconciliation.domain.progress import Progress
from services.reconciliation.domain.sighting import Sighting, Source, bounded
from services.reconciliation.store.breaks import StoredBreak
from stockbroker.common.v1.terms_pb2 import Side
from stockbroker.reconciliation.v1 import break_pb2, day_pb2
from stockbroker.reconciliation.v1 import reconciliation_service_pb2 as pb


def break_to(
    found: StoredBreak, *, now: datetime, looked_at: datetime | None = None
) -> break_pb2.Break:
    """A break as it stands at `now`; `looked_at`: every source was read anew since, whole."""
    until = found.closed_at or now
    last_seen_at = found.last_seen_at
    if looked_at is not None and found.closed_at is None:
        last_seen_at = max(last_seen_at, looked_at)
    return break_pb2.Break(
        break_id=found.break_id,
        venue=found.venue,
        execution_id=found.execution_id,
        break_class=break_pb2.BreakClass.ValueType(found.break_class),
        state=break_pb2.BreakState.ValueType(found.state),
        trade_id=found.trade_id,
        trade_date=found.trade_date.isoformat(),
        told=map(_told_to, found.told),
        noticed_at=_time(found.noticed_at),
        opened_at=_time(found.opened_at),
        last_seen_at=_time(last_seen_at),
        closed_at=_time(found.closed_at),
        end=break_pb2.BreakEnd.ValueType(found.ending),
        age_seconds=max(0, int((until - found.opened_at).total_seconds())),
        explanations=[
            break_pb2.Explanation(
                operator=each.operator,
                reason_text=each.reason_text,
                explained_at=_time(each.explained_at),
            )
            for each in found.explanations
        ],
    )


def day_to(found: SealedDay, *, with_breaks: bool) -> day_pb2.Day:
    """A sealed day."""
    report = found.report
    breaks = [msgspec.convert(each, StoredBreak) for each in report.open_breaks]
    return day_pb2.Day(
        trade_date=report.trade_date.isoformat(),
        sealed_at=_time(report.sealed_at),
        sources=[
            day_pb2.DayOfSource(
                source=break_pb2.Source.ValueType(each.source),
                executions=each.executions,
                quantity=bounded(each.quantity),
                notional_micros=bounded(each.notional_micros),
                corrections=each.corrections,
            )
            for each in report.sources
        ],
        closed_breaks=report.closed_breaks,
        open_breaks=[break_to(each, now=report.sealed_at) for each in breaks if with_breaks],
        open_break_count=report.open_break_count,
        seal=found.seal,
        previous_seal=found.previous_seal,
    )


def sources_to(sources: Mapping[Source, Progress], *, now: datetime) -> Iterable[pb.SourceStatus]:
    """How far each source is read at `now`."""
    for source, progress in sorted(sources.items()):
        yield pb.SourceStatus(
            source=break_pb2.Source.ValueType(source),
            is_away=progress.answers_since is None,
            detail=progress.detail,
            read_at=_time(progress.read_at),
            lag_ms=int((now - progress.read_at).total_seconds() * 1000) if progress.read_at else 0,
            position=progress.read.position,
            reread_position=progress.reread.position,
            reread_at=_time(progress.reread_at),
        )


def _told_to(sighting: Sighting) -> break_pb2.ToldTerms:
    side = Side.SIDE_UNSPECIFIED
    if sighting.shares:
        side = Side.SIDE_BUY if sighting.shares > 0 else Side.SIDE_SELL
    return break_pb2.ToldTerms(
        source=break_pb2.Source.ValueType(sighting.source),
        trade_id=sighting.trade_id,
        customer_id=sighting.customer_id,
        side=side,
        symbol=sighting.symbol,
        quantity=abs(sighting.shares),
        notional_micros=abs(sighting.cash_micros),
        position=sighting.position,
        is_correction=not sighting.is_fill,
        amendment_id=sighting.amendment_id,
        is_archived=sighting.is_archived,
    )


def _time(moment: datetime | None) -> Any:
    """A moment on the wire; None where there is none."""
    if moment is None:
        return None
    timestamp = Timestamp()
    timestamp.FromDatetime(moment.astimezone(UTC))
    return timestamp
