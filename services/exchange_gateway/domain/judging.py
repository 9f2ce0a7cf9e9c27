"""What of a venue's word can be true."""

from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass, field

from msgspec.structs import replace

from services.exchange_gateway.domain.amended import amend, amended_by, as_amended
from services.exchange_gateway.domain.orders import State
from services.exchange_gateway.domain.replaced import asked_by, revise
from services.exchange_gateway.domain.replaces import Asked
from services.exchange_gateway.domain.reports import (
    AMENDMENTS,
    REPLACE_ANSWERS,
    Amended,
    Answered,
    Breach,
    Delivery,
    Fill,
    Impossible,
    Judgement,
    Kind,
    Parked,
    Report,
    Standing,
    as_accepted_before,
)

# An enum is slow to be looked up in.
_ACCEPTED, _FILLED, _CANCELED, _UNREADABLE = (
    Kind.ACCEPTED,
    Kind.FILLED,
    Kind.CANCELED,
    Kind.UNREADABLE,
)
_TAKEN, _DONE = State.ACCEPTED, State.DONE
_CANCEL_REJECTED = Kind.CANCEL_REJECTED


@dataclass(frozen=True, slots=True)
class Past:
    """What is stored from before, as far as it bears on the reports to be judged.

    `executions` are the ids of fills that counted, by order; `asked` the replaces by the number of
    each command that carried them; `fills` executions that are amended, and amendments that are in
    their turn, by order and id.
    """

    executions: Mapping[str, Set[str]] = field(default_factory=dict)
    asked: Mapping[int, Asked] = field(default_factory=dict)
    fills: Mapping[tuple[str, str], Fill] = field(default_factory=dict)


def executions_wanted(
    standings: Mapping[str, Standing], reports: Sequence[Report]
) -> Sequence[str]:
    """The orders among those filled in `reports` that had fills before, by id."""
    filled = {report.trade_id for report in reports if report.kind == Kind.FILLED}
    return sorted(i for i in filled if i in standings and standings[i].filled_quantity)


def replaces_wanted(reports: Sequence[Report]) -> Sequence[int]:
    """The commands that `reports` say were replaces."""
    return sorted({report.command_seq for report in reports if report.kind in REPLACE_ANSWERS})


def fills_wanted(reports: Sequence[Report]) -> Sequence[tuple[str, str]]:
    """The executions, or amendments of them, that `reports` amend, by order and id."""
    return sorted({(r.trade_id, r.amends) for r in reports if r.kind in AMENDMENTS})


def judge(standing: Standing | None, report: Report, *, seq: int) -> Standing:
    """How the order stands after `report`, the gateway's number `seq`. Raises Impossible.

    A fill counts even after the order has ended: it is a fact. Answers to replaces, and amendments
    of fills, are other matters.
    """
    standing = _order_of(standing, report)
    if report.kind is _FILLED:
        return _fill(standing, report, seq)
    return _answer(standing, report)


def judge_all(
    standings: Mapping[str, Standing], reports: Sequence[Report], *, first_seq: int, past: Past
) -> Judgement:
    """Judge reports in order, each against what the ones before it left behind.

    An execution counts once, and a replace is answered once.
    """
    court = _Court(standings, past, notes_fills=any(r.kind in AMENDMENTS for r in reports))
    parked, deliveries = [], []
    for seq, report in enumerate(reports, start=first_seq):
        try:
            deliveries.append(court.hear(report, seq))
        except Impossible as why:
            parked.append(Parked(seq, why.breach, why.detail))
            deliveries.append(Delivery(seq, report, is_held=True))
    changed = list(court.changed.values())
    return Judgement(changed, parked, deliveries, court.answered, court.amended)


