"""The form of what a caller sends: what is wrong here is wrong for ever and is not recorded."""

import re

from libs.reasons import Reason
from services.ledger.domain.attempt import MOST
from services.ledger.domain.books import CASH, CUSTOMER

MOST_LEGS = 100
MOST_BROUGHT_IN = 2**53  # exact in every language's numbers

_CUSTOMER = re.compile(r"[A-Za-z0-9_-]{1,64}")
_SYMBOL = re.compile(r"[A-Z0-9.-]{1,12}")
_ACCOUNT = re.compile(r"[A-Za-z0-9._:/@-]{1,128}")
_UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_NO_UUID = ("00000000-0000-0000-0000-000000000000", "ffffffff-ffff-ffff-ffff-ffffffffffff")
_VENUE = re.compile(r"[A-Za-z0-9_.-]{1,32}")
_EXECUTION = re.compile(r"[!-~]{1,128}")
_REFERENCE_CHARACTERS = 200


class Malformed(Exception):
    """A field is not of the form it must have."""

    def __init__(self, reason: Reason.ValueType, field: str, text: str) -> None:
        super().__init__(text)
        self.reason = reason
        self.field = field
        self.text = text


def an_id(text: str, *, field: str) -> str:
    """A UUID in its one canonical spelling. Raises Malformed; so for nil and max."""
    found = text.lower() if len(text) == 36 else ""
    if not _UUID.fullmatch(found) or found in _NO_UUID:
        raise Malformed(Reason.REASON_INVALID_ID, field, f"{field} must be a UUID")
    return found


def a_customer(text: str) -> str:
    """A customer's id. Raises Malformed."""
    if not _CUSTOMER.fullmatch(text):
        raise Malformed(
            Reason.REASON_INVALID_CUSTOMER,
            "customer_id",
            "customer_id must be 1 to 64 characters of A-Z, a-z, 0-9, underscore and hyphen",
        )
    return text


def an_account(text: str, *, field: str) -> str:
    """The name of an account; below customer/ that of a customer. Raises Malformed."""
    if not _ACCOUNT.fullmatch(text):
        raise Malformed(
            Reason.REASON_INVALID_ACCOUNT,
            field,
            f"{field} must be 1 to 128 letters, digits and . _ - : / @",
        )
    if text.startswith(CUSTOMER):
        a_customer(text.removeprefix(CUSTOMER))
    return text


def a_symbol(text: str, *, field: str = "symbol") -> str:
    """A symbol; never USD, which is cash here. Raises Malformed."""
    if not _SYMBOL.fullmatch(text) or text == CASH:
        raise Malformed(
            Reason.REASON_INVALID_SYMBOL,
            field,
            f"{field} must be 1 to 12 characters of A-Z, 0-9, dot and hyphen, and not {CASH}",
        )
    return text


def an_asset(text: str) -> str:
    """USD or a symbol. Raises Malformed."""
    return text if text == CASH else a_symbol(text, field="asset")


def an_amount(amount: int, *, field: str, least: int = 1, most: int = MOST_BROUGHT_IN) -> int:
    """Micros or shares within bounds. Raises Malformed."""
    if not least <= amount <= most:
        raise Malformed(Reason.REASON_INVALID_AMOUNT, field, f"{field} must be {least} to {most}")
    return amount


def a_notional(quantity: int, price_micros: int) -> int:
    """Quantity x price, exact, in micros. Raises Malformed."""
    if quantity < 1:
        raise Malformed(Reason.REASON_INVALID_QUANTITY, "quantity", "quantity must be at least 1")
    if price_micros < 1:
        raise Malformed(
            Reason.REASON_INVALID_PRICE, "price_micros", "price_micros must be at least 1"
        )
    return an_amount(quantity * price_micros, field="quantity x price_micros", most=MOST)


def an_execution(venue: str, execution_id: str) -> tuple[str, str]:
    """What an exchange calls an execution. Raises Malformed."""
    if not _VENUE.fullmatch(venue):
        raise Malformed(
            Reason.REASON_INVALID_ID, "venue", "venue must be 1 to 32 letters, digits, ._-"
        )
    if not _EXECUTION.fullmatch(execution_id):
        raise Malformed(
            Reason.REASON_INVALID_ID,
            "execution_id",
            "execution_id must be 1 to 128 printable ASCII characters without space",
        )
    return venue, execution_id


def a_reason(text: str) -> str:
    """Why an operator does it, in a person's words for the record. Raises Malformed."""
    if not text.strip():
        raise Malformed(Reason.REASON_INVALID_REQUEST, "reference", "reference must say why")
    if len(text) > _REFERENCE_CHARACTERS or not text.isprintable():
        raise Malformed(
            Reason.REASON_INVALID_REQUEST,
            "reference",
            f"reference must be at most {_REFERENCE_CHARACTERS} printable characters",
        )
    return text
