"""Writes sessions.csv from exchange_calendars. For developers, once a year:

python -m services.exchange_simulator.calendar.generate
"""

import csv
from pathlib import Path

import exchange_calendars

FIRST, LAST = "1990-01-01", "2027-12-31"
TABLE = Path(__file__).parent / "sessions.csv"


def main() -> None:
    """Every session of the New York Stock Exchange: date, open and close in UTC on that date."""
    calendar = exchange_calendars.get_calendar("XNYS", start=FIRST, end=LAST)
    with TABLE.open("w", newline="") as lines:
        table = csv.writer(lines, lineterminator="\n")
        table.writerow(["date", "open", "close"])
        for opens_at, closes_at in zip(calendar.opens, calendar.closes, strict=True):
            if opens_at.date() != closes_at.date():
                raise ValueError(f"the session of {opens_at} ends on another day")
            table.writerow([opens_at.date(), f"{opens_at:%H:%M}", f"{closes_at:%H:%M}"])


if __name__ == "__main__":
    main()
