"""Fills as columns, as contracts tell many of them to who compares books."""

from collections.abc import Sequence
from datetime import UTC, datetime

from stockbroker.common.v1.fill_columns_pb2 import FillColumns

# Position, execution id, trade id, customer id, symbol, shares, cash in micros, day.
Fill = tuple[int, str, str, str, str, int, int, int]

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_SIGNS = {1: 1, 2: -1}  # BUY and SELL, by what they do to the customer's shares
_MOST = 2**63 - 1


def day_of(moment: datetime) -> int:
    """The day in UTC, counted from 1970-01-01."""
    return (moment - _EPOCH).days


def got(side: int, quantity: int, price_micros: int) -> tuple[int, int] | None:
    """Shares and cash that the customer of a fill got; None where no column can tell it.

    >>> got(1, 10, 2_000_000)
    (10, -20000000)
    """
    sign, notional = _SIGNS.get(side), quantity * price_micros
    if sign is None or not -_MOST <= notional <= _MOST:
        return None
    return sign * quantity, -sign * notional


def columns_of(venue: str, fills: Sequence[Fill]) -> FillColumns:
    """The contract's message of these."""
    if not fills:
        return FillColumns(venue=venue)
    positions, executions, trades, customers, symbols, shares, cash, days = zip(*fills, strict=True)
    return FillColumns(
        venue=venue,
        positions=positions,
        execution_ids=executions,
        trade_ids=trades,
        customer_ids=customers,
        symbols=symbols,
        shares=shares,
        cash_micros=cash,
        days=days,
    )
