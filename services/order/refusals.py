"""Every way this house says no to a call: one reason and one wording each.

Nothing a caller sent is said back, whatever its size or content.
"""

from libs.reasons import Reason
from libs.refusals import (
    AlreadyExists,
    Archived,
    Denied,
    Invalid,
    NotFound,
    Refused,
    Throttled,
    Unavailable,
)


def invalid_client_order_id() -> Invalid:
    return Invalid(
        Reason.REASON_INVALID_CLIENT_ORDER_ID,
        "client_order_id must be at most 64 printable ASCII characters",
        field="client_order_id",
    )


def invalid_symbol(meant: str = "") -> Invalid:
    """`meant`: what the caller probably meant, already checked for form."""
    text = "symbol must be 1 to 12 characters of A-Z, 0-9, dot and hyphen"
    return Invalid(
        Reason.REASON_INVALID_SYMBOL,
        f"{text}; did you mean {meant}?" if meant else text,
        field="symbol",
    )


def unknown_symbol(symbol: str) -> Invalid:
    """`symbol`: already checked for form."""
    return Invalid(
        Reason.REASON_UNKNOWN_SYMBOL, f"{symbol} is not traded here", field="symbol", symbol=symbol
    )


def symbols_not_known_yet() -> Unavailable:
    return Unavailable(
        Reason.REASON_UNAVAILABLE,
        "what can be traded is not known yet: the exchange gateway has not answered",
        retry_after_seconds=1.0,
    )


def invalid_side() -> Invalid:
    return Invalid(Reason.REASON_INVALID_SIDE, "side must be BUY or SELL", field="side")


def invalid_quantity() -> Invalid:
    return Invalid(
        Reason.REASON_INVALID_QUANTITY, "quantity must be 1 to 10000000", field="quantity"
    )


def invalid_price(field: str, text: str) -> Invalid:
    """`field`: by its name in the contract, in micros; `text`: in dollars, for a person."""
    price = field.removesuffix("_micros").replace("_", " ")
    return Invalid(Reason.REASON_INVALID_PRICE, f"{price} {text}", field=field)


def invalid_request(field: str, text: str) -> Invalid:
    return Invalid(Reason.REASON_INVALID_REQUEST, f"{field} {text}", field=field)


def invalid_trade_id() -> Invalid:
    return Invalid(Reason.REASON_INVALID_ID, "trade_id must be a UUID", field="trade_id")


def invalid_customer_id() -> Invalid:
    return Invalid(
        Reason.REASON_INVALID_ID,
        "customer_id must be 1 to 64 of A-Z, a-z, 0-9, underscore and hyphen",
        field="customer_id",
    )


def not_for_others() -> Denied:
    return Denied(
        Reason.REASON_PERMISSION_DENIED, "a customer's token places for that customer alone"
    )


def operators_name_trades_by_trade_id() -> Invalid:
    return Invalid(
        Reason.REASON_INVALID_ID,
        "operators name a trade by trade_id: client_order_id is unique within a customer only",
        field="trade_id",
    )


def invalid_customer() -> Invalid:
    return Invalid(
        Reason.REASON_INVALID_CUSTOMER,
        "customer_id must be 1 to 64 characters of A-Z, a-z, 0-9, underscore and hyphen",
        field="customer_id",
    )


def invalid_page_size() -> Invalid:
    return Invalid(
        Reason.REASON_INVALID_PAGE_SIZE, "page_size must be 0 to 1000", field="page_size"
    )


def invalid_sequence() -> Invalid:
    return Invalid(
        Reason.REASON_INVALID_SEQUENCE,
        "after_seq must be 0 to the seq of the customer's latest event",
        field="after_seq",
    )


def history_archived(through_seq: int) -> Archived:
    return Archived(
        Reason.REASON_HISTORY_ARCHIVED,
        f"events up to seq {through_seq} are archived",
        archived_through_seq=str(through_seq),
    )


def order_rate(control: str, limit: int, seconds: int, *, wait_seconds: float) -> Throttled:
    return Throttled(
        Reason.REASON_ORDER_RATE_LIMIT,
        f"more than {limit:,} orders in {seconds} s",
        retry_after_seconds=wait_seconds,
        control=control,
        limit=str(limit),
        seconds=str(seconds),
    )


def too_late_to_cancel() -> Refused:
    return Refused(Reason.REASON_TOO_LATE_TO_CANCEL, "the trade has ended before")


def too_late_to_replace() -> Refused:
    return Refused(Reason.REASON_TOO_LATE_TO_REPLACE, "the trade has ended before")


def replace_pending() -> Refused:
    return Refused(
        Reason.REASON_REPLACE_PENDING, "another replace of the trade is on its way to the exchange"
    )


def cancel_pending() -> Refused:
    return Refused(
        Reason.REASON_CANCEL_PENDING, "a cancel of the trade is on its way to the exchange"
    )


def stopped(reason: Reason.ValueType, text: str) -> Refused:
    """By a control; `text`: its own words."""
    return Refused(reason, text)


def not_replaceable() -> Refused:
    return Refused(
        Reason.REASON_NOT_REPLACEABLE,
        "only a LIMIT, STOP or STOP_LIMIT with DAY or GTC can be replaced",
    )


def no_such_trade() -> NotFound:
    """The same words whether it does not exist or is another customer's."""
    return NotFound(Reason.REASON_TRADE_NOT_FOUND, "no such trade")


def not_parked() -> Refused:
    return Refused(
        Reason.REASON_TRADE_NOT_PARKED, "the trade is not parked, or is being rejected already"
    )


def client_order_id_reused() -> AlreadyExists:
    return AlreadyExists(
        Reason.REASON_CLIENT_ORDER_ID_REUSED, "client_order_id was used before with other terms"
    )


def too_many_open(after_seconds: float) -> Throttled:
    return Throttled(
        Reason.REASON_OVERLOADED,
        "too many trades wait for their turn at the exchange",
        retry_after_seconds=after_seconds,
    )


def too_many_streams() -> Throttled:
    return Throttled(
        Reason.REASON_OVERLOADED,
        "this customer has too many streams open",
        retry_after_seconds=5.0,
    )


def starting() -> Unavailable:
    return Unavailable(
        Reason.REASON_UNAVAILABLE,
        "this process is starting: its database has not answered yet",
        retry_after_seconds=1.0,
    )


def stopping() -> Unavailable:
    return Unavailable(
        Reason.REASON_UNAVAILABLE,
        "this process is stopping; resume after the last seq seen",
        retry_after_seconds=1.0,
    )
