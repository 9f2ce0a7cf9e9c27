"""Breaks and days in a person's words."""

from libs.money import format_dollars
from services.cli.amounts import format_shares
from services.cli.wire import date_time
from stockbroker.common.v1 import terms_pb2
from stockbroker.reconciliation.v1 import break_pb2, day_pb2

EVERY_STATE = (
    break_pb2.BREAK_STATE_OPEN,
    break_pb2.BREAK_STATE_EXPLAINED,
    break_pb2.BREAK_STATE_CLOSED,
)
BREAK_HEADINGS = ("break", "class", "state", "execution", "trade", "opened (UTC)", ">age")
TOLD_HEADINGS = ("source", "trade", "customer", "side", ">shares", "symbol", ">notional", "")
_SECONDS = ((86_400, "d"), (3_600, "h"), (60, "min"))


def class_word(break_class: break_pb2.BreakClass.ValueType) -> str:
    """For example MISSING_AT_ORDER."""
    return break_pb2.BreakClass.Name(break_class).removeprefix("BREAK_CLASS_")


def source_word(source: break_pb2.Source.ValueType) -> str:
    """For example venue."""
    return break_pb2.Source.Name(source).removeprefix("SOURCE_").lower()


def break_cells(found: break_pb2.Break) -> tuple[str, ...]:
    """A row of the table of breaks."""
    return (
        found.break_id,
        class_word(found.break_class),
        _state(found),
        f"{found.venue}/{found.execution_id}",
        found.trade_id,
        date_time(found.opened_at),
        _age(found.age_seconds),
    )


def break_line(found: break_pb2.Break) -> str:
    """A break on one line."""
    line = f"{class_word(found.break_class)} {found.venue}/{found.execution_id}"
    return f"{line}, {_state(found)}, opened {date_time(found.opened_at)}"


def explanation_line(explanation: break_pb2.Explanation) -> str:
    """Who said what of a break."""
    at = date_time(explanation.explained_at)
    return f"{at}  {explanation.operator}: {explanation.reason_text}"


def told_cells(told: break_pb2.ToldTerms) -> tuple[str, ...]:
    """What a source says."""
    no_fill = "no fill" if told.is_correction else ""
    what = f"amendment {told.amendment_id}" if told.amendment_id else no_fill
    return (
        source_word(told.source),
        told.trade_id,
        told.customer_id,
        terms_pb2.Side.Name(told.side).removeprefix("SIDE_") if told.side else "",
        format_shares(told.quantity),
        told.symbol,
        format_dollars(told.notional_micros),
        ", ".join(filter(None, (what, "archived" if told.is_archived else ""))),
    )


def day_cells(day: day_pb2.Day, source: day_pb2.DayOfSource) -> tuple[str, ...]:
    """What a source had of a day."""
    return (
        day.trade_date,
        source_word(source.source),
        str(source.executions),
        format_shares(source.quantity),
        format_dollars(source.notional_micros),
        str(source.corrections),
        str(day.open_break_count),
    )


def _state(found: break_pb2.Break) -> str:
    if found.end:
        return break_pb2.BreakEnd.Name(found.end).removeprefix("BREAK_END_").lower()
    return break_pb2.BreakState.Name(found.state).removeprefix("BREAK_STATE_").lower()


def _age(seconds: int) -> str:
    for length, unit in _SECONDS:
        if seconds >= length:
            return f"{seconds // length} {unit}"
    return f"{seconds} s"
