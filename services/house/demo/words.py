"""Trades and portfolios in words."""

from stockbroker.common.v1.reason_pb2 import Reason
from stockbroker.ledger.v1 import portfolio_service_pb2 as portfolio_pb
from stockbroker.order.v1 import order_pb2
from stockbroker.order.v1.order_pb2 import TradeEventKind, TradeStatus

MICROS = 1_000_000


def dollars(micros: int) -> str:
    """Exact, with at least the cents.

    >>> dollars(1_234_500_000), dollars(250_425_100), dollars(5)
    ('$1,234.50', '$250.4251', '$0.000005')
    """
    whole, rest = divmod(micros, MICROS)
    decimals = f"{rest:06}".rstrip("0").ljust(2, "0")
    return f"${whole:,}.{decimals}"


def status_of(trade: order_pb2.Trade) -> str:
    """For example IN_PROGRESS."""
    return TradeStatus.Name(trade.status).removeprefix("TRADE_STATUS_")


def story_of(event: order_pb2.TradeEvent) -> str:
    """What an event adds to the status."""
    trade = event.trade
    if event.kind == TradeEventKind.TRADE_EVENT_KIND_EXECUTED:
        fill = event.execution
        return f"{fill.quantity:,} at {dollars(fill.price_micros)} on {fill.venue}"
    if trade.reason:
        return f"{Reason.Name(trade.reason).removeprefix('REASON_')}: {trade.reason_text}"
    if event.kind == TradeEventKind.TRADE_EVENT_KIND_ACCEPTED:
        return f"the exchange has it as {trade.exchange_order_id}"
    if event.kind == TradeEventKind.TRADE_EVENT_KIND_STARTED:
        return "its turn has come"
    return ""


def portfolio_lines(portfolio: portfolio_pb.GetPortfolioResponse) -> dict[str, str]:
    """What stands in a portfolio, by asset."""
    lines = {"cash": dollars(portfolio.cash.available_micros)}
    if portfolio.cash.held_micros:
        lines["cash held"] = dollars(portfolio.cash.held_micros)
    for position in portfolio.positions:
        lines[position.symbol] = f"{position.quantity:,} shares"
    return lines
