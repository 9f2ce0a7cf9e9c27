"""Cancels: what may be sent, and what ends here because it never was."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from services.exchange_gateway.domain.orders import (
    CUSTOMER_ID,
    SYMBOL,
    TRADE_ID,
    Reason,
    Side,
    State,
    is_place,
    is_quantity,
)


@dataclass(frozen=True, slots=True)
class Target:
    """What order is meant; a cancel must agree in all of it with the order that is stored."""

    customer_id: str
    symbol: str
    side: int
    quantity: int


@dataclass(frozen=True, slots=True)
class Cancel:
    """An order to be canceled, under the epoch its sender leads the partition."""

    trade_id: str
    partition: int
    epoch: int
    target: Target


@dataclass(frozen=True, slots=True)
class Sent:
    """An order that is stored. `is_withdrawn`: it was canceled before it was ever sent.

    `is_replaced`: a replace of it was sent, so that it may stand under another quantity. `held`: 1:
    a stop that the house holds, 2: it was triggered and sent.
    """

    target: Target
    state: State
    is_withdrawn: bool
    is_replaced: bool
    held: int = 0

    def is_of(self, customer_id: str, symbol: str, side: int) -> bool:
        """Whether it is that customer's, that way in that symbol."""
        target = self.target
        return (target.customer_id, target.symbol, target.side) == (customer_id, symbol, side)

    def is_meant_by(self, target: Target) -> bool:
        """Whether it is the order that a cancel names."""
        if self.is_replaced:
            return self.is_of(target.customer_id, target.symbol, target.side)
        return self.target == target


@dataclass(frozen=True, slots=True)
class CancelTaken:
    """What comes of one cancel: the order stands in `state`, or the cancel is refused.

    `never_sent`: the order has ended here, the venue will never hear of it.
    """

    trade_id: str
    state: State | None
    reason: Reason | None = None
    never_sent: bool = False


@dataclass(slots=True)
class Sorting:
    """What comes of each cancel, which orders end here, and which cancels go to the venue.

    `held`: of stops that the house holds; it answers these itself.
    """

    results: list[CancelTaken] = field(default_factory=list)
    withdrawn: dict[str, Cancel] = field(default_factory=dict)
    to_send: dict[str, Cancel] = field(default_factory=dict)
    held: dict[str, Cancel] = field(default_factory=dict)


def fault_of_cancel(cancel: Cancel) -> Reason | None:
    """The rule a cancel breaks before anything is looked up; a fault of the sender. None: none."""
    target = cancel.target
    checks = (
        (TRADE_ID.fullmatch(cancel.trade_id), Reason.INVALID_ID),
        (CUSTOMER_ID.fullmatch(target.customer_id), Reason.INVALID_CUSTOMER),
        (is_place(cancel.partition, cancel.epoch), Reason.INVALID_REQUEST),
        (SYMBOL.fullmatch(target.symbol), Reason.INVALID_SYMBOL),
        (Side.BUY <= target.side <= Side.SELL, Reason.INVALID_SIDE),
        (is_quantity(target.quantity), Reason.INVALID_QUANTITY),
    )
    return next((reason for holds, reason in checks if not holds), None)


def sort_out_cancels(
    cancels: Sequence[Cancel], *, epochs: Mapping[int, int], known: Mapping[str, Sent]
) -> Sorting:
    """Decide each cancel in the order given; one of the same order twice counts once.

    `epochs` is the highest epoch seen per partition, these cancels included; `known` what is stored
    of their orders. Sent again it does no harm: the venue answers a cancel of what has ended.
    """
    sorting = Sorting()
    for cancel in cancels:
        sent = known.get(cancel.trade_id)
        if cancel.epoch < epochs[cancel.partition]:
            result = CancelTaken(cancel.trade_id, None, Reason.STALE_EPOCH)
        elif sent is None:
            sorting.withdrawn.setdefault(cancel.trade_id, cancel)
            result = CancelTaken(cancel.trade_id, State.DONE, never_sent=True)
        elif not sent.is_meant_by(cancel.target):
            result = CancelTaken(cancel.trade_id, None, Reason.EXISTS_DIFFERENT)
        else:
            result = CancelTaken(cancel.trade_id, sent.state, never_sent=sent.is_withdrawn)
            if sent.state is not State.DONE:
                (sorting.held if sent.held == 1 else sorting.to_send)[cancel.trade_id] = cancel
        sorting.results.append(result)
    return sorting
