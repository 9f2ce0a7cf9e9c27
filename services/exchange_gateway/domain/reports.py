"""Reports: what a venue says of orders, and what of it can be true."""

from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass, replace
from enum import IntEnum, StrEnum

from services.exchange_gateway.domain.orders import Reason, State


class Kind(IntEnum):
    """What a venue said of an order. UNREADABLE: something this house does not understand."""

    UNREADABLE = 0
    ACCEPTED = 1
    FILLED = 2
    REJECTED = 3
    CANCELED = 4
    EXPIRED = 5
    CANCEL_REJECTED = 6


class Breach(StrEnum):
    """Why a report cannot be true."""

    UNREADABLE = "UNREADABLE"
    UNKNOWN_TRADE = "UNKNOWN_TRADE"
    WRONG_SYMBOL = "WRONG_SYMBOL"
    WRONG_SIDE = "WRONG_SIDE"
    NOT_A_FILL = "NOT_A_FILL"
    OVER_FILL = "OVER_FILL"
    EXECUTION_REPEATED = "EXECUTION_REPEATED"
    ENDED_WHEN_FILLED = "ENDED_WHEN_FILLED"
    REFUSED_BY_EXECUTION = "REFUSED_BY_EXECUTION"


@dataclass(frozen=True, slots=True)
class Report:
    """A venue's word on an order. `venue_seq` is the venue's number of it, `raw` its very bytes.

    Quantities are whole shares, prices micros per share, times nanoseconds since 1970 UTC.
    """

    venue_seq: int
    trade_id: str
    kind: Kind
    symbol: str
    side: int
    exchange_order_id: str
    execution_id: str
    quantity: int
    price_micros: int
    leaves_quantity: int
    executed_at_nanos: int
    reason: Reason | None
    reason_text: str
    raw: bytes


@dataclass(frozen=True, slots=True)
class Standing:
    """How an order stands after the reports so far.

    `filled_by_seq` is the gateway's number of the report that filled it whole; None until then.
    """

    trade_id: str
    customer_id: str
    symbol: str
    side: int
    quantity: int
    state: State
    filled_quantity: int
    exchange_order_id: str
    filled_by_seq: int | None


@dataclass(frozen=True, slots=True)
class Parked:
    """A report that is kept for an operator."""

    seq: int
    breach: str
    detail: str


@dataclass(frozen=True, slots=True)
class Delivery:
    """A report as execution gets it. `is_parked`: it only holds its place and is not delivered."""

    seq: int
    report: Report
    customer_id: str = ""
    is_last: bool = False
    is_parked: bool = False


@dataclass(frozen=True, slots=True)
class Judgement:
    """What a run of reports comes to; `deliveries` has an entry for each of them."""

    standings: Sequence[Standing]
    parked: Sequence[Parked]
    deliveries: Sequence[Delivery]


class Impossible(Exception):
    """A report cannot be true."""

    def __init__(self, breach: Breach, detail: str) -> None:
        super().__init__(detail)
        self.breach = breach
        self.detail = detail


def judge(standing: Standing | None, report: Report, *, seq: int) -> Standing:
    """How the order stands after `report`, the gateway's number `seq`. Raises Impossible.

    A fill counts even after the order has ended: it is a fact.
    """
    if report.kind == Kind.UNREADABLE:
        raise Impossible(Breach.UNREADABLE, "the report says nothing this house understands")
    if standing is None:
        raise Impossible(Breach.UNKNOWN_TRADE, f"no order was sent for {report.trade_id!r}")
    if report.symbol != standing.symbol:
        detail = f"the order is in {standing.symbol}, the report in {report.symbol!r}"
        raise Impossible(Breach.WRONG_SYMBOL, detail)
    if report.side != standing.side:
        detail = f"the order's side is {standing.side}, the report's {report.side}"
        raise Impossible(Breach.WRONG_SIDE, detail)
    if report.kind == Kind.FILLED:
        return _fill(standing, report, seq)
    return _answer(standing, report)


