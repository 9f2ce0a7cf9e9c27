"""Orders as the columns of a statement that stores them."""

from collections.abc import Mapping, Sequence
from typing import Any

from libs.postgres.arrays import Bigints, Texts
from services.exchange_gateway.domain import Order


def columns_of(orders: Sequence[Order]) -> Mapping[str, Any]:
    """One packed array for each column, by the names the statements give them."""
    terms = [order.terms for order in orders]
    return {
        "trade_ids": Texts([order.trade_id for order in orders]),
        "customer_ids": Texts([t.customer_id for t in terms]),
        "partitions": Bigints([t.partition for t in terms]),
        "epochs": Bigints([order.epoch for order in orders]),
        "symbols": Texts([t.symbol for t in terms]),
        "sides": Bigints([t.side for t in terms]),
        "quantities": Bigints([t.quantity for t in terms]),
        "order_types": Bigints([t.order_type for t in terms]),
        "limit_prices": Bigints([t.limit_price_micros for t in terms]),
        "stop_prices": Bigints([t.stop_price_micros for t in terms]),
        "times_in_force": Bigints([t.time_in_force for t in terms]),
        "max_notionals": Bigints([t.max_notional_micros for t in terms]),
    }
