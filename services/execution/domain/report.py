"""What the exchange said of an order."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import IntEnum

import msgspec

from services.execution.domain.trade import Side


class Accepted(msgspec.Struct, frozen=True, gc=False):
    """The exchange took the order."""

    exchange_order_id: str


class Fill(msgspec.Struct, frozen=True, gc=False):
    """Shares changed hands. `executed_at_nanos`: since 1970; `is_last`: all is filled.

    `limit_price_micros`: the order's when it was filled; 0: none.
    """

    execution_id: str
    quantity: int
    price_micros: int
    executed_at_nanos: int
    is_last: bool
    limit_price_micros: int = 0


class EndKind(IntEnum):
    """How an order ended before it was filled whole; numbers of the contract."""

    REJECTED = 1
    CANCELED = 2
    EXPIRED = 3


class Ended(msgspec.Struct, frozen=True, gc=False):
    """The order is over."""

    kind: EndKind
    reason: int
    reason_text: str


@dataclass(frozen=True, slots=True)
class CancelRejected:
    """The order was not canceled; `reason`: why."""

    reason: int


@dataclass(frozen=True, slots=True)
class Replaced:
    """The order has so many shares in all now; so many of them were filled before."""

    replace_id: str
    quantity: int
    filled_quantity: int

    @property
    def leaves_nothing(self) -> bool:
        """Whether all it has now was filled before: that is its end."""
        return self.quantity <= self.filled_quantity


@dataclass(frozen=True, slots=True)
class ReplaceRejected:
    """The order was not replaced; `reason`: why."""

    replace_id: str
    reason: int


@dataclass(frozen=True, slots=True)
class Amended:
    """A fill has this quantity and price from now on; 0 of both: it never was.

    `retries`: how often an operator had the report judged again. `previous_id`: the amendment of
    the fill before this one; empty: there was none.
    """

    execution_id: str
    amendment_id: str
    quantity: int
    price_micros: int
    at_nanos: int
    reason_text: str
    retries: int
    previous_id: str = ""


News = Accepted | Fill | Ended | CancelRejected | Replaced | ReplaceRejected | Amended


class Report(msgspec.Struct, frozen=True, gc=False):
    """One report; `news` is None when it said nothing this house knows."""

    report_seq: int
    trade_id: str
    customer_id: str
    side: Side | None
    symbol: str
    venue: str
    news: News | None


def flaw_of(report: Report) -> str:
    """Why the report cannot be true on its face; empty if it can."""
    if report.news is None:
        return "it says nothing"
    if not report.trade_id or not report.customer_id:
        return "it names no trade or no customer"
    if isinstance(report.news, Fill):
        if report.side is None or not report.symbol or not report.venue:
            return "a fill without side, symbol or venue"
        if not report.news.execution_id:
            return "a fill without an id"
        if report.news.quantity < 1 or report.news.price_micros < 1:
            return "a fill of nothing, or for nothing"
    if isinstance(report.news, Amended) and not (report.venue and report.news.execution_id):
        return "it names no fill"
    return ""


def runs(reports: Sequence[Report]) -> Iterator[list[int]]:
    """Cut reports so that within a run all fills may be booked before all ends; their indices.

    Within a run no fill follows the end of the same trade; order within and between runs is kept.
    """
    if not any(isinstance(report.news, Ended) for report in reports):
        if reports:
            yield list(range(len(reports)))
        return
    run: list[int] = []
    ended: set[str] = set()
    for index, report in enumerate(reports):
        if isinstance(report.news, Fill) and report.trade_id in ended:
            yield run
            run, ended = [], set()
        if isinstance(report.news, Ended):
            ended.add(report.trade_id)
        run.append(index)
    if run:
        yield run
