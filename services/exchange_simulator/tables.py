"""The tables that come with the exchange: what is listed, and when it trades. Touches files."""

import csv
from datetime import UTC, datetime
from functools import cache
from pathlib import Path

from services.exchange_simulator.domain import Instrument
from services.exchange_simulator.hours import Session

_HOME = Path(__file__).parent
_INSTRUMENTS = _HOME / "instruments.csv"
_SESSIONS = _HOME / "calendar" / "sessions.csv"


def read_instruments() -> list[Instrument]:
    """What is listed. The prices are a place to start from, not market data."""
    with _INSTRUMENTS.open(newline="") as lines:
        return [
            Instrument(
                symbol=row["symbol"],
                name=row["name"],
                reference_cents=int(row["reference_cents"]),
                spread_cents=int(row["spread_cents"]),
                depth=int(row["depth"]),
            )
            for row in csv.DictReader(line for line in lines if not line.startswith("#"))
        ]


@cache
def read_sessions() -> tuple[Session, ...]:
    """Every session of the New York Stock Exchange in the table, oldest first."""
    with _SESSIONS.open(newline="") as lines:
        return tuple(
            Session(_moment(row["date"], row["open"]), _moment(row["date"], row["close"]))
            for row in csv.DictReader(lines)
        )


def _moment(date: str, time: str) -> datetime:
    return datetime.fromisoformat(f"{date}T{time}").replace(tzinfo=UTC)
