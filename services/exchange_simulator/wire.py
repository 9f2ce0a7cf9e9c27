"""Contract <-> domain. No rules but the shape of what a member may send at all."""

import re
from collections.abc import Iterable, Sequence
from datetime import datetime

from google.protobuf.timestamp_pb2 import Timestamp

from libs.refusals import Invalid, NotFound
from libs.stamps import set_moment
from services.exchange_simulator.book import BUY, SELL, Half
from services.exchange_simulator.domain import (
    MAX_PRICE_MICROS,
    MAX_QUANTITY,
    CancelOrder,
    Command,
    NewOrder,
    ReplaceOrder,
)
from services.exchange_simulator.faults import Script
from services.exchange_simulator.hours import Phase
from services.exchange_simulator.market import Market, TapeCommand, TapeKind, Top
from services.exchange_simulator.standings import Span, Standing
from stockbroker.common.v1.reason_pb2 import Reason
from stockbroker.exchange.v1 import exchange_control_service_pb2 as control
from stockbroker.exchange.v1 import exchange_pb2 as pb
from stockbroker.exchange.v1 import exchange_service_pb2 as service_pb

_CLIENT_ORDER_ID = re.compile(r"[!-~]{1,64}")
_SYMBOL = re.compile(r"[A-Z0-9.-]{1,12}")
_SESSION_ID = re.compile(r"[A-Za-z0-9_.-]{1,64}")
_MAX_PERMILLE = 1000
_PERMILLE = tuple(name for name in Script.__slots__ if name.endswith("_permille"))
_PHASES = {
    control.SetPhaseRequest.PHASE_BY_HOURS: (Phase.BY_HOURS, False),
    control.SetPhaseRequest.PHASE_OPEN: (Phase.OPEN, False),
    control.SetPhaseRequest.PHASE_CLOSED: (Phase.CLOSED, True),
    control.SetPhaseRequest.PHASE_NEXT_DAY: (Phase.OPEN, True),
    control.SetPhaseRequest.PHASE_BY_CALENDAR: (Phase.BY_CALENDAR, False),
}
_MAX_DELAY_MS = 60_000
_MAX_NAMED = 1000
_USUAL_PAGE = 500


def session_id_from(text: str) -> str:
    """A session's name. Raises Invalid."""
    if not _SESSION_ID.fullmatch(text):
        raise invalid("session_id", "session_id is not 1 to 64 of A-Z, a-z, 0-9, _ . and -")
    return text


def client_order_id_from(text: str) -> str:
    """A member's id of an order. Raises Invalid."""
    if not _CLIENT_ORDER_ID.fullmatch(text):
        raise invalid("client_order_id", "client_order_id is not 1 to 64 printable characters")
    return text


def after_seq_from(seq: int) -> int:
    """The report a list goes on after. Raises Invalid."""
    if seq < 0:
        text = "after_seq is negative"
        raise Invalid(Reason.REASON_INVALID_SEQUENCE, text, field="after_seq")
    return seq


def limit_from(limit: int, *, unsaid: int, most: int) -> int:
    """How many rows to read. Raises Invalid."""
    if not 0 <= limit <= most:
        raise invalid("limit", f"limit is not within 0 and {most}")
    return limit or unsaid


def order_from(message: pb.NewOrder) -> NewOrder:
    """An order's terms. Raises Invalid for its ids alone; what else is wrong is for a report."""
    client_order_id = client_order_id_from(message.client_order_id)
    if not _SYMBOL.fullmatch(message.symbol):
        raise invalid("symbol", "symbol is not 1 to 12 of A-Z, 0-9, . and -")
    return NewOrder(
        client_order_id=client_order_id,
        symbol=message.symbol,
        side=message.side,
        quantity=message.quantity,
        order_type=message.order_type,
        limit_price_micros=message.limit_price_micros,
        stop_price_micros=message.stop_price_micros,
        time_in_force=message.time_in_force,
        max_notional_micros=message.max_notional_micros,
    )


def command_from_member(message: service_pb.SessionRequest.Command) -> Command | None:
    """What a member commands; None: nothing of what this exchange knows. Raises Invalid."""
    kind = message.WhichOneof("command")
    if kind == "new_order":
        return order_from(message.new_order)
    if kind == "cancel_order":
        return CancelOrder(client_order_id_from(message.cancel_order.client_order_id))
    if kind == "replace_order":
        wanted = message.replace_order
        return ReplaceOrder(
            client_order_id_from(wanted.client_order_id),
            wanted.quantity,
            wanted.limit_price_micros,
            wanted.stop_price_micros,
            wanted.max_notional_micros,
        )
    return None


def client_order_ids_from(texts: Sequence[str]) -> list[str]:
    """Members' ids of orders. Raises Invalid."""
    if len(texts) > _MAX_NAMED:
        raise invalid("client_order_ids", f"at most {_MAX_NAMED} orders can be named")
    return [client_order_id_from(text) for text in texts]


def span_from(message: service_pb.ListOrdersRequest) -> Span:
    """Which of a session's orders. Raises Invalid."""
    if not 0 <= message.page_size <= _MAX_NAMED:
        raise Invalid(
            Reason.REASON_INVALID_PAGE_SIZE,
            f"page_size is not within 0 and {_MAX_NAMED}",
            field="page_size",
        )
    if message.since_report_seq < 0:
        raise invalid("since_report_seq", "since_report_seq is negative")
    after = message.after_client_order_id
    return Span(
        session_id_from(message.session_id),
        message.since_report_seq,
        client_order_id_from(after) if after else "",
        message.page_size or _USUAL_PAGE,
    )


