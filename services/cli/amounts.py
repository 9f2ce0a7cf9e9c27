"""Amounts as people type and read them, and as the house counts them.

The house counts micros of a dollar and whole shares. An amount that cannot be counted exactly is
refused, never rounded.
"""

import re

from libs.money import format_dollars

LARGEST = 2**53

# Bounded, so that what is typed is never too long for int().
_WHOLE = r"(?:\d{1,3}(?:,\d{3}){1,9}|\d{1,30})"
_DOLLARS = re.compile(rf"\$?({_WHOLE}(?:\.\d{{1,30}})?|\.\d{{1,30}})", re.ASCII)
_SHARES = re.compile(rf"([+-]?)({_WHOLE})", re.ASCII)
_PERCENT = re.compile(r"(\d{1,6}(?:\.\d{1,30})?) ?%?", re.ASCII)
_SPEED = re.compile(r"(\d{1,6}(?:\.\d{1,30})?)", re.ASCII)


class Unreadable(ValueError):
    """What was typed is no amount; the text is a sentence for a person."""


def parse_dollars(text: str) -> int:
    """Micros of a dollar, 0 to 2^53. Raises Unreadable.

    >>> parse_dollars("$1,000.50"), parse_dollars("0.000001"), parse_dollars("12")
    (1000500000, 1, 12000000)
    """
    found = _DOLLARS.fullmatch(text.strip())
    if found is None:
        raise Unreadable(f"{text!r} is not an amount: write it like 1000, 1,000.50 or $1,000.50")
    micros = _scaled(found[1], decimals=6)
    if micros is None:
        raise Unreadable(f"{text!r} is not exact: the smallest amount is $0.000001")
    if micros > LARGEST:
        raise Unreadable(f"{text!r} is too much: at most {format_dollars(LARGEST)}")
    return micros


def parse_shares(text: str) -> int:
    """Whole shares, -2^53 to 2^53: the house decides which it takes. Raises Unreadable.

    >>> parse_shares("1,000")
    1000
    """
    found = _SHARES.fullmatch(text.strip())
    if found is None:
        raise Unreadable(f"{text!r} is not a number of whole shares: write it like 10 or 1,000")
    quantity = int(found[2].replace(",", ""))
    if quantity > LARGEST:
        raise Unreadable(f"{text!r} is too many shares: at most {format_shares(LARGEST)}")
    return -quantity if found[1] == "-" else quantity


def parse_percent(text: str) -> int:
    """Hundredths of a percent. Raises Unreadable.

    >>> parse_percent("5"), parse_percent("0.25%"), parse_percent("7.5 %")
    (500, 25, 750)
    """
    found = _PERCENT.fullmatch(text.strip())
    hundredths = _scaled(found[1], decimals=2) if found else None
    if hundredths is None:
        raise Unreadable(f"{text!r} is not a percentage: write it like 5 or 0.25")
    return hundredths


def parse_speed(text: str) -> int:
    """Thousandths of real speed; 0 is as fast as possible. Raises Unreadable.

    >>> parse_speed("1"), parse_speed("0.5"), parse_speed("max")
    (1000, 500, 0)
    """
    if text == "max":
        return 0
    found = _SPEED.fullmatch(text)
    millis = _scaled(found[1], decimals=3) if found else None
    if not millis:
        raise Unreadable(f"{text!r} is not a speed: write 1 for real time, 10, 0.5, or max")
    return millis


def _scaled(number: str, *, decimals: int) -> int | None:
    """`number` x 10^decimals; None where that is not whole."""
    whole, _, part = number.replace(",", "").partition(".")
    part = part.rstrip("0")
    if len(part) > decimals:
        return None
    return int((whole or "0") + part.ljust(decimals, "0"))


def format_shares(quantity: int) -> str:
    """With thousands marked.

    >>> format_shares(10_000_000)
    '10,000,000'
    """
    return f"{quantity:,}"


def format_amount(asset: str, amount: int) -> str:
    """An amount of cash or of shares, whichever `asset` counts."""
    return format_dollars(amount) if asset == "USD" else format_shares(amount)
