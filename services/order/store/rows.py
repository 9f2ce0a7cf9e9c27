"""Rows as the statements of this room select them, into what the rules speak of."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from msgspec.structs import replace

from services.order.domain.event import Amendment, Cause, Execution, TradeEvent, TradeEventKind
from services.order.domain.terms import OrderType, Revision, Side, Terms, TimeInForce
from services.order.domain.trade import AsPlaced, Replace, Standing, Trade, TradeStatus

# Looking a number up in a table is several times faster than calling the enum.
_SIDES = {int(side): side for side in Side}
_ORDER_TYPES = {int(order_type): order_type for order_type in OrderType}
_TIMES_IN_FORCE = {int(time_in_force): time_in_force for time_in_force in TimeInForce}
_STATUSES = {int(status): status for status in TradeStatus}
_KINDS = {int(kind): kind for kind in TradeEventKind}


def trade_from(row: Sequence[Any]) -> Trade:
    """24 columns: ids and placement (5), terms as placed (7), standing (9), updated_at, seq, and
    whether a replace was ever asked for: then `History` has the rest to say.
    """
    trade_id, client_order_id, customer_id, placed_seq, created_at = row[:5]
    updated_at, seq, has_history = row[21:24]
    terms = _terms(row[5:12])
    return Trade(
        trade_id=trade_id,
        client_order_id=client_order_id,
        customer_id=customer_id,
        placed_seq=placed_seq,
        created_at=created_at,
        terms=terms,
        standing=_standing(row[12:21]),
        updated_at=updated_at,
        seq=seq,
        as_placed=AsPlaced(client_order_id, terms.revision) if has_history else None,
    )


def current_trade_from(row: Sequence[Any]) -> Trade:
    """The same as the trade stands now: one more column, the shares taken back."""
    trade = trade_from(row)
    if not row[24]:
        return trade
    return replace(trade, standing=replace(trade.standing, taken_back=row[24]))


def event_from(row: Sequence[Any]) -> TradeEvent:
    """The columns of a trade, the 4 of the event, the 5 of the fill or nulls, and the 8 of what
    amended it.
    """
    trade = trade_from(row)
    kind, cause, refusal, previous_seq = row[24:28]
    return TradeEvent(
        trade=trade,
        kind=_KINDS[kind],
        cause=Cause(cause),
        previous_seq=previous_seq,
        refusal=refusal,
        execution=_fill_of(trade.trade_id, row[28:41]),
        amendment=_amendment_of(row[28:41]),
    )


def _fill_of(trade_id: str, row: Sequence[Any]) -> Execution | None:
    """The fill that an event tells of, unless it tells what became of it."""
    if row[0] is None or row[5] is not None:
        return None
    return execution_from((*row[:2], trade_id, *row[2:5]))


def _amendment_of(row: Sequence[Any]) -> Amendment | None:
    venue, execution_id = row[:2]
    amendment_id, quantity, price_micros, amended_at, reason_text, previous_id, *old = row[5:13]
    if amendment_id is None:
        return None
    ids = amendment_id, execution_id, venue
    return amendment_from(
        (*ids, quantity, price_micros, *old, amended_at, reason_text, previous_id)
    )


def amendment_from(row: Sequence[Any]) -> Amendment:
    """10 columns: ids (3), what the fill is, what it was, when and why, and by what it was that."""
    return Amendment(
        amendment_id=row[0],
        execution_id=row[1],
        venue=row[2],
        quantity=row[3],
        price_micros=row[4],
        old_quantity=row[5],
        old_price_micros=row[6],
        amended_at=row[7],
        reason_text=row[8],
        previous_id=row[9],
    )


def execution_from(row: Sequence[Any]) -> Execution:
    """Venue, execution_id, trade_id, quantity, price, time."""
    venue, execution_id, trade_id, quantity, price_micros, executed_at = row
    return Execution(
        execution_id=execution_id,
        trade_id=trade_id,
        quantity=quantity,
        price_micros=price_micros,
        venue=venue,
        executed_at=executed_at,
    )


def _terms(row: Sequence[Any]) -> Terms:
    symbol, side, quantity, order_type, limit_price_micros, stop_price_micros, time_in_force = row
    return Terms(
        symbol=symbol,
        side=_SIDES[side],
        quantity=quantity,
        order_type=_ORDER_TYPES[order_type],
        limit_price_micros=limit_price_micros,
        stop_price_micros=stop_price_micros,
        time_in_force=_TIMES_IN_FORCE[time_in_force],
    )


def _standing(row: Sequence[Any]) -> Standing:
    executed_at: datetime | None = row[7]
    in_doubt_since: datetime | None = row[8]
    return Standing(
        status=_STATUSES[row[0]],
        reason=row[1],
        reason_text=row[2],
        in_doubt=row[3],
        filled_quantity=row[4],
        filled_notional_micros=row[5],
        exchange_order_id=row[6],
        executed_at=executed_at,
        in_doubt_since=in_doubt_since,
    )


def replace_from(row: Sequence[Any]) -> Replace:
    """13 columns: ids (3), as asked for (3), what the trade had (4), what it comes to (3)."""
    return Replace(
        replace_id=row[0],
        client_order_id=row[1],
        orig_client_order_id=row[2],
        asked=Revision(*row[3:6]),
        old=Revision(*row[6:9]),
        old_filled_quantity=row[9],
        new=Revision(*row[10:13]),
    )
