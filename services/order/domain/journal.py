"""A transaction's view of the customers it has locked, and the events it is going to record."""

from dataclasses import dataclass, field
from datetime import datetime

import msgspec
from msgspec.structs import replace

from services.order.domain.amending import looked_up
from services.order.domain.asking import is_trade_id
from services.order.domain.event import Amendment, Execution, TradeEvent, TradeEventKind
from services.order.domain.news import (
    Accepted,
    Amended,
    Canceled,
    CancelRejected,
    Executed,
    Outcome,
    Rejected,
    Replaced,
    ReplaceRejected,
)
from services.order.domain.outcomes import judge, start
from services.order.domain.replacing import Known, answer_of, with_terms
from services.order.domain.requests import Request, requests_of
from services.order.domain.trade import Replace, Standing, Trade
from services.order.domain.verdicts import REPEATED, Step, Verdict, impossible


class Told(msgspec.Struct, frozen=True):
    """An outcome as it was told; None: it could not be read."""

    trade_id: str
    outcome: Outcome | None


def fault_of(told: Told) -> str:
    """Why this cannot be an outcome of any trade, in words; empty when it can."""
    if not is_trade_id(told.trade_id):
        return "the trade id is not a UUID"
    match told.outcome:
        case None:
            return "it says nothing, or no time of the fill"
        case Accepted(exchange_order_id):
            return _fault_of_id("exchange_order_id", exchange_order_id)
        case Executed(execution):
            return _fault_of_execution(execution, told.trade_id)
        case Amended(amendment):
            return _fault_of_amendment(amendment)
        case (
            Rejected(reason=0)
            | Canceled(reason=0)
            | CancelRejected(reason=0)
            | ReplaceRejected(reason=0)
        ):
            return "it gives no reason"
        case Replaced(replace_id) | ReplaceRejected(replace_id) if not is_trade_id(replace_id):
            return "the replace id is not a UUID"
    return ""


def _fault_of_execution(execution: Execution, trade_id: str) -> str:
    if execution.trade_id != trade_id:
        return "the execution is of another trade"
    if execution.quantity < 1 or execution.price_micros < 1:
        return "a fill has at least 1 share and 1 micro"
    return _fault_of_id("execution_id", execution.execution_id) or _fault_of_id(
        "venue", execution.venue
    )


def _fault_of_amendment(amendment: Amendment) -> str:
    if (amendment.quantity < 1) != (amendment.price_micros < 1) or amendment.quantity < 0:
        return "a fill has at least 1 share and 1 micro, or never was"
    ids = ["amendment_id", "execution_id", "venue"]
    if amendment.previous_id:
        ids.append("previous_id")
    return next(filter(None, (_fault_of_id(name, getattr(amendment, name)) for name in ids)), "")


def _fault_of_id(name: str, text: str) -> str:
    """Ids of the venue are 1 to 128 printable characters."""
    return "" if 1 <= len(text) <= 128 and text.isprintable() else f"{name} is not an id"


@dataclass(slots=True)
class Journal:
    """Applies steps strictly in order; every event gets the customer's next seq.

    `trades` and `heads` (seq of each customer's latest event) are as read under the lock and
    move on with each event; so do the `executions` known by their keys, what amended them in
    order, and the `replaces` by ids.
    """

    trades: dict[str, Trade]
    heads: dict[str, int]
    at: datetime
    executions: dict[tuple[str, str], Execution] = field(default_factory=dict)
    replaces: dict[str, Known] = field(default_factory=dict)
    amendments: dict[tuple[str, str], list[Amendment]] = field(default_factory=dict)
    events: list[TradeEvent] = field(default_factory=list)
    requests: frozenset[Request] = field(init=False)

    def __post_init__(self) -> None:
        """Note what is asked of the exchange, before anything is recorded."""
        self.requests = requests_of(self.trades.values())

    def start(self, trade_id: str) -> None:
        """Take a trade up, if it was not before."""
        step = start(self.trades[trade_id])
        if step is not None:
            self.record(trade_id, step)

    def apply(self, told: Told, fault: str | None = None) -> Verdict:
        """Judge an outcome and record what it means; `fault`: what is known to be wrong with it."""
        fault = fault_of(told) if fault is None else fault
        verdict = impossible(fault) if fault else self._judge(told)
        for step in verdict.steps:
            self.record(told.trade_id, step)
        return verdict

    def record(self, trade_id: str, step: Step) -> None:
        """The trade's next event, and the customer's."""
        before = self.trades[trade_id]
        seq = self.heads[before.customer_id] + 1
        standing = _dated(step.standing, before.standing, at=self.at)
        revised = before if step.replace is None else with_terms(before, step)
        trade = replace(revised, standing=standing, seq=seq, updated_at=self.at)
        self.trades[trade_id] = trade
        if step.replace is not None:
            self._note(trade_id, step.replace, step.kind)
        self.heads[before.customer_id] = seq
        if step.execution is not None:
            self.executions[step.execution.key] = step.execution
        if step.amendment is not None:
            self.amendments.setdefault(step.amendment.key, []).append(step.amendment)
        self.events.append(
            TradeEvent(
                trade=trade,
                kind=step.kind,
                cause=step.cause,
                previous_seq=before.seq,
                execution=step.execution,
                refusal=step.refusal,
                replace=step.replace,
                amendment=step.amendment,
            )
        )

    def changed(self) -> list[Trade]:
        """The trades that got events, as they stand after the last, by trade id."""
        ids = sorted({event.trade.trade_id for event in self.events})
        return [self.trades[trade_id] for trade_id in ids]

    def _judge(self, told: Told) -> Verdict:
        trade, outcome = self.trades.get(told.trade_id), told.outcome
        match outcome:
            case _ if trade is None or outcome is None:
                return impossible("no such trade")
            case Executed(execution):
                known = self.executions.get(execution.key)
                return judge(trade, outcome) if known is None else _same_execution(known, execution)
            case Replaced() | ReplaceRejected():
                return self._judge_answer(trade, outcome)
            case Amended(amendment):
                was = self.executions.get(amendment.key)
                before = self.amendments.get(amendment.key, ())
                found = looked_up(trade, outcome, was, before)
                return judge(trade, found) if isinstance(found, Amended) else found
        return judge(trade, outcome)

    def _judge_answer(self, trade: Trade, outcome: Replaced | ReplaceRejected) -> Verdict:
        known = self.replaces.get(outcome.replace_id)
        if known is None or known.trade_id != trade.trade_id:
            return impossible("the trade has no such replace")
        return answer_of(known, outcome) or judge(trade, outcome)

    def _note(self, trade_id: str, wanted: Replace, kind: TradeEventKind) -> None:
        is_answered = kind is not TradeEventKind.REPLACE_REQUESTED
        answer = kind if is_answered else None
        self.replaces[wanted.replace_id] = Known(trade_id=trade_id, replace=wanted, answer=answer)


def _dated(standing: Standing, before: Standing, *, at: datetime) -> Standing:
    """With the time since when it is in doubt, if it is."""
    since = before.in_doubt_since or at if standing.in_doubt else None
    return standing if since == standing.in_doubt_since else replace(standing, in_doubt_since=since)


def _same_execution(known: Execution, told: Execution) -> Verdict:
    is_same = (known.trade_id, known.quantity, known.price_micros) == (
        told.trade_id,
        told.quantity,
        told.price_micros,
    )
    if is_same:
        return REPEATED
    return impossible(f"execution {told.execution_id} was told before with other terms")
