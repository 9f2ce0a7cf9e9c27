"""What the sources' contracts tell, as sightings. No rules."""

from collections.abc import Iterable
from datetime import date, timedelta
from functools import lru_cache
from hashlib import sha256

from google.protobuf.timestamp_pb2 import Timestamp

from services.reconciliation.domain.sighting import Sighting, Source, bounded
from stockbroker.common.v1.fill_columns_pb2 import FillColumns
from stockbroker.exchange.v1.exchange_pb2 import ExecutionReport
from stockbroker.exchange_gateway.v1.stored_execution_pb2 import StoredAmendment, StoredExecution
from stockbroker.ledger.v1.booked_execution_pb2 import BookedExecution
from stockbroker.order.v1.recorded_execution_pb2 import RecordedAmendment, RecordedExecution

_CASH = "USD"
_SIGNS = {1: 1, 2: -1}  # BUY and SELL, by what they do to the customer's shares
# The part of it at the order service, where fill and amendments may be of one transaction.
_FIRST_AMENDMENT = 1
_NO_DAY = date(1970, 1, 1)
_DAY_SECONDS = 86_400
_LONGEST = 256  # characters; a venue and an execution have to fit an index together


def from_columns(source: Source, told: FillColumns) -> list[Sighting]:
    """Fills as a source tells many of them. ValueError when a column is longer than another."""
    rows = zip(
        *(told.positions, map(_day_numbered, told.days), told.shares, told.cash_micros),
        *map(_texts, (told.execution_ids, told.trade_ids, told.customer_ids, told.symbols)),
        strict=True,
    )
    venue = text(told.venue)
    return [
        Sighting(source, position, day, shares, cash, venue, execution, trade, customer, symbol)
        for position, day, shares, cash, execution, trade, customer, symbol in rows
    ]


def from_venue(report: ExecutionReport, venue: str) -> Sighting:
    """An execution of the drop copy; `venue`: its name."""
    sign, quantity = _SIGNS.get(report.side, 0), report.last_quantity
    return Sighting(
        Source.VENUE,
        report.seq,
        _day(report.transact_time),
        bounded(sign * quantity),
        bounded(-sign * quantity * report.last_price_micros),
        venue,
        text(report.exec_id),
        text(report.client_order_id),
        "",  # the venue names no customer
        text(report.symbol),
    )


def from_venue_correction(report: ExecutionReport, venue: str) -> Sighting:
    """What the drop copy says that an execution is instead; of a busted one nothing."""
    sign = _SIGNS.get(report.side, 0)
    is_bust = report.exec_type == ExecutionReport.EXEC_TYPE_TRADE_CANCEL
    quantity = 0 if is_bust else report.last_quantity
    return Sighting(
        source=Source.VENUE,
        position=report.seq,
        trade_date=_day(report.transact_time),
        shares=bounded(sign * quantity),
        cash_micros=bounded(-sign * quantity * report.last_price_micros),
        is_fill=False,
        venue=venue,
        execution_id=text(report.first_exec_id or report.exec_ref_id),
        trade_id=text(report.client_order_id),
        customer_id="",
        symbol=text(report.symbol),
        amendment_id=text(report.exec_id),
    )


def from_gateway(stored: StoredExecution) -> Sighting:
    """A fill as the gateway stored it."""
    sign = _SIGNS.get(stored.side, 0)
    return Sighting(
        source=Source.GATEWAY,
        position=stored.report_seq,
        trade_date=_day(stored.executed_at),
        shares=bounded(sign * stored.quantity),
        cash_micros=bounded(-sign * stored.quantity * stored.price_micros),
        is_fill=not stored.is_parked,
        venue=text(stored.venue),
        execution_id=text(stored.execution_id),
        trade_id=text(stored.trade_id),
        customer_id=stored.customer_id,
        symbol=text(stored.symbol),
    )


