"""Turns members' commands into executions, and those into rows to keep and reports to tell."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime

from libs.refusals import Conflict, Invalid, Refusal
from services.exchange_simulator import wire
from services.exchange_simulator.domain import (
    Filing,
    NewOrder,
    Outcome,
    RejectReason,
    refused,
    reports_of,
)
from services.exchange_simulator.sessions import Connection, Session
from services.exchange_simulator.store import Advance, OrderRow, ReportRow, Sequences
from stockbroker.common.v1.reason_pb2 import Reason
from stockbroker.exchange.v1 import exchange_pb2 as pb


@dataclass(frozen=True, slots=True)
class Parcel:
    """Commands as they came in one message: (sequence, order); no order: a number used up."""

    connection: Connection
    commands: Sequence[tuple[int, NewOrder | None]]


@dataclass(slots=True)
class Progress:
    """How far a batch moves a session, and the reports it gets."""

    session_id: str
    before: Sequences
    next_command_seq: int
    next_report_seq: int
    told: list[pb.ExecutionReport] = field(default_factory=list)

    def advance(self) -> Advance:
        """The move to keep."""
        after = replace(
            self.before,
            next_command_seq=self.next_command_seq,
            next_report_seq=self.next_report_seq,
        )
        return Advance(self.session_id, self.before, after)


class Batch:
    """Parcels being written up, in order.

    `known` are the terms of orders kept before, by id; `execute` trades an order on the floor, or
    gives None for one that is never answered;
    `next_id` gives ids that are unique for ever. `refusals` has one entry per parcel: None when
    it is taken whole.
    """

    def __init__(
        self,
        known: Mapping[str, NewOrder],
        *,
        execute: Callable[[NewOrder], Outcome | None],
        next_id: Callable[[], str],
        now: datetime,
    ) -> None:
        self._known = dict(known)
        self._execute = execute
        self._next_id = next_id
        self._now = now
        self._progress: dict[str, Progress] = {}
        self.orders: list[OrderRow] = []
        self.reports: list[ReportRow] = []
        self.refusals: list[Refusal | None] = []

    def take(self, parcel: Parcel, session: Session | None) -> None:
        """Execute what is new of a parcel."""
        if session is None or session.connection is not parcel.connection:
            text = "a newer connection of the session serves it now"
            self.refusals.append(Conflict(Reason.REASON_UNAVAILABLE, text))
            return
        progress = self._progress_of(session)
        for seq, order in parcel.commands:
            if seq > progress.next_command_seq:
                text = f"command {seq} came where {progress.next_command_seq} was expected"
                self.refusals.append(Invalid(Reason.REASON_INVALID_SEQUENCE, text, field="seq"))
                return
            if seq == progress.next_command_seq:
                progress.next_command_seq += 1
                if order is not None:
                    self._place(progress, order)
        self.refusals.append(None)

    def moved(self) -> list[Progress]:
        """The sessions with news, by id."""
        return [
            progress
            for _, progress in sorted(self._progress.items())
            if progress.next_command_seq > progress.before.next_command_seq
        ]

    def _progress_of(self, session: Session) -> Progress:
        session_id = session.connection.session_id
        progress = self._progress.get(session_id)
        if progress is None:
            before = session.sequences()
            progress = Progress(session_id, before, before.next_command_seq, before.next_report_seq)
            self._progress[session_id] = progress
        return progress

    def _place(self, progress: Progress, order: NewOrder) -> None:
        known = self._known.get(order.client_order_id)
        if known is None:
            self._known[order.client_order_id] = order
            filing = Filing(order, self._next_id(), self._now)
            outcome = self._execute(order)
            self.orders.append(
                OrderRow(
                    order,
                    progress.session_id,
                    filing.exchange_order_id,
                    self._now,
                    is_open=outcome is None,
                )
            )
            if outcome is not None:
                self._tell(progress, filing, outcome)
        elif known != order:
            text = "client_order_id was used before with other terms"
            duplicate = refused(RejectReason.DUPLICATE_ORDER_ID, text)
            self._tell(progress, Filing(order, "", self._now), duplicate)

    def _tell(self, progress: Progress, filing: Filing, outcome: Outcome) -> None:
        reports = reports_of(
            filing, outcome, first_seq=progress.next_report_seq, next_id=self._next_id
        )
        progress.next_report_seq += len(reports)
        for report in reports:
            message = wire.report_to(report)
            progress.told.append(message)
            self.reports.append(
                ReportRow(
                    session_id=progress.session_id,
                    report_seq=report.seq,
                    client_order_id=filing.order.client_order_id,
                    exec_id=report.exec_id,
                    exec_type=report.exec_type,
                    last_quantity=report.last_quantity,
                    last_price_micros=report.last_price_micros,
                    body=message.SerializeToString(),
                )
            )
