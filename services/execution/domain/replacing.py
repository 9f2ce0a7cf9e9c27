"""A replace, and what it means for what is held: pure, from terms that never change.

Before the exchange is asked, what may be needed at worst is held; after it answered, what is not
needed is freed. Nobody knows how many shares are filled before the exchange replaces the order, so
the worst over all of them counts. What a fill at a better price than the limit saves is freed with
it: so an open trade to buy with a limit holds limit x (quantity - filled).
"""

import uuid
from dataclasses import dataclass

from libs.holds import Hold, hold_to_buy
from services.execution.domain.trade import OrderType, Side, Trade


@dataclass(frozen=True, slots=True)
class Shape:
    """Whole shares in all and micros per share; 0: none."""

    quantity: int
    limit_price_micros: int
    stop_price_micros: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ReplaceTerms:
    """What is asked for, what the trade had then, and how many of its shares were filled."""

    replace_id: str
    trade_id: str
    side: Side
    symbol: str
    order_type: OrderType
    old: Shape
    old_filled_quantity: int
    new: Shape

    @property
    def is_bounded(self) -> bool:
        """A STOP to buy: what it may cost in all is a bound that the exchange is told."""
        return self.side is Side.BUY and self.order_type is OrderType.STOP

    @property
    def max_notional_micros(self) -> int:
        """What a STOP to buy may cost in all from then on, which is held for it; 0: no bound."""
        return _bound(self.new) if self.is_bounded else 0


@dataclass(frozen=True, slots=True)
class ClaimedReplace:
    """A replace taken up under the trade's epoch."""

    trade: Trade
    terms: ReplaceTerms


@dataclass(frozen=True, slots=True)
class ReplaceTaken:
    """The gateway's answer to a replace. `never_sent`: the order had ended before.

    `is_halted`: it was not asked, because of a halt.
    """

    reason: int = 0
    is_stale: bool = False
    never_sent: bool = False
    is_halted: bool = False


@dataclass(frozen=True, slots=True)
class Adjustment:
    """By how much more, or less, is held: micros of USD or whole shares, not 0."""

    adjustment_id: str
    hold_id: str
    amount: int


def can_still_take(terms: ReplaceTerms, shape: Shape, filled: int) -> int:
    """What the trade can still cost or deliver in this shape once so many shares are filled."""
    left = max(0, shape.quantity - filled)
    if terms.side is Side.SELL:
        return left
    return _to_buy(left, shape).amount


def extra_for(terms: ReplaceTerms) -> int:
    """How much more is held before the exchange is asked: enough whatever it fills until then."""
    if terms.is_bounded:
        return max(0, _bound(terms.new) - _bound(terms.old))
    old, new, filled = terms.old, terms.new, terms.old_filled_quantity
    held = can_still_take(terms, old, filled)
    replaced_at_once = can_still_take(terms, new, filled)
    grown = max(0, new.quantity - old.quantity)
    replaced_at_last = held + can_still_take(terms, Shape(grown, *_prices(new)), 0)
    return max(0, replaced_at_once - held, replaced_at_last - held)


def spare_after(terms: ReplaceTerms, filled: int) -> int:
    """How much is freed once the exchange replaced the order with so many shares filled.

    Of a STOP to buy that has fills nothing: these may have cost more than at its stop price.
    """
    if terms.is_bounded:
        return 0 if filled else max(0, _bound(terms.old) - _bound(terms.new))
    held = can_still_take(terms, terms.old, filled) + extra_for(terms)
    return held - can_still_take(terms, terms.new, filled)


def raised(terms: ReplaceTerms) -> Adjustment | None:
    """What is held more before the exchange is asked; None: nothing."""
    return _adjustment(terms, "up", extra_for(terms))


def freed(terms: ReplaceTerms, filled: int | None) -> Adjustment | None:
    """What is freed after its answer, `filled` shares being filled; None: it was refused."""
    spare = extra_for(terms) if filled is None else spare_after(terms, filled)
    return _adjustment(terms, "down", -spare)


def saved_by(
    *, side: Side | None, limit_price_micros: int, price_micros: int, quantity: int
) -> int:
    """What a fill costs less than was held for it, micros; nothing without a limit.

    >>> saved_by(side=Side.BUY, limit_price_micros=10, price_micros=9, quantity=3)
    3
    """
    if side is not Side.BUY or not limit_price_micros:
        return 0
    return max(0, limit_price_micros - price_micros) * quantity


def _to_buy(quantity: int, shape: Shape) -> Hold:
    return hold_to_buy(
        quantity,
        limit_price_micros=shape.limit_price_micros,
        stop_price_micros=0 if shape.limit_price_micros else shape.stop_price_micros,
    )


def _prices(shape: Shape) -> tuple[int, int]:
    return shape.limit_price_micros, shape.stop_price_micros


def _bound(shape: Shape) -> int:
    """What is held for a STOP to buy, and what it may cost in all."""
    return _to_buy(shape.quantity, shape).amount


def _adjustment(terms: ReplaceTerms, name: str, amount: int) -> Adjustment | None:
    """Its id is the same for ever, so that it is done once however often it is asked for."""
    if not amount:
        return None
    adjustment_id = str(uuid.uuid5(uuid.UUID(terms.replace_id), name))
    return Adjustment(adjustment_id, terms.trade_id, amount)
