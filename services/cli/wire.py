"""The contract's messages in a person's words, and a person's times in the contract's."""

from datetime import UTC, datetime

from google.protobuf.timestamp_pb2 import Timestamp

from libs.money import format_dollars
from services.cli.amounts import format_amount, format_shares
from stockbroker.common.v1 import terms_pb2
from stockbroker.common.v1.reason_pb2 import Reason
from stockbroker.exchange.v1 import calendar_pb2, exchange_pb2
from stockbroker.ledger.v1 import journal_pb2, ledger_service_pb2, posting_pb2
from stockbroker.order.v1 import order_pb2

TERMINAL = frozenset(
    {
        order_pb2.TRADE_STATUS_FILLED,
        order_pb2.TRADE_STATUS_CANCELED,
        order_pb2.TRADE_STATUS_REJECTED,
        order_pb2.TRADE_STATUS_EXPIRED,
    }
)


def status_word(status: order_pb2.TradeStatus.ValueType) -> str:
    """For example FILLED."""
    return order_pb2.TradeStatus.Name(status).removeprefix("TRADE_STATUS_")


def reason_word(reason: Reason.ValueType) -> str:
    """For example MARKET_CLOSED; a number if only a newer house knows it; empty: there is none."""
    if reason not in Reason.values():
        return str(reason)
    return Reason.Name(reason).removeprefix("REASON_") if reason else ""


def terms_of(trade: order_pb2.Trade) -> str:
    """For example BUY 300 AAPL, BUY 300 AAPL at $250.42 IOC, SELL 5 KO stop $60 GTC."""
    side = terms_pb2.Side.Name(trade.side).removeprefix("SIDE_")
    terms = f"{side} {format_shares(trade.quantity)} {trade.symbol}"
    if trade.stop_price_micros:
        terms += f" stop {format_dollars(trade.stop_price_micros)}"
    if trade.limit_price_micros:
        terms += f" at {format_dollars(trade.limit_price_micros)}"
    if trade.order_type != terms_pb2.ORDER_TYPE_MARKET:
        time_in_force = terms_pb2.TimeInForce.Name(trade.time_in_force)
        terms += f" {time_in_force.removeprefix('TIME_IN_FORCE_')}"
    return terms


def fills_of(trade: order_pb2.Trade) -> str:
    """How much is filled and at what average price; empty before the first fill."""
    if not trade.filled_quantity:
        return ""
    average = format_dollars(trade.average_price_micros)
    return f"{format_shares(trade.filled_quantity)} at {average}"


def why_of(trade: order_pb2.Trade) -> str:
    """The reason and its words; who holds it; empty when there is nothing to say."""
    why = [reason_word(trade.reason), trade.reason_text]
    if trade.held_by_house:
        why.append("the house holds it until its price trades")
    return ": ".join(part for part in why if part)


def event_line(event: order_pb2.TradeEvent) -> str:
    """One event of a trade on one line."""
    kind = order_pb2.TradeEventKind.Name(event.kind).removeprefix("TRADE_EVENT_KIND_")
    trade = event.trade
    line = f"{time_of_day(event.occurred_at)}  {event.seq:>6}  {kind:<9}  {terms_of(trade)}"
    if event.HasField("execution"):
        fill = event.execution
        price = format_dollars(fill.price_micros)
        line += f"  {format_shares(fill.quantity)} at {price} on {fill.venue}"
    if event.HasField("amendment"):
        line += f"  {_amended(event.amendment)}"
    line += f"  -> {status_word(trade.status)}"
    if trade.filled_quantity:
        line += f" {format_shares(trade.filled_quantity)} of {format_shares(trade.quantity)}"
    why = why_of(trade)
    return f"{line}  {why}" if why else line


def _amended(amendment: order_pb2.ExecutionAmendment) -> str:
    """What a fill was, and what it is."""
    price = format_dollars(amendment.old_price_micros)
    names = f"{amendment.execution_id} by {amendment.amendment_id}"
    line = f"{names}: {format_shares(amendment.old_quantity)} at {price}"
    if amendment.quantity:
        now = format_dollars(amendment.price_micros)
        line += f", now {format_shares(amendment.quantity)} at {now}"
    return f"{line} ({amendment.reason_text})"


