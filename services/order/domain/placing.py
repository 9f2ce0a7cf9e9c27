"""The rules of placing a trade.

A request is checked field by field in the order of the contract, and the first fault is the answer.
Whether the symbol is traded here is asked after that.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime

import msgspec
from msgspec.structs import replace

from libs.auth import SUBJECT, Principal, Role
from libs.money import format_dollars
from libs.refusals import Refusal
from services.order import refusals
from services.order.domain.controls.checks import Check
from services.order.domain.controls.decision import AT_PLACEMENT
from services.order.domain.controls.facts import pack
from services.order.domain.controls.gate import LET_THROUGH, Gate
from services.order.domain.event import Cause, TradeEvent
from services.order.domain.lifecycle import Event, after
from services.order.domain.terms import OrderType, Side, Terms, TimeInForce
from services.order.domain.ticks import tick_micros_at
from services.order.domain.trade import AsPlaced, Trade

MAX_QUANTITY = 10_000_000
# The largest order at the highest price is worth less than 2**63 micros.
MAX_PRICE_MICROS = 900_000_000_000

_CLIENT_ORDER_ID = re.compile(r"[ -~]{1,64}")
_SYMBOL = re.compile(r"[A-Z0-9.-]{1,12}")
_WITH_LIMIT = frozenset({OrderType.LIMIT, OrderType.STOP_LIMIT})
_AT_ONCE = frozenset({TimeInForce.IOC, TimeInForce.FOK})
# By what is sent; looking a number up in a table is several times faster than calling the enum.
_SIDES = {int(side): side for side in Side}
_ORDER_TYPES = {0: OrderType.MARKET} | {int(each): each for each in OrderType}
_TIMES_IN_FORCE = {0: TimeInForce.DAY} | {int(each): each for each in TimeInForce}
_WITH_STOP = frozenset({OrderType.STOP, OrderType.STOP_LIMIT})


class Wanted(msgspec.Struct, frozen=True, kw_only=True):
    """What a request says, nothing checked; enums as the numbers that were sent, 0 for unsaid."""

    client_order_id: str
    symbol: str
    side: int
    quantity: int
    order_type: int = 0
    limit_price_micros: int = 0
    stop_price_micros: int = 0
    time_in_force: int = 0


class Placement(msgspec.Struct, frozen=True, kw_only=True):
    """A checked request with the ids its trade gets if it is new."""

    trade_id: str
    client_order_id: str
    customer_id: str
    terms: Terms

    @property
    def key(self) -> tuple[str, str]:
        """What makes a repeated call the same call."""
        return self.customer_id, self.client_order_id


@dataclass(frozen=True, slots=True)
class Placing:
    """What becomes of a batch of placements.

    `answers`: one per placement, in order. `events`: of the new trades, by customer in sequence.
    `decisions`: what each new trade was decided by, in the order of their PLACED events, packed.
    """

    answers: list[Trade | Refusal]
    events: list[TradeEvent]
    decisions: list[bytes]


def customer_of(principal: Principal, named: str) -> str:
    """Whose trade it is that the caller places for `named`. Raises Invalid or Denied.

    >>> customer_of(Principal("alice", Role.CUSTOMER), "")
    'alice'
    """
    if principal.role is Role.BACK_END:
        if not SUBJECT.fullmatch(named):
            raise refusals.invalid_customer_id()
        return named
    if named not in ("", principal.subject):
        raise refusals.not_for_others()
    return principal.subject


def check_client_order_id(text: str) -> None:
    """1 to 64 printable ASCII characters, or raise Invalid."""
    if not _CLIENT_ORDER_ID.fullmatch(text):
        raise refusals.invalid_client_order_id()


def check_symbol(text: str) -> None:
    """A symbol by its form, or raise Invalid, saying what was meant where that is plain."""
    if not _SYMBOL.fullmatch(text):
        meant = text.strip().upper() if len(text) <= 64 else ""
        raise refusals.invalid_symbol(meant if _SYMBOL.fullmatch(meant) else "")


def check(wanted: Wanted, day: date) -> Terms:
    """The terms asked for, by the rules of the day. Raises Invalid."""
    if wanted.client_order_id:
        check_client_order_id(wanted.client_order_id)
    check_symbol(wanted.symbol)
    side = _SIDES.get(wanted.side)
    if side is None:
        raise refusals.invalid_side()
    if not 1 <= wanted.quantity <= MAX_QUANTITY:
        raise refusals.invalid_quantity()
    order_type = _order_type(wanted.order_type)
    check_price("limit_price_micros", wanted.limit_price_micros, has_limit(order_type), day)
    check_price("stop_price_micros", wanted.stop_price_micros, has_stop(order_type), day)
    time_in_force = _time_in_force(wanted.time_in_force)
    if has_stop(order_type) and time_in_force in _AT_ONCE:
        raise refusals.invalid_request("time_in_force", "must be DAY or GTC for a stop order")
    return Terms(
        symbol=wanted.symbol,
        side=side,
        quantity=wanted.quantity,
        order_type=order_type,
        limit_price_micros=wanted.limit_price_micros,
        stop_price_micros=wanted.stop_price_micros,
        time_in_force=time_in_force,
    )


def has_limit(order_type: OrderType) -> bool:
    """Whether such an order has a limit price."""
    return order_type in _WITH_LIMIT


def has_stop(order_type: OrderType) -> bool:
    """Whether such an order has a stop price."""
    return order_type in _WITH_STOP


def _order_type(number: int) -> OrderType:
    order_type = _ORDER_TYPES.get(number)
    if order_type is None:
        raise refusals.invalid_request("order_type", "must be MARKET, LIMIT, STOP or STOP_LIMIT")
    return order_type


def _time_in_force(number: int) -> TimeInForce:
    time_in_force = _TIMES_IN_FORCE.get(number)
    if time_in_force is None:
        raise refusals.invalid_request("time_in_force", "must be DAY, GTC, IOC or FOK")
    return time_in_force


def check_price(field: str, price_micros: int, is_wanted: bool, day: date) -> None:
    """A price in range and in whole steps, where the order type has one. Raises Invalid."""
    if not (is_wanted or price_micros):
        return
    if is_wanted and not 1 <= price_micros <= MAX_PRICE_MICROS:
        raise refusals.invalid_price(
            field,
            f"must be above $0.00, at most {format_dollars(MAX_PRICE_MICROS)}, for this order type",
        )
    if not is_wanted:
        raise refusals.invalid_price(field, "is not wanted for this order type: leave it 0")
    tick_micros = tick_micros_at(price_micros, day)
    if price_micros % tick_micros:
        step = format_dollars(tick_micros)
        raise refusals.invalid_price(field, f"must be a multiple of {step} at that price")


def place(
    placements: Sequence[Placement],
    recorded: Mapping[tuple[str, str], Trade],
    heads: Mapping[str, int],
    gate: Gate,
) -> Placing:
    """Decide a batch in order.

    `recorded`: the trades known by the keys of the placements, also those that have or had such an
    id by a replace. `heads`: the seq of each customer's latest event. A repeated call gets the
    trade as first recorded, whatever became of it since, and does not go through the gate again.
    """
    known = dict(recorded)
    seqs = dict(heads)
    placing = Placing([], [], [])
    for placement in placements:
        key = placement.key
        trade = known.get(key)
        if trade is not None:
            placing.answers.append(_answer_again(placement, trade))
            continue
        try:
            known[key] = trade = _let_through(placement, seqs, gate, placing)
        except Refusal as refusal:
            placing.answers.append(refusal)
        else:
            placing.answers.append(trade)
    return placing


def _answer_again(placement: Placement, trade: Trade) -> Trade | Refusal:
    """What a repeated call gets; a call that differs is refused."""
    first = as_placed(trade)
    is_same = (first.client_order_id, first.terms) == (placement.client_order_id, placement.terms)
    return first if is_same else refusals.client_order_id_reused()


def _let_through(placement: Placement, seqs: dict[str, int], gate: Gate, placing: Placing) -> Trade:
    """The new trade, or the trade rejected by a control. Raises Throttled."""
    decision = gate.judge(placement.customer_id, placement.terms)
    seq = seqs[placement.customer_id] = seqs[placement.customer_id] + 1
    trade = _new_trade(placement, seq, gate.at)
    placing.events.append(TradeEvent(trade=trade, kind=Event.PLACED.kind, cause=Cause.CUSTOMER))
    placing.decisions.append(b"" if decision is LET_THROUGH else pack(decision.kept))
    if decision.failed is None:
        gate.note(trade)
        return trade
    seq = seqs[placement.customer_id] = seq + 1
    trade = _rejected(trade, decision.failed, seq)
    placing.events.append(
        TradeEvent(
            trade=trade,
            kind=Event.REJECTED.kind,
            cause=Cause.HOUSE,
            previous_seq=trade.placed_seq,
        )
    )
    return trade


def _rejected(trade: Trade, check: Check, seq: int) -> Trade:
    standing = after(trade.standing, Event.REJECTED, reason=check.reason, reason_text=check.text)
    return replace(trade, standing=standing, seq=seq)


def _new_trade(placement: Placement, seq: int, at: datetime) -> Trade:
    return Trade(
        trade_id=placement.trade_id,
        client_order_id=placement.client_order_id,
        customer_id=placement.customer_id,
        terms=placement.terms,
        placed_seq=seq,
        created_at=at,
        standing=after(None, Event.PLACED),
        seq=seq,
        updated_at=at,
    )


def as_placed(trade: Trade) -> Trade:
    """The trade as it was first recorded: PLACED, or REJECTED by a control."""
    if trade.seq == trade.placed_seq or trade.standing.reason in AT_PLACEMENT:
        return trade
    first = trade.as_placed or AsPlaced(trade.client_order_id, trade.terms.revision)
    return replace(
        trade,
        client_order_id=first.client_order_id,
        orig_client_order_id="",
        terms=trade.terms.revised(first.revision),
        standing=after(None, Event.PLACED),
        seq=trade.placed_seq,
        updated_at=trade.created_at,
    )
