"""Executions as they are stored, told to whoever compares books."""

from collections.abc import Sequence

from libs.fills import Fill, columns_of, got
from libs.refusals import Invalid
from libs.stamps import set_moment, set_nanos
from services.exchange_gateway.domain import Kind
from services.exchange_gateway.store.executions import StoredExecution
from stockbroker.common.v1 import terms_pb2
from stockbroker.common.v1.reason_pb2 import Reason
from stockbroker.exchange_gateway.v1 import stored_execution_pb2 as pb

_DAY_NANOS = 86_400_000_000_000
_MOST_REPORTS = 5_000
_REPORTS = 1_000


def window_from(request: pb.ListExecutionsRequest) -> tuple[int, int]:
    """After which report, and how many to look through. Raises Invalid."""
    if request.after_seq < 0:
        text = "after_seq is negative"
        raise Invalid(Reason.REASON_INVALID_SEQUENCE, text, field="after_seq")
    if not 0 <= request.limit <= _MOST_REPORTS:
        text = f"limit must be 0 to {_MOST_REPORTS}"
        raise Invalid(Reason.REASON_INVALID_REQUEST, text, field="limit")
    return request.after_seq, request.limit or _REPORTS


def stored_execution_to(stored: StoredExecution) -> pb.StoredExecution:
    """A fill as it is stored."""
    said = stored.report
    execution = pb.StoredExecution(
        report_seq=stored.seq,
        venue=stored.venue,
        execution_id=said.execution_id,
        trade_id=said.trade_id,
        customer_id=stored.customer_id,
        side=terms_pb2.Side.ValueType(said.side),
        symbol=said.symbol,
        quantity=said.quantity,
        price_micros=said.price_micros,
        is_parked=stored.is_parked,
    )
    set_nanos(execution.executed_at, said.executed_at_nanos)
    set_moment(execution.received_at, stored.received_at)
    return execution


def stored_fill_to(stored: StoredExecution) -> Fill | None:
    """A fill that can be told in columns; None: it cannot."""
    said = stored.report
    moved = got(said.side, said.quantity, said.price_micros)
    if moved is None or stored.is_parked or stored.is_amendment:
        return None
    named = stored.seq, said.execution_id, said.trade_id
    return *named, stored.customer_id, said.symbol, *moved, said.executed_at_nanos // _DAY_NANOS


def stored_to(found: Sequence[StoredExecution], *, in_columns: bool) -> pb.ListExecutionsResponse:
    """Fills, told in columns where they can be and it is asked for, and amendments."""
    if not in_columns:
        return pb.ListExecutionsResponse(
            executions=[stored_execution_to(each) for each in found if not each.is_amendment],
            amendments=[stored_amendment_to(each) for each in found if each.is_amendment],
        )
    fills = [(stored_fill_to(each), each) for each in found]
    others = [each for fill, each in fills if fill is None]
    venue = found[0].venue if found else ""  # of the one session that is read
    response = stored_to(others, in_columns=False)
    told = [fill for fill, _ in fills if fill is not None]
    response.columns.CopyFrom(columns_of(venue, told))
    return response


def stored_amendment_to(stored: StoredExecution) -> pb.StoredAmendment:
    """A bust or a correction of a fill as it is stored."""
    said = stored.report
    is_bust = said.kind == Kind.BUSTED
    amendment = pb.StoredAmendment(
        report_seq=stored.seq,
        venue=stored.venue,
        execution_id=stored.execution_id,
        amendment_id=said.execution_id,
        trade_id=said.trade_id,
        customer_id=stored.customer_id,
        side=terms_pb2.Side.ValueType(said.side),
        symbol=said.symbol,
        quantity=0 if is_bust else said.quantity,
        price_micros=0 if is_bust else said.price_micros,
        is_parked=stored.is_parked,
    )
    set_nanos(amendment.amended_at, said.executed_at_nanos)
    set_moment(amendment.received_at, stored.received_at)
    return amendment
