"""What all doors do with what they are asked: check its form, take it to the writer, answer."""

from collections.abc import Callable, Iterable, Sequence
from typing import TypeVar

from libs.auth import Role, caller
from libs.reasons import Reason
from libs.refusals import AlreadyExists, Denied, Invalid, NotFound, Refusal, Refused
from services.ledger.domain import forms
from services.ledger.domain.books import Result
from services.ledger.domain.forms import Malformed
from services.ledger.domain.operations import Operation
from services.ledger.writer import Writer

Item = TypeVar("Item")
Checked = TypeVar("Checked")

MOST_ITEMS = 5_000

_WORDS = {
    Reason.REASON_ACCOUNT_NOT_EMPTY: "an account still holds something",
    Reason.REASON_ACCOUNT_NOT_OPEN: "the account is frozen or closed",
    Reason.REASON_ALREADY_REVERSED: "the transfer was reversed before",
    Reason.REASON_BALANCE_OVERFLOW: "the balance would become too large",
    Reason.REASON_INSUFFICIENT_FUNDS: "there is not so much cash available",
    Reason.REASON_INSUFFICIENT_SHARES: "there are not so many shares available",
    Reason.REASON_NOT_REVERSIBLE: "the transfer was refused, moved nothing, or is a reversal",
    Reason.REASON_SAME_OPERATOR: "another operator must approve it",
}


def check_count(items: Sequence[Item]) -> None:
    """Raises Invalid."""
    if len(items) > MOST_ITEMS:
        raise Invalid(Reason.REASON_INVALID_REQUEST, f"a call takes at most {MOST_ITEMS} items")


async def take_all(
    writer: Writer, items: Sequence[Item], operation_of: Callable[[Item], Operation | Result]
) -> list[Result | Malformed]:
    """One result per item, in order; a malformed one harms no other. Raises Invalid.

    `operation_of`: what the item asks for, or what it came to, if that is known.
    """
    check_count(items)
    asked = list(_read(items, operation_of))
    operations = [what for what in asked if not isinstance(what, Malformed | Result)]
    results = iter(await writer.take(operations))
    return [what if isinstance(what, Malformed | Result) else next(results) for what in asked]


def _read(
    items: Iterable[Item], operation_of: Callable[[Item], Operation | Result]
) -> Iterable[Operation | Result | Malformed]:
    for item in items:
        try:
            yield operation_of(item)
        except Malformed as fault:
            yield fault


async def take_one(writer: Writer, operation: Operation) -> Result:
    """The result of an operation that was done. Raises what it is refused for."""
    result = (await writer.take([operation]))[0]
    if result.reason:
        raise refusal(result.reason)
    return result


def refusal(reason: Reason.ValueType) -> Refusal:
    """Why the single operation of a call is not done."""
    if reason == Reason.REASON_EXISTS_DIFFERENT:
        return AlreadyExists(reason, "the id was used before with other terms")
    if reason == Reason.REASON_TRANSFER_NOT_FOUND:
        return NotFound(reason, "no transfer, or no request for a reversal, has that id")
    if reason in _WORDS:
        return Refused(reason, _WORDS[reason])
    raise AssertionError(f"an operation alone gave {Reason.Name(reason)}")


def checked(read: Callable[[], Checked]) -> Checked:
    """What `read` gives; its faults of form as a refusal of the call."""
    try:
        return read()
    except Malformed as fault:
        raise Invalid(fault.reason, fault.text, field=fault.field) from None


def owner(customer_id: str) -> str:
    """Whose accounts are asked for: the caller's own, or those of the one an operator names."""
    if caller().role is Role.OPERATOR:
        return checked(lambda: forms.a_customer(customer_id))
    if customer_id:
        raise Denied(Reason.REASON_PERMISSION_DENIED, "only operators may name a customer")
    return caller().subject
