"""Trades and portfolios in words."""

from libs.money import format_dollars
from stockbroker.common.v1.reason_pb2 import Reason
from stockbroker.ledger.v1 import portfolio_service_pb2 as portfolio_pb
from stockbroker.order.v1 import order_pb2
from stockbroker.order.v1.order_pb2 import TradeEventKind, TradeStatus


def status_of(trade: order_pb2.Trade) -> str:
    """For example IN_PROGRESS."""
    return TradeStatus.Name(trade.status).removeprefix("TRADE_STATUS_")


def story_of(event: order_pb2.TradeEvent) -> str:
    """What an event adds to the status."""
    trade = event.trade
    if event.kind == TradeEventKind.TRADE_EVENT_KIND_EXECUTED:
        fill = event.execution
        return f"{fill.quantity:,} at {format_dollars(fill.price_micros)} on {fill.venue}"
    if trade.reason:
        return f"{Reason.Name(trade.reason).removeprefix('REASON_')}: {trade.reason_text}"
    if event.kind == TradeEventKind.TRADE_EVENT_KIND_ACCEPTED:
        return f"the exchange has it as {trade.exchange_order_id}"
    if event.kind == TradeEventKind.TRADE_EVENT_KIND_STARTED:
        return "its turn has come"
    return ""


def portfolio_lines(portfolio: portfolio_pb.GetPortfolioResponse) -> dict[str, str]:
    """What stands in a portfolio, by asset."""
    lines = {"cash": format_dollars(portfolio.cash.available_micros)}
    if portfolio.cash.held_micros:
        lines["cash held"] = format_dollars(portfolio.cash.held_micros)
    for position in portfolio.positions:
        lines[position.symbol] = f"{position.quantity:,} shares"
    return lines
