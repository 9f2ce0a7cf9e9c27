"""Fills that were told in columns."""

from stockbroker.common.v1.fill_columns_pb2 import FillColumns

DAY_SECONDS = 86_400


def fills_of(told: FillColumns) -> list[tuple[int | str, ...]]:
    """Venue, position, execution, trade, customer, symbol, shares, cash and day of each."""
    columns = (
        *(told.positions, told.execution_ids, told.trade_ids, told.customer_ids, told.symbols),
        *(told.shares, told.cash_micros, told.days),
    )
    return [(told.venue, *row) for row in zip(*columns, strict=True)]
