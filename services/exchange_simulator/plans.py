"""The steps an order goes through by script. Pure: what comes next is told, not done."""

from typing import NamedTuple

import msgspec
from msgspec.structs import replace

from services.exchange_simulator.domain import NO_MORE, Ending, ExecType, RejectReason
from services.exchange_simulator.scripts import Outcome, Script

_EXPIRED = Ending(RejectReason.EXPIRED, "expired by the operator's script")
_REFUSED = "refused by the operator's script"


class Plan(msgspec.Struct, frozen=True):
    """What is still to come of an order that works.

    `price` is that of its fills, micros, unless it has one of its own. `parts` fills are to come.
    `wait_ms` until the next step; -1: it is over but for a cancel. `is_taken`: NEW was told.
    """

    outcome: Outcome
    price: int
    parts: int
    step_ms: int
    wait_ms: int
    is_taken: bool = False
    reason: RejectReason = RejectReason.NONE
    text: str = ""


class Take(NamedTuple):
    """The order is taken."""


class Fill(NamedTuple):
    """So many shares of it are filled."""

    quantity: int


class End(NamedTuple):
    """What is left will not be filled."""

    kind: ExecType
    ending: Ending


Step = Take | Fill | End


def plan_of(script: Script, *, price: int, quantity: int) -> Plan:
    """What is to come of a new order."""
    is_filled = script.outcome in (Outcome.FILL, Outcome.HALF_THEN_CANCEL)
    return Plan(
        script.outcome,
        price,
        parts=1 if is_filled else min(script.parts, quantity),
        step_ms=script.step_ms,
        wait_ms=script.delay_ms,
        reason=script.reject_reason or RejectReason.OTHER,
        text=script.reason_text or _REFUSED,
    )


def most_cost(script: Script, *, price: int, quantity: int) -> int:
    """What its fills cost in all, micros.

    >>> most_cost(Script("", "", Outcome.HALF_THEN_CANCEL), price=10, quantity=7)
    30
    """
    filled = {
        Outcome.FILL: quantity,
        Outcome.PARTIAL_FILLS: quantity,
        Outcome.HALF_THEN_CANCEL: quantity // 2,
    }
    return price * filled.get(script.outcome, 0)


def go_on(plan: Plan, *, quantity: int, filled: int) -> tuple[list[Step], Plan]:
    """The steps whose time has come, and the plan after them; over once an End or all is filled.

    `quantity` is shares in all, `filled` those before.
    """
    if plan.outcome == Outcome.REJECT:
        return [End(ExecType.REJECTED, Ending(plan.reason, plan.text))], plan
    steps: list[Step] = []
    if not plan.is_taken:
        steps.append(Take())
        plan = replace(plan, is_taken=True)
        if plan.step_ms and plan.outcome == Outcome.EXPIRE:
            return steps, replace(plan, wait_ms=plan.step_ms)
    while plan.parts and filled < quantity:
        shares = _share(plan, quantity, filled)
        filled += shares
        steps += [Fill(shares)] if shares else []
        plan = replace(plan, parts=plan.parts - 1)
        if plan.step_ms and filled < quantity:
            return steps, replace(plan, wait_ms=plan.step_ms)
    steps += _ends(plan) if filled < quantity else []
    return steps, replace(plan, wait_ms=-1)


def _ends(plan: Plan) -> list[End]:
    """How an order ends of which something is left."""
    if plan.outcome == Outcome.REST:
        return []
    if plan.outcome == Outcome.EXPIRE:
        return [End(ExecType.EXPIRED, _EXPIRED)]
    return [End(ExecType.CANCELED, NO_MORE)]


def _share(plan: Plan, quantity: int, filled: int) -> int:
    if plan.outcome == Outcome.HALF_THEN_CANCEL:
        return max(0, quantity // 2 - filled)
    left = quantity - filled
    return left if plan.parts == 1 else max(1, left // plan.parts)