def standing_to(client_order_id: str, standing: Standing | None) -> service_pb.OrderStanding:
    """How an order stands; None: it is not known."""
    if standing is None:
        return service_pb.OrderStanding(client_order_id=client_order_id)
    return service_pb.OrderStanding(
        client_order_id=client_order_id,
        is_known=True,
        exchange_order_id=standing.exchange_order_id,
        symbol=standing.symbol,
        side=pb.Side.ValueType(standing.side),
        quantity=standing.quantity,
        cumulative_quantity=standing.cumulative_quantity,
        is_open=standing.is_open,
        last_report_seq=standing.last_report_seq,
        limit_price_micros=standing.limit_price_micros,
        stop_price_micros=standing.stop_price_micros,
    )


def command_from(message: control.TapeCommand) -> TapeCommand:
    """One step of a tape. Raises Invalid."""
    try:
        kind = TapeKind(message.kind)
    except ValueError:
        raise invalid("kind", "kind is unknown") from None
    order = message.order
    if kind == TapeKind.DELETE:
        return TapeCommand(kind, _order_id_from(order))
    if kind == TapeKind.REDUCE:
        return TapeCommand(kind, _order_id_from(order), quantity=_quantity_from(order))
    return resting_from(order, kind)


def resting_from(message: control.RestingOrder, kind: TapeKind = TapeKind.NEW) -> TapeCommand:
    """Another participant's order. Raises Invalid."""
    if not 1 <= message.price_micros <= MAX_PRICE_MICROS:
        raise invalid("price_micros", f"price_micros is not within 1 and {MAX_PRICE_MICROS}")
    return TapeCommand(
        kind,
        order_id=_order_id_from(message),
        side=BUY if message.is_bid else SELL,
        price=message.price_micros,
        quantity=_quantity_from(message),
    )


def script_from(message: control.SetFaultsRequest) -> Script:
    """What goes wrong. Raises Invalid."""
    permille = {name: getattr(message, name) for name in _PERMILLE}
    for name, value in permille.items():
        if not 0 <= value <= _MAX_PERMILLE:
            raise invalid(name, f"{name} is not within 0 and {_MAX_PERMILLE}")
    if not 0 <= message.delay_report_ms <= _MAX_DELAY_MS:
        raise invalid("delay_report_ms", f"delay_report_ms is not within 0 and {_MAX_DELAY_MS}")
    return Script(**permille, delay_report_ms=message.delay_report_ms)


def phase_from(message: control.SetPhaseRequest) -> tuple[Phase, bool]:
    """Who says whether it is open, and whether the day ends. Raises Invalid."""
    try:
        return _PHASES[message.phase]
    except KeyError:
        raise invalid("phase", "phase is unknown") from None


def quote_to(market: Market) -> pb.Quote:
    """A market at a glance."""
    quote = market.quote
    lowest, highest = quote.limits or (0, 0)
    return pb.Quote(
        symbol=market.instrument.symbol,
        bid=_top_to(quote.bid),
        ask=_top_to(quote.ask),
        last_price_micros=quote.last_price_micros,
        volume=quote.volume,
        updated_at=timestamp_to(market.updated_at),
        is_halted=quote.is_halted,
        halted_until=timestamp_to(quote.halted_until) if quote.halted_until else None,
        lowest_price_micros=lowest,
        highest_price_micros=highest,
    )


def instrument_to(market: Market) -> pb.Instrument:
    """Something that is listed."""
    instrument, until = market.instrument, market.quote.halted_until
    return pb.Instrument(
        symbol=instrument.symbol,
        name=instrument.name,
        is_halted=market.is_stopped,
        halted_until=timestamp_to(until) if until else None,
    )


def levels_to(half: Half, depth: int) -> Iterable[pb.PriceLevel]:
    """The best levels of one side of a book."""
    for level, _ in zip(half.best_first(), range(depth), strict=False):
        yield pb.PriceLevel(price_micros=level.price, quantity=level.quantity, orders=level.orders)


def timestamp_to(moment: datetime) -> Timestamp:
    """A moment on the wire."""
    timestamp = Timestamp()
    set_moment(timestamp, moment)
    return timestamp


def invalid(field: str, text: str) -> Invalid:
    """A request that breaks the contract in one field."""
    return Invalid(Reason.REASON_INVALID_REQUEST, text, field=field)


def unknown_symbol(symbol: str) -> NotFound:
    """A symbol that is not listed."""
    return NotFound(Reason.REASON_UNKNOWN_SYMBOL, f"{symbol[:16]!r} is not listed")


def _order_id_from(message: control.RestingOrder) -> int:
    if message.order_id < 1:
        raise invalid("order_id", "order_id is not at least 1")
    return message.order_id


def _quantity_from(message: control.RestingOrder) -> int:
    if not 1 <= message.quantity <= MAX_QUANTITY:
        raise invalid("quantity", f"quantity is not within 1 and {MAX_QUANTITY}")
    return message.quantity


def _top_to(top: Top | None) -> pb.PriceLevel | None:
    if top is None:
        return None
    return pb.PriceLevel(price_micros=top.price_micros, quantity=top.quantity, orders=top.orders)