class _Court:
    """How orders stand while a run of reports is judged."""

    def __init__(self, standings: Mapping[str, Standing], past: Past, *, notes_fills: bool) -> None:
        self._now = dict(standings)
        self._notes_fills = notes_fills  # what is amended in the same run was told in it
        self._counted = {(order, name) for order, ids in past.executions.items() for name in ids}
        self._asked = past.asked
        self._answered = {
            one.replace_id: one.answered_by_seq
            for one in past.asked.values()
            if one.answered_by_seq is not None
        }
        self.changed: dict[str, Standing] = {}
        self._fills = dict(past.fills)
        self.answered: list[Answered] = []
        self.amended: list[Amended] = []

    def hear(self, report: Report, seq: int) -> Delivery:
        """What is delivered of it. Raises Impossible, and then nothing has changed."""
        before, kind = self._now.get(report.trade_id), report.kind
        if kind in REPLACE_ANSWERS:
            return self._hear_answer(_order_of(before, report), report, seq)
        if kind in AMENDMENTS:
            return self._hear_amendment(_order_of(before, report), report, seq)
        after = judge(before, report, seq=seq)
        if kind is _FILLED:
            self._count(report)
        if after != before:
            self._now[after.trade_id] = self.changed[after.trade_id] = after
        return Delivery(
            seq,
            as_accepted_before(report) if after.was_held else report,
            after.customer_id,
            kind is _FILLED and after.filled_by_seq == seq,
            kind is _CANCELED and after.is_cut,
            after.limit_price_micros,
        )

    def _hear_answer(self, before: Standing, report: Report, seq: int) -> Delivery:
        asked = asked_by(report, self._asked, answered=self._answered)
        is_done = report.kind == Kind.REPLACED
        after = revise(before, report, asked, seq=seq) if is_done else before
        self._answered[asked.replace_id] = seq
        old_limit, filled = before.limit_price_micros, before.filled_quantity
        self.answered.append(Answered(asked.replace_id, seq, is_done, filled, old_limit))
        self._keep(after)
        return Delivery(
            seq,
            report,
            after.customer_id,
            limit_price_micros=after.limit_price_micros,
            replace_id=asked.replace_id,
            filled_quantity=filled,
        )

    def _hear_amendment(self, before: Standing, report: Report, seq: int) -> Delivery:
        name = report.trade_id, report.amends
        fill = amended_by(report, self._fills)
        self._keep(amend(before, report, fill))
        self._fills[name] = replace(fill, amended_by_seq=seq)
        # An id that was another's before stays that one's.
        self._fills.setdefault((report.trade_id, report.execution_id), as_amended(report, fill))
        self.amended.append(Amended(*name, seq, fill))
        return Delivery(seq, report, before.customer_id, amended=fill)

    def _keep(self, standing: Standing) -> None:
        if self._now.get(standing.trade_id) != standing:
            self._now[standing.trade_id] = self.changed[standing.trade_id] = standing

    def _count(self, report: Report) -> None:
        name = report.trade_id, report.execution_id
        if name in self._counted:
            detail = f"execution {report.execution_id!r} of this order was told before"
            raise Impossible(Breach.EXECUTION_REPEATED, detail)
        self._counted.add(name)
        if self._notes_fills:
            self._fills[name] = Fill(report.quantity, report.price_micros)


def _order_of(standing: Standing | None, report: Report) -> Standing:
    """The order that a report is about. Raises Impossible."""
    if report.kind is _UNREADABLE:
        raise Impossible(Breach.UNREADABLE, "the report says nothing this house understands")
    if standing is None:
        raise Impossible(Breach.UNKNOWN_TRADE, f"no order was sent for {report.trade_id!r}")
    if report.symbol != standing.symbol:
        detail = f"the order is in {standing.symbol}, the report in {report.symbol!r}"
        raise Impossible(Breach.WRONG_SYMBOL, detail)
    if report.side != standing.side:
        detail = f"the order's side is {standing.side}, the report's {report.side}"
        raise Impossible(Breach.WRONG_SIDE, detail)
    return standing


def _fill(standing: Standing, report: Report, seq: int) -> Standing:
    if report.quantity < 1 or report.price_micros < 1 or not report.execution_id:
        detail = (
            f"a fill {report.execution_id!r} of {report.quantity} at {report.price_micros} micros"
        )
        raise Impossible(Breach.NOT_A_FILL, detail)
    filled = standing.filled_quantity + report.quantity
    most = max(filled, filled - standing.taken_back)  # a correction may have given more
    if most > standing.quantity:
        detail = f"{most} shares filled of {standing.quantity} ordered"
        raise Impossible(Breach.OVER_FILL, detail)
    is_whole = filled == standing.quantity
    return replace(
        standing,
        state=_DONE if is_whole or standing.state == _DONE else _TAKEN,
        filled_quantity=filled,
        exchange_order_id=report.exchange_order_id or standing.exchange_order_id,
        filled_by_seq=seq if is_whole else None,
    )


def _answer(standing: Standing, report: Report) -> Standing:
    if report.kind is _CANCEL_REJECTED:
        return standing
    if report.kind is _ACCEPTED:
        state = standing.state if standing.state > _TAKEN else _TAKEN
    elif standing.filled_by_seq is not None and not (standing.is_cut and report.kind is _CANCELED):
        detail = f"{report.kind.name} after all {standing.quantity} shares were filled"
        raise Impossible(Breach.ENDED_WHEN_FILLED, detail)
    else:
        state = _DONE
    exchange_order_id = report.exchange_order_id or standing.exchange_order_id
    return replace(standing, state=state, exchange_order_id=exchange_order_id)
