"""Replaces: what may be sent, and what is too late."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from services.exchange_gateway.domain.cancels import Sent
from services.exchange_gateway.domain.orders import (
    CUSTOMER_ID,
    MAX_MICROS,
    MAX_NOTIONAL_MICROS,
    SYMBOL,
    TRADE_ID,
    Reason,
    Side,
    State,
    is_place,
    is_quantity,
)


@dataclass(frozen=True, slots=True)
class Revision:
    """Terms that a replace gives an order: whole shares in all, micros per share.

    `max_notional_micros`: the most it may cost in all. An amount of 0: it is kept, where it is
    asked for; there is none, where it is told.
    """

    quantity: int
    limit_price_micros: int
    stop_price_micros: int
    max_notional_micros: int = 0


@dataclass(frozen=True, slots=True)
class Replace:
    """Other terms for an order, under the epoch its sender leads the partition."""

    replace_id: str
    trade_id: str
    customer_id: str
    partition: int
    epoch: int
    symbol: str
    side: int
    revision: Revision


@dataclass(frozen=True, slots=True)
class Asked:
    """A replace that is stored. `command_seq`: it was sent last under this number; 0: never.

    `answered_by_seq` is the gateway's number of the report that answers it; None until then.
    """

    replace_id: str
    trade_id: str
    revision: Revision
    command_seq: int
    answered_by_seq: int | None


@dataclass(frozen=True, slots=True)
class ReplaceTaken:
    """What comes of one replace: the order stands in `state`, or the replace is refused.

    `never_sent`: the order had ended when it came, and the venue will never hear of it.
    """

    replace_id: str
    state: State | None
    reason: Reason | None = None
    never_sent: bool = False


@dataclass(slots=True)
class ReplaceSorting:
    """What comes of each replace, and which are new: too late, or for the venue.

    `unanswered`: known ones that the venue owes an answer.
    """

    results: list[ReplaceTaken] = field(default_factory=list)
    too_late: dict[str, Replace] = field(default_factory=dict)
    to_send: dict[str, Replace] = field(default_factory=dict)
    unanswered: list[Asked] = field(default_factory=list)

    def new(self, replace_id: str) -> Replace | None:
        """The new one of that id."""
        return self.to_send.get(replace_id) or self.too_late.get(replace_id)


def fault_of_replace(replace: Replace) -> Reason | None:
    """The rule a replace breaks before anything is looked up; a fault of the sender. None: none."""
    revision = replace.revision
    prices = revision.limit_price_micros, revision.stop_price_micros
    are_amounts = 0 <= revision.max_notional_micros <= MAX_NOTIONAL_MICROS and all(
        0 <= price <= MAX_MICROS for price in prices
    )
    checks = (
        (TRADE_ID.fullmatch(replace.replace_id), Reason.INVALID_ID),
        (TRADE_ID.fullmatch(replace.trade_id), Reason.INVALID_ID),
        (CUSTOMER_ID.fullmatch(replace.customer_id), Reason.INVALID_CUSTOMER),
        (is_place(replace.partition, replace.epoch), Reason.INVALID_REQUEST),
        (SYMBOL.fullmatch(replace.symbol), Reason.INVALID_SYMBOL),
        (Side.BUY <= replace.side <= Side.SELL, Reason.INVALID_SIDE),
        (is_quantity(revision.quantity), Reason.INVALID_QUANTITY),
        (are_amounts, Reason.INVALID_PRICE),
    )
    return next((reason for holds, reason in checks if not holds), None)


def sort_out_replaces(
    replaces: Sequence[Replace],
    *,
    epochs: Mapping[int, int],
    orders: Mapping[str, Sent],
    asked: Mapping[str, Asked],
) -> ReplaceSorting:
    """Decide each replace in the order given; one given twice counts once.

    `epochs` is the highest epoch seen per partition, these replaces included; `orders` what is
    stored of their orders, `asked` of the replaces themselves.
    """
    sorting = ReplaceSorting()
    for replace in replaces:
        order, before = orders.get(replace.trade_id), asked.get(replace.replace_id)
        reason = _objection(replace, order, before or sorting.new(replace.replace_id))
        if replace.epoch < epochs[replace.partition]:
            reason = Reason.STALE_EPOCH
        if reason is not None or order is None:
            result = ReplaceTaken(replace.replace_id, None, reason)
        else:
            never_sent = _file(replace, order.state, before, sorting)
            result = ReplaceTaken(replace.replace_id, order.state, never_sent=never_sent)
        sorting.results.append(result)
    return sorting


def _objection(
    replace: Replace, order: Sent | None, before: Asked | Replace | None
) -> Reason | None:
    """Why a replace is refused, given its order, and the one of the same id that came before."""
    if order is None:
        return Reason.TRADE_NOT_FOUND
    if not order.is_of(replace.customer_id, replace.symbol, replace.side):
        return Reason.EXISTS_DIFFERENT
    if before is None or (before.trade_id, before.revision) == (replace.trade_id, replace.revision):
        return None
    return Reason.EXISTS_DIFFERENT


def _file(replace: Replace, state: State, before: Asked | None, sorting: ReplaceSorting) -> bool:
    """Put a sound replace where it belongs; whether it is never sent."""
    if before is None:
        (sorting.too_late if state is State.DONE else sorting.to_send)[replace.replace_id] = replace
        return state is State.DONE
    if before.command_seq and before.answered_by_seq is None and state is not State.DONE:
        sorting.unanswered.append(before)
    return not before.command_seq
