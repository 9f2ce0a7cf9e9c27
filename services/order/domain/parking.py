"""Trades the work on which fails again and again are parked, until an operator says what to do."""

from collections.abc import Iterable
from datetime import datetime
from enum import StrEnum

import msgspec

from services.order import refusals
from services.order.domain.asking import is_trade_id

_MAX_FAULT_CHARACTERS = 500
_MAX_REASON_CHARACTERS = 500
_MAX_ACTOR_CHARACTERS = 128


class Fault(msgspec.Struct, frozen=True, kw_only=True):
    """An attempt that failed. `trade_id` empty: whatever is taken up under the epoch.

    `attempt`: the trade's attempts when it was taken up, counted once; 0: not known.
    """

    customer_id: str
    partition: int
    epoch: int
    trade_id: str
    fault_text: str
    attempt: int = 0


class Faulted(msgspec.Struct, frozen=True):
    """What came of a fault: how many the trade has now, and whether it is parked."""

    customer_id: str
    faults: int
    is_parked: bool


class Parked(msgspec.Struct, frozen=True):
    """A parked trade; `is_condemned`: an operator has decided to reject it.

    `epoch`: of its partition now.
    """

    trade_id: str
    faults: int
    fault_text: str
    parked_at: datetime
    is_condemned: bool
    partition: int
    epoch: int


class Action(StrEnum):
    """What is done to a trade that fails, and put on record."""

    PARK = "park"
    RELEASE = "release"
    CONDEMN = "condemn"


class Instruction(msgspec.Struct, frozen=True):
    """What an operator says, and why."""

    trade_id: str
    actor: str
    reason_text: str


def check_faults(faults: Iterable[Fault], park_after: int) -> list[Fault]:
    """The faults, with words the database can keep, by customer. Raises Invalid."""
    if park_after < 1:
        raise refusals.invalid_request("park_after", "must be at least 1")
    by_customer = {fault.customer_id: fault for fault in faults}
    for fault in by_customer.values():
        if fault.trade_id and not is_trade_id(fault.trade_id):
            raise refusals.invalid_trade_id()
    return [
        msgspec.structs.replace(fault, fault_text=_words(fault.fault_text, _MAX_FAULT_CHARACTERS))
        for _, fault in sorted(by_customer.items())
    ]


def check_instruction(instruction: Instruction) -> Instruction:
    """The instruction, if it can be put on record. Raises Invalid."""
    if not is_trade_id(instruction.trade_id):
        raise refusals.invalid_trade_id()
    for field, text, most in (
        ("actor", instruction.actor, _MAX_ACTOR_CHARACTERS),
        ("reason_text", instruction.reason_text, _MAX_REASON_CHARACTERS),
    ):
        if not text.strip() or text != _words(text, most):
            raise refusals.invalid_request(field, f"must be 1 to {most} characters")
    return instruction


def _words(text: str, most: int) -> str:
    return text.replace("\0", "\N{REPLACEMENT CHARACTER}")[:most]
