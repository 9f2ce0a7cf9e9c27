"""The smallest step of a price: Rule 612 of Regulation NMS (17 CFR 242.612).

In force for all listed stocks since 2006-01-31; a later rule becomes a second table here, and is
chosen by the day.
"""

DOLLAR_MICROS = 1_000_000
_AT_OR_ABOVE_A_DOLLAR = 10_000
_BELOW_A_DOLLAR = 100


def tick_micros_at(price_micros: int) -> int:
    """What a price of that size must be a multiple of; micros of a dollar.

    >>> tick_micros_at(1_000_000), tick_micros_at(999_900), tick_micros_at(0)
    (10000, 100, 100)
    """
    return _AT_OR_ABOVE_A_DOLLAR if price_micros >= DOLLAR_MICROS else _BELOW_A_DOLLAR
