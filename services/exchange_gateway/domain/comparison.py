"""What the venue says of orders, held against these books."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from services.exchange_gateway.domain.orders import State


class Difference(StrEnum):
    """What nothing explains."""

    UNKNOWN_HERE = "UNKNOWN_HERE"
    UNKNOWN_AT_VENUE = "UNKNOWN_AT_VENUE"
    TERMS_DIFFER = "TERMS_DIFFER"
    FILLED_DIFFERENTLY = "FILLED_DIFFERENTLY"
    OPEN_AT_VENUE = "OPEN_AT_VENUE"
    ENDED_AT_VENUE = "ENDED_AT_VENUE"


@dataclass(frozen=True, slots=True)
class Theirs:
    """How an order stands at the venue. `last_report_seq` is the venue's number; 0: no report.

    Prices, micros per share, are those of an order that works; 0: none, or none is told.
    """

    trade_id: str
    symbol: str
    side: int
    quantity: int
    filled_quantity: int
    is_open: bool
    last_report_seq: int
    limit_price_micros: int = 0
    stop_price_micros: int = 0


@dataclass(frozen=True, slots=True)
class Ours:
    """How an order stands here.

    `is_explained`: an operator wrote a report of it, or one of its reports is parked, so that it
    may stand differently.
    """

    trade_id: str
    symbol: str
    side: int
    quantity: int
    filled_quantity: int
    state: State
    command_seq: int
    is_explained: bool
    limit_price_micros: int = 0
    stop_price_micros: int = 0


@dataclass(frozen=True, slots=True)
class Break:
    """A difference, in words."""

    trade_id: str
    kind: Difference
    detail: str


@dataclass(frozen=True, slots=True)
class Comparison:
    """What a comparison comes to: orders the venue lost before it answered, and differences."""

    lost: Sequence[str]
    breaks: Sequence[Break]


def compare(
    ours: Mapping[str, Ours], theirs: Mapping[str, Theirs | None], *, kept_seq: int
) -> Comparison:
    """Hold both against each other; `theirs` has every order asked for, None where unknown there.

    All reports the venue has made of them must be judged. `kept_seq`: the venue has said that it
    keeps every command up to this one.
    """
    lost, breaks = [], []
    for trade_id, their in theirs.items():
        our = ours.get(trade_id)
        if our is not None and their is None and our.state == State.PENDING:
            if our.command_seq <= kept_seq:
                lost.append(trade_id)
            continue
        found = _difference(our, their)
        if found is not None:
            breaks.append(Break(trade_id, *found))
    return Comparison(lost, breaks)


def _difference(our: Ours | None, their: Theirs | None) -> tuple[Difference, str] | None:
    if our is None or their is None:
        return _unknown(our, their)
    if (our.symbol, our.side) != (their.symbol, their.side):
        words = f"here {our.symbol}, side {our.side}; there {their.symbol}, side {their.side}"
        return Difference.TERMS_DIFFER, words
    if our.is_explained:
        return None
    if _terms(our, their) != _terms(their, their):
        words = f"here {_terms(our, their)}, there {_terms(their, their)}"
        return Difference.TERMS_DIFFER, words
    if our.filled_quantity != their.filled_quantity:
        filled = f"{our.filled_quantity} shares filled here, {their.filled_quantity} there"
        return Difference.FILLED_DIFFERENTLY, filled
    if their.is_open and our.state == State.DONE:
        return Difference.OPEN_AT_VENUE, "it has ended here and is open there"
    if not their.is_open and our.state != State.DONE:
        return Difference.ENDED_AT_VENUE, "it is open here and has ended there"
    return None


def _terms(one: Ours | Theirs, their: Theirs) -> tuple[int, ...]:
    """Quantity, limit and stop, as far as the venue tells: a replace may have changed them.

    One that is replaced down to less than was filled has what was filled.
    """
    prices = (one.limit_price_micros, one.stop_price_micros) if _tells_prices(their) else ()
    return (max(one.quantity, their.filled_quantity), *prices)


def _tells_prices(their: Theirs) -> bool:
    return their.is_open and bool(their.limit_price_micros or their.stop_price_micros)


def _unknown(our: Ours | None, their: Theirs | None) -> tuple[Difference, str] | None:
    if their is not None:
        words = f"{their.quantity} {their.symbol}, {their.filled_quantity} filled"
        return Difference.UNKNOWN_HERE, f"the venue has an order of {words}"
    if our is None or our.is_explained:
        return None
    return Difference.UNKNOWN_AT_VENUE, f"the venue answered it once: {our.state.name} here"
