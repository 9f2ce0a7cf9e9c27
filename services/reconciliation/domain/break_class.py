"""How the sources may differ in an execution."""

from enum import IntEnum


class BreakClass(IntEnum):
    """The numbers are those of the contract. An amendment is a bust or a correction of the fill."""

    MISSING_AT_GATEWAY = 1
    MISSING_AT_ORDER = 2
    MISSING_AT_LEDGER = 3
    UNKNOWN_TO_VENUE = 4
    ALTERED_AT_VENUE = 5
    ALTERED_AT_GATEWAY = 6
    ALTERED_AT_ORDER = 7
    ALTERED_AT_LEDGER = 8
    DUPLICATE = 9
    AMENDMENT_MISSING_AT_GATEWAY = 10
    AMENDMENT_MISSING_AT_ORDER = 11
    AMENDMENT_MISSING_AT_LEDGER = 12
    AMENDMENT_ALTERED_AT_GATEWAY = 13
    AMENDMENT_ALTERED_AT_ORDER = 14
    AMENDMENT_ALTERED_AT_LEDGER = 15
    AMENDMENT_EXTRA_AT_GATEWAY = 16
    AMENDMENT_EXTRA_AT_ORDER = 17
    AMENDMENT_EXTRA_AT_LEDGER = 18