def outcome_line(trade: order_pb2.Trade) -> str:
    """What a trade that has ended came to, and how long it took."""
    took_millis = (trade.updated_at.ToNanoseconds() - trade.created_at.ToNanoseconds()) // 1_000_000
    seconds = f"{took_millis // 1000}.{took_millis % 1000:03d}"
    line = f"{status_word(trade.status)} {terms_of(trade)}"
    if trade.filled_quantity:
        notional = format_dollars(trade.filled_notional_micros)
        line += f": {fills_of(trade)} average, {notional} in all"
    why = why_of(trade)
    return f"{line}{f' ({why})' if why else ''}, after {seconds} s"


def stamp_of(typed: datetime | None) -> Timestamp | None:
    """A time as it was typed: in UTC."""
    if typed is None:
        return None
    at = Timestamp()
    at.FromDatetime(typed.replace(tzinfo=UTC))
    return at


def time_of_day(at: Timestamp) -> str:
    """UTC, to the millisecond."""
    return at.ToDatetime().strftime("%H:%M:%S.%f")[:-3]


def date_time(at: Timestamp) -> str:
    """UTC, to the second."""
    return at.ToDatetime().strftime("%Y-%m-%d %H:%M:%S")


def halt_of(quote: exchange_pb2.Quote) -> str:
    """Whether orders in the symbol are refused, and until when; empty: they are not."""
    if quote.HasField("halted_until"):
        return f"halted until {time_of_day(quote.halted_until)}"
    return "halted" if quote.is_halted else ""


def level_of(level: exchange_pb2.PriceLevel | None) -> str:
    """A side of a quote, for example 18 at $585.33; a dash when nobody offers."""
    if level is None or not level.quantity:
        return "-"
    return f"{format_shares(level.quantity)} at {format_dollars(level.price_micros)}"


def owned_line(customer: str, balance: ledger_service_pb2.Balance) -> str:
    """For example alice now owns 10 shares of AAPL."""
    amount = format_amount(balance.asset, balance.posted)
    shares = "" if balance.asset == "USD" else f" shares of {balance.asset}"
    return f"{customer} now owns {amount}{shares}"


def transfer_line(transfer: journal_pb2.JournalTransfer) -> str:
    """What was asked for, by whom and why, and whether it was done, on one line."""
    words = [
        f"{transfer.seq:>6}  {date_time(transfer.recorded_at)}  {transfer.transfer_id}",
        f"{transfer.kind:<16}",
        f"REFUSED {reason_word(transfer.reason)}" if transfer.reason else "done",
    ]
    if transfer.actor:
        words.append(f"by {transfer.actor}")
    if transfer.reverses:
        words.append(f"reverses {transfer.reverses}")
    if transfer.reference:
        words.append(f"({transfer.reference})")
    return "  ".join(words)


def entry_line(entry: journal_pb2.JournalEntry) -> str:
    """How an account changed, under the line of its transfer."""
    amount = -entry.amount if entry.direction == journal_pb2.DIRECTION_DEBIT else entry.amount
    line = f"        {entry.account}  {entry.asset}  {format_amount(entry.asset, amount)}"
    line += f"  -> {format_amount(entry.asset, entry.balance_after)}"
    held = f", {format_amount(entry.asset, entry.held_after)} held" if entry.held_after else ""
    return f"{line}{held}  (version {entry.version})"


def balance_line(balance: posting_pb2.AccountBalance) -> str:
    """An account as it stood, under the line of a transfer."""
    line = f"        {balance.account}  {balance.asset}"
    line += f"  -> {format_amount(balance.asset, balance.posted)}"
    held = f", {format_amount(balance.asset, balance.held)} held" if balance.held else ""
    return f"{line}{held}  (version {balance.version})"


def leg_line(leg: posting_pb2.TransferLeg) -> str:
    """What goes from where to where."""
    amount = format_amount(leg.asset, leg.amount)
    return f"        {amount} {leg.asset}  {leg.debit_account} -> {leg.credit_account}"


def trading_day_cells(day: calendar_pb2.TradingDay) -> tuple[str, ...]:
    """A day of the exchange: date, weekday, hours, and what is unlike others."""
    weekday = f"{datetime.fromisoformat(day.date):%a}"
    words = ["half day"] if day.is_short else []
    if not day.HasField("opens_at"):
        words.append("closed")
    if day.is_set:
        words.append(f"set by an operator: {day.reason_text}" if day.reason_text else "set")
    if not day.HasField("opens_at"):
        return day.date, weekday, "-", "-", ", ".join(words)
    opens_at, closes_at = (date_time(at)[-8:-3] for at in (day.opens_at, day.closes_at))
    return day.date, weekday, opens_at, closes_at, ", ".join(words)
