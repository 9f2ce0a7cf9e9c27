"""What is set aside for an order before it is sent: one rule for who holds and who previews."""

from typing import NamedTuple

CASH = "USD"
ALL_AVAILABLE = 0
_MAX_INT64 = 2**63 - 1


class Hold(NamedTuple):
    """What is set aside: micros of USD or whole shares; ALL_AVAILABLE: whatever there is."""

    asset: str
    amount: int


_ALL_CASH = Hold(CASH, ALL_AVAILABLE)


def hold_to_sell(symbol: str, quantity: int) -> Hold:
    """A SELL holds the shares.

    >>> hold_to_sell("AAPL", 3)
    Hold(asset='AAPL', amount=3)
    """
    return Hold(symbol, quantity)


def hold_to_buy(quantity: int, *, limit_price_micros: int, stop_price_micros: int) -> Hold:
    """A BUY with a limit holds the most it can cost, at the market all cash. Prices 0: none.

    A STOP to buy becomes a market order at a price nobody knows yet: it holds a tenth more than it
    costs at its stop price, and the exchange may spend no more. No amount is beyond 64 bits: so
    much nobody has.

    >>> hold_to_buy(10, limit_price_micros=5_000_000, stop_price_micros=0).amount
    50000000
    >>> hold_to_buy(10, limit_price_micros=0, stop_price_micros=5_000_000).amount
    55000000
    """
    if limit_price_micros:
        return Hold(CASH, limit_price_micros * quantity)
    if stop_price_micros:
        at_stop = stop_price_micros * quantity
        return Hold(CASH, min(at_stop + at_stop // 10, _MAX_INT64))
    return _ALL_CASH