def _fill(standing: Standing, report: Report, seq: int) -> Standing:
    if report.quantity < 1 or report.price_micros < 1 or not report.execution_id:
        detail = (
            f"a fill {report.execution_id!r} of {report.quantity} at {report.price_micros} micros"
        )
        raise Impossible(Breach.NOT_A_FILL, detail)
    filled = standing.filled_quantity + report.quantity
    if filled > standing.quantity:
        detail = f"{filled} shares filled of {standing.quantity} ordered"
        raise Impossible(Breach.OVER_FILL, detail)
    is_whole = filled == standing.quantity
    return replace(
        standing,
        state=State.DONE if is_whole or standing.state == State.DONE else State.ACCEPTED,
        filled_quantity=filled,
        exchange_order_id=report.exchange_order_id or standing.exchange_order_id,
        filled_by_seq=seq if is_whole else None,
    )


def _answer(standing: Standing, report: Report) -> Standing:
    if report.kind == Kind.CANCEL_REJECTED:
        return standing
    if report.kind == Kind.ACCEPTED:
        state = max(standing.state, State.ACCEPTED)
    elif standing.filled_by_seq is not None:
        detail = f"{report.kind.name} after all {standing.quantity} shares were filled"
        raise Impossible(Breach.ENDED_WHEN_FILLED, detail)
    else:
        state = State.DONE
    exchange_order_id = report.exchange_order_id or standing.exchange_order_id
    return replace(standing, state=state, exchange_order_id=exchange_order_id)


def executions_wanted(
    standings: Mapping[str, Standing], reports: Sequence[Report]
) -> Sequence[str]:
    """The orders among those filled in `reports` that had fills before, by id."""
    filled = {report.trade_id for report in reports if report.kind == Kind.FILLED}
    return sorted(i for i in filled if i in standings and standings[i].filled_quantity)


def judge_all(
    standings: Mapping[str, Standing],
    reports: Sequence[Report],
    *,
    first_seq: int,
    executions: Mapping[str, Set[str]],
) -> Judgement:
    """Judge reports in order, each against what the ones before it left behind.

    `executions` are the ids of fills that counted before, by order: one counts once.
    """
    now = dict(standings)
    counted = {trade_id: set(ids) for trade_id, ids in executions.items()}
    touched: dict[str, Standing] = {}
    parked = []
    deliveries = []
    for seq, report in enumerate(reports, start=first_seq):
        try:
            standing = judge(now.get(report.trade_id), report, seq=seq)
            _count(counted.setdefault(report.trade_id, set()), report)
        except Impossible as why:
            parked.append(Parked(seq, why.breach, why.detail))
            deliveries.append(Delivery(seq, report, is_parked=True))
            continue
        now[report.trade_id] = touched[report.trade_id] = standing
        is_last = report.kind == Kind.FILLED and standing.filled_by_seq == seq
        deliveries.append(Delivery(seq, report, standing.customer_id, is_last))
    return Judgement(list(touched.values()), parked, deliveries)


def _count(counted: set[str], report: Report) -> None:
    """A fill counts under its id, once. Raises Impossible."""
    if report.kind == Kind.FILLED:
        if report.execution_id in counted:
            detail = f"execution {report.execution_id!r} of this order was told before"
            raise Impossible(Breach.EXECUTION_REPEATED, detail)
        counted.add(report.execution_id)


def told_by(reports: Sequence[Report]) -> State:
    """Where an order stands by the venue's own reports of it, oldest first; PENDING: none yet."""
    reports = [report for report in reports if report.kind != Kind.CANCEL_REJECTED]
    if not reports:
        return State.PENDING
    last = reports[-1]
    is_over = last.kind in (Kind.REJECTED, Kind.CANCELED, Kind.EXPIRED)
    is_whole = last.kind == Kind.FILLED and last.leaves_quantity == 0
    return State.DONE if is_over or is_whole else State.ACCEPTED
