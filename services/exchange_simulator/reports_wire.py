"""Reports as members get them. No rules."""

from typing import NamedTuple

from google.protobuf.timestamp_pb2 import Timestamp

from services.exchange_simulator.domain import ExecType, Filing, Report
from stockbroker.exchange.v1 import exchange_pb2 as pb
from stockbroker.exchange.v1 import exchange_service_pb2 as service_pb

_PLAIN = frozenset((ExecType.NEW, ExecType.TRADE))


class Stamp(NamedTuple):
    """What makes a report one of a session: its number there, its id, when it was made."""

    seq: int
    exec_id: str
    transact_time: Timestamp


def add_report(
    message: service_pb.SessionResponse, filing: Filing, report: Report, stamp: Stamp
) -> pb.ExecutionReport:
    """One more report in a message for a member."""
    told = message.reports.reports.add(
        seq=stamp.seq,
        client_order_id=filing.client_order_id,
        exchange_order_id=filing.exchange_order_id,
        exec_type=pb.ExecutionReport.ExecType.ValueType(report.exec_type),
        exec_id=stamp.exec_id,
        symbol=filing.symbol,
        side=pb.Side.ValueType(filing.side),
        last_quantity=report.last_quantity,
        last_price_micros=report.last_price_micros,
        cumulative_quantity=report.cumulative_quantity,
        leaves_quantity=report.leaves_quantity,
        command_seq=report.command_seq,
        transact_time=stamp.transact_time,
    )
    if report.exec_type not in _PLAIN:
        _set_more(told, report)
    return told


def _set_more(told: pb.ExecutionReport, report: Report) -> None:
    """What neither an acceptance nor a fill says."""
    if report.ending is not None:
        told.reject_reason = pb.RejectReason.ValueType(report.ending.reason)
        told.reason_text = report.ending.text
    told.quantity = report.quantity
    told.limit_price_micros = report.limit_price_micros
    told.stop_price_micros = report.stop_price_micros
    told.max_notional_micros = report.max_notional_micros
    told.exec_ref_id = report.exec_ref_id
    told.first_exec_id = report.first_exec_id