def from_gateway_amendment(stored: StoredAmendment) -> Sighting:
    """What the gateway stored that an execution is instead, whether it is parked or not."""
    sign = _SIGNS.get(stored.side, 0)
    return Sighting(
        source=Source.GATEWAY,
        position=stored.report_seq,
        trade_date=_day(stored.amended_at),
        shares=bounded(sign * stored.quantity),
        cash_micros=bounded(-sign * stored.quantity * stored.price_micros),
        is_fill=False,
        venue=text(stored.venue),
        execution_id=text(stored.execution_id),
        trade_id=text(stored.trade_id),
        customer_id=stored.customer_id,
        symbol=text(stored.symbol),
        amendment_id=text(stored.amendment_id),
    )


def from_order(recorded: RecordedExecution) -> Sighting:
    """A fill as the order service recorded it."""
    sign = _SIGNS.get(recorded.side, 0)
    execution = recorded.execution
    return Sighting(
        source=Source.ORDER,
        position=recorded.transaction_id,
        trade_date=_day(execution.executed_at),
        shares=bounded(sign * execution.quantity),
        cash_micros=bounded(-sign * execution.quantity * execution.price_micros),
        venue=execution.venue,
        execution_id=execution.execution_id,
        trade_id=execution.trade_id,
        customer_id=recorded.customer_id,
        symbol=recorded.symbol,
    )


def from_order_amendment(recorded: RecordedAmendment) -> Sighting:
    """What the order service recorded that an execution is instead."""
    sign = _SIGNS.get(recorded.side, 0)
    return Sighting(
        source=Source.ORDER,
        position=recorded.transaction_id,
        part=max(_FIRST_AMENDMENT, recorded.number),
        trade_date=_day(recorded.amended_at),
        shares=bounded(sign * recorded.quantity),
        cash_micros=bounded(-sign * recorded.quantity * recorded.price_micros),
        is_fill=False,
        venue=recorded.venue,
        execution_id=recorded.execution_id,
        trade_id=recorded.trade_id,
        customer_id=recorded.customer_id,
        symbol=recorded.symbol,
        amendment_id=recorded.amendment_id,
    )


def from_ledger(booked: BookedExecution) -> Iterable[Sighting]:
    """What a transfer moved: a sighting per customer and symbol, one of nothing if none moved."""
    moved = booked.movements or [BookedExecution.Movement()]
    cash = {each.customer_id: each.amount for each in moved if each.asset == _CASH}
    shares = [each for each in moved if each.asset != _CASH]
    shares += [
        BookedExecution.Movement(customer_id=customer_id)
        for customer_id in sorted(cash.keys() - {each.customer_id for each in shares})
    ]
    for part, each in enumerate(shares):
        yield Sighting(
            source=Source.LEDGER,
            position=booked.seq,
            part=part,
            trade_date=_day(booked.effective_at),
            shares=each.amount,
            cash_micros=cash.pop(each.customer_id, 0),
            is_fill=booked.is_fill,
            venue=booked.venue,
            execution_id=booked.execution_id,
            trade_id=booked.trade_id,
            customer_id=each.customer_id,
            symbol=each.asset,
            amendment_id=booked.correction_id,
            is_archived=booked.is_archived,
        )


def _day(at: Timestamp) -> date:
    """The day in UTC; the first there is for a time that is none."""
    return _day_numbered(at.seconds // _DAY_SECONDS)


@lru_cache(64)
def _day_numbered(number: int) -> date:
    """The day so many days after the first of 1970."""
    try:
        return _NO_DAY + timedelta(days=number)
    except OverflowError:
        return _NO_DAY


def text(words: str) -> str:
    """Words of others: PostgreSQL keeps no zero character, and no index a name without end."""
    words = words.replace("\0", "\N{REPLACEMENT CHARACTER}")
    if len(words) <= _LONGEST:
        return words
    return words[:_LONGEST] + sha256(words.encode()).hexdigest()


def _texts(column: Iterable[str]) -> list[str]:
    found = list(column)
    return list(map(text, found)) if "\0" in "".join(found) else found
