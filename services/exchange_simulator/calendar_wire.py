"""Contract <-> the calendar."""

from datetime import UTC, date, datetime

from google.protobuf.timestamp_pb2 import Timestamp

from services.exchange_simulator.hours import Change, Session, TradingDay
from services.exchange_simulator.wire import invalid, limit_from, timestamp_to
from stockbroker.exchange.v1 import calendar_pb2 as pb

_UNSAID, _MOST = 10, 1_000
_MOST_WORDS = 200


def page_from(request: pb.ListTradingDaysRequest, now: datetime) -> tuple[date, int]:
    """The first date, and how many. Raises Invalid."""
    first = date_from(request.from_date, "from_date") if request.from_date else now.date()
    return first, limit_from(request.limit, unsaid=_UNSAID, most=_MOST)


def date_from(text: str, field: str = "date") -> date:
    """A date. Raises Invalid."""
    try:
        return datetime.strptime(text, "%Y-%m-%d").replace(tzinfo=UTC).date()
    except ValueError:
        raise invalid(field, f"{field} is no date such as 2026-11-27") from None


def change_from(request: pb.SetTradingDayRequest) -> Change | None:
    """The hours that are wanted; None: those of the calendar. Raises Invalid."""
    day, kind = date_from(request.date), request.WhichOneof("hours")
    if len(request.reason_text) > _MOST_WORDS or not request.reason_text.isprintable():
        raise invalid("reason_text", f"reason_text is not up to {_MOST_WORDS} printable characters")
    if kind == "open":
        return Change(day, _session_from(day, request.open), request.reason_text)
    if kind is None or not getattr(request, kind):
        raise invalid("hours", "hours are neither open, closed nor usual")
    return Change(day, None, request.reason_text) if kind == "is_closed" else None


def day_to(day: TradingDay) -> pb.TradingDay:
    """One day as it is told."""
    session, change = day.session, day.change
    return pb.TradingDay(
        date=day.day.isoformat(),
        opens_at=timestamp_to(session.opens_at) if session else None,
        closes_at=timestamp_to(session.closes_at) if session else None,
        is_short=day.is_short,
        is_set=change is not None,
        reason_text=change.reason if change else "",
    )


def _session_from(day: date, hours: pb.OpenHours) -> Session:
    opens_at = _moment_from(hours.opens_at, "opens_at")
    closes_at = _moment_from(hours.closes_at, "closes_at")
    if not opens_at < closes_at:
        raise invalid("closes_at", "it does not close after it opens")
    for name, at in (("opens_at", opens_at), ("closes_at", closes_at)):
        if at.date() != day:
            raise invalid(name, f"{name} is not on {day}, in UTC")
    return Session(opens_at, closes_at)


def _moment_from(message: Timestamp, field: str) -> datetime:
    try:
        return message.ToDatetime(UTC)
    except (ValueError, OverflowError):
        raise invalid(field, f"{field} is no time") from None
