"""Money in words for a person. Inside the house it is an int of micros (1 USD = 1,000,000)."""

MICROS = 1_000_000


def format_dollars(micros: int) -> str:
    """Exact, with at least two decimals.

    >>> format_dollars(1_000_500_000), format_dollars(-1), format_dollars(585_330_000)
    ('$1,000.50', '-$0.000001', '$585.33')
    """
    whole, part = divmod(abs(micros), MICROS)
    decimals = f"{part:06d}".rstrip("0").ljust(2, "0")
    return f"{'-' if micros < 0 else ''}${whole:,}.{decimals}"
