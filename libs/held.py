"""Stops that the house holds itself: the id that such an order has until the exchange knows it."""


def held_id(trade_id: str) -> str:
    """In place of the exchange's id of the order.

    >>> held_id("0198c2a4-7d1e-7000-8000-000000000001")
    'HELD-0198c2a4-7d1e-7000-8000-000000000001'
    """
    return f"HELD-{trade_id}"
