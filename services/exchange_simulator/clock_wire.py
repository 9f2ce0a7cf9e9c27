"""Contract <-> the clock of the floor."""

from datetime import UTC, datetime, timedelta

from google.protobuf.timestamp_pb2 import Timestamp

from libs.refusals import Refused
from services.exchange_simulator.trading import Trading
from services.exchange_simulator.venue_clock import FIRST, LAST, MOST_RATE_MILLIS, Reckoning
from services.exchange_simulator.wire import invalid, timestamp_to
from stockbroker.common.v1.reason_pb2 import Reason
from stockbroker.exchange.v1 import clock_pb2 as pb

_MOST_SECONDS = int((LAST - FIRST).total_seconds())


def reckoning_from(request: pb.SetClockRequest, trading: Trading) -> Reckoning | None:
    """By what the clock is to go; None: the real time. Raises Invalid, Refused."""
    kind, has_rate = request.WhichOneof("to"), request.HasField("rate_millis")
    if kind is None and not has_rate:
        raise invalid("to", "neither a time nor a rate is given")
    if kind in ("next_open", "next_close", "real") and not getattr(request, kind):
        raise invalid(kind, f"{kind} is false")
    if kind == "real":
        if has_rate:
            raise invalid("rate_millis", "the real time has its own rate")
        return None
    rate = request.rate_millis if has_rate else trading.clock.rate_millis
    if not 0 <= rate <= MOST_RATE_MILLIS:
        raise invalid("rate_millis", f"rate_millis is not within 0 and {MOST_RATE_MILLIS}")
    at = _time_from(request, trading)
    if not FIRST <= at < LAST:
        raise invalid(kind or "to", f"the time is not from {FIRST.year} to {LAST.year - 1}")
    return trading.clock.reckon(at, rate)


def clock_to(trading: Trading) -> pb.VenueClock:
    """The time at the exchange, and its session."""
    now = trading.clock.now()
    session = trading.calendar.session(now)
    return pb.VenueClock(
        now=timestamp_to(now),
        rate_millis=trading.clock.rate_millis,
        is_real=trading.clock.reckoning is None,
        is_open=trading.is_open(),
        opens_at=timestamp_to(session.opens_at) if session else None,
        closes_at=timestamp_to(session.closes_at) if session else None,
    )


def _time_from(request: pb.SetClockRequest, trading: Trading) -> datetime:
    kind, now = request.WhichOneof("to"), trading.clock.now()
    if kind == "at":
        return _instant_from(request.at)
    if kind == "advance_seconds":
        if not -_MOST_SECONDS <= request.advance_seconds <= _MOST_SECONDS:
            raise invalid("advance_seconds", "advance_seconds is further than the calendar of time")
        return now + timedelta(seconds=request.advance_seconds)
    if kind is None:
        return now
    session = trading.calendar.session(now)
    close = session.closes_at if session is not None else None
    at = trading.calendar.next_open(now) if kind == "next_open" else close
    if at is None:
        raise Refused(Reason.REASON_MARKET_CLOSED, "the calendar has no such session")
    return at


def _instant_from(message: Timestamp) -> datetime:
    try:
        return message.ToDatetime(UTC)
    except (ValueError, OverflowError):
        raise invalid("at", "at is no time") from None
