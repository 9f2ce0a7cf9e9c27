"""Reads a message of the exchange of which a part makes no sense, so that only that part is lost.

A single report that is no valid ExecutionReport, for example by text that is not UTF-8, makes the
whole message unreadable, and the next logon brings it again: it would hold up the session for ever.
"""

from dataclasses import dataclass
from typing import Any

from google.protobuf.empty_pb2 import Empty
from google.protobuf.message import DecodeError
from google.protobuf.unknown_fields import UnknownFieldSet

from stockbroker.exchange.v1 import exchange_pb2 as market
from stockbroker.exchange.v1 import exchange_service_pb2 as pb

_REPORTS = pb.SessionResponse.DESCRIPTOR.fields_by_name["reports"].number
_REPORT = pb.SessionResponse.Reports.DESCRIPTOR.fields_by_name["reports"].number
_SEQ = market.ExecutionReport.DESCRIPTOR.fields_by_name["seq"].number


@dataclass(frozen=True, slots=True)
class Garbled:
    """A message of reports, each as its bytes; some of them make no sense."""

    reports: list[bytes]


def read_response(content: bytes) -> pb.SessionResponse | Garbled:
    """A message of the session. Raises DecodeError when it is not even one of reports."""
    try:
        return pb.SessionResponse.FromString(content)
    except DecodeError:
        reports = [report for part in _parts(content, _REPORTS) for report in _parts(part, _REPORT)]
        if not reports:
            raise
        return Garbled(reports)


def seq_of(report: bytes) -> int:
    """The session's number of a report that makes no sense. Raises DecodeError without one."""
    for field in _fields(report):
        if field.field_number == _SEQ and isinstance(field.data, int):
            return field.data
    raise DecodeError("a report without a number")


def _parts(content: bytes, number: int) -> list[bytes]:
    """The messages in field `number`, as bytes."""
    fields = _fields(content)
    return [f.data for f in fields if f.field_number == number and isinstance(f.data, bytes)]


def _fields(content: bytes) -> list[Any]:
    """Every field of a message, whatever it is."""
    found: Any = UnknownFieldSet(Empty.FromString(content))  # its types forget that it iterates
    return list(found)
