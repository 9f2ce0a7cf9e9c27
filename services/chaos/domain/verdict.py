"""What a promise that is broken is called."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from enum import Enum


class Claim(Enum):
    """The promises, named by their breach."""

    LOST = "lost"
    DOUBLE = "double"
    NEGATIVE = "negative"
    OUT_OF_ORDER = "out of order"
    STUCK = "stuck"
    BOOKS = "books"


@dataclass(frozen=True, slots=True)
class Violation:
    """One breach: `subject` is the id of the trade, order, execution or account it is about."""

    claim: Claim
    subject: str
    words: str


def count(violations: Iterable[Violation]) -> dict[Claim, int]:
    """How many of each, zeros included."""
    found = Counter(violation.claim for violation in violations)
    return {claim: found[claim] for claim in Claim}
