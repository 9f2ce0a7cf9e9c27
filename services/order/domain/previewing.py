"""What would become of a trade if it were placed now, as far as the house can tell."""

from collections.abc import Sequence

import msgspec

from libs.holds import ALL_AVAILABLE, Hold, hold_to_buy, hold_to_sell
from libs.money import format_dollars
from libs.reasons import Reason
from services.order.domain.controls.decision import Decision
from services.order.domain.terms import OrderType, Side, Terms

_STOPS = frozenset({OrderType.STOP, OrderType.STOP_LIMIT})


class Level(msgspec.Struct, frozen=True):
    """All orders at one price."""

    price_micros: int
    quantity: int


class Depth(msgspec.Struct, frozen=True):
    """A symbol's book, best first."""

    bids: Sequence[Level] = ()
    asks: Sequence[Level] = ()


class Funds(msgspec.Struct, frozen=True):
    """What the customer has available of what would be held: micros of USD, or shares."""

    available: int
    is_open: bool = True


class Estimate(msgspec.Struct, frozen=True):
    """What would fill at once at the book as it is, and what that comes to in micros."""

    quantity: int
    notional_micros: int


class Preview(msgspec.Struct, frozen=True, kw_only=True):
    """`reason` 0: it would be accepted. `estimate` None: no book is known, or it waits first."""

    decision: Decision
    hold: Hold
    funds: Funds
    estimate: Estimate | None
    reason: int = 0
    text: str = ""


def hold_for(terms: Terms) -> Hold:
    """What would be set aside for it."""
    if terms.side is Side.SELL:
        return hold_to_sell(terms.symbol, terms.quantity)
    return hold_to_buy(
        terms.quantity,
        limit_price_micros=terms.limit_price_micros,
        stop_price_micros=terms.stop_price_micros,
    )


def estimate(terms: Terms, depth: Depth) -> Estimate | None:
    """What would fill at once; None for a stop, which waits for its price.

    >>> asks = [Level(10, 2), Level(11, 5)]
    >>> estimate(Terms(symbol="KO", side=Side.BUY, quantity=3), Depth(asks=asks))
    Estimate(quantity=3, notional_micros=31)
    """
    if terms.order_type in _STOPS:
        return None
    left, notional = terms.quantity, 0
    for level in depth.asks if terms.side is Side.BUY else depth.bids:
        if not left or not _accepts(terms, level.price_micros):
            break
        taken = min(left, level.quantity)
        left -= taken
        notional += taken * level.price_micros
    return Estimate(terms.quantity - left, notional)


def preview(terms: Terms, decision: Decision, funds: Funds, estimated: Estimate | None) -> Preview:
    """The first reason against it, or none."""
    hold = hold_for(terms)
    reason, text = _against(terms, decision, funds, estimated)
    if hold.amount == ALL_AVAILABLE:
        hold = Hold(hold.asset, funds.available)
    return Preview(
        decision=decision,
        hold=hold,
        funds=funds,
        estimate=estimated,
        reason=reason,
        text=text,
    )


def _against(
    terms: Terms, decision: Decision, funds: Funds, estimated: Estimate | None
) -> tuple[int, str]:
    if decision.failed is not None:
        return decision.failed.reason, decision.failed.text
    if not funds.is_open:
        return Reason.REASON_ACCOUNT_NOT_OPEN, "the account is frozen or closed"
    hold = hold_for(terms)
    if terms.side is Side.SELL:
        if hold.amount <= funds.available:
            return 0, ""
        text = f"{funds.available:,} shares are available"
        return Reason.REASON_INSUFFICIENT_SHARES, text
    needed = hold.amount
    if needed == ALL_AVAILABLE:  # at the market: what it costs at the book as it is, at least
        needed = max(1, estimated.notional_micros if estimated else 0)
    if needed <= funds.available:
        return 0, ""
    text = f"{format_dollars(needed)} is needed, {format_dollars(funds.available)} is available"
    return Reason.REASON_INSUFFICIENT_FUNDS, text


def _accepts(terms: Terms, price_micros: int) -> bool:
    limit = terms.limit_price_micros
    if not limit:
        return True
    return price_micros <= limit if terms.side is Side.BUY else price_micros >= limit
