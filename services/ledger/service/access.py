"""Who may call what: deny by default."""

from libs.auth import Role

LEDGER = "stockbroker.ledger.v1.LedgerService"
PORTFOLIO = "stockbroker.ledger.v1.PortfolioService"
TRADING = "execution"  # the one service that trades for customers

_INTERNAL = frozenset({Role.SERVICE})
_OPERATORS = frozenset({Role.OPERATOR})
_HOUSE = frozenset({Role.SERVICE, Role.OPERATOR})
_OWNERS = frozenset({Role.CUSTOMER, Role.OPERATOR})
_BY_ROLES = {
    _INTERNAL: (
        LEDGER,
        ("PlaceHolds", "AdjustHolds", "ReleaseHolds", "PostExecutions", "CorrectExecutions"),
    ),
    _HOUSE: (
        LEDGER,
        ("PostTransfers", "GetTransfers", "ListJournal", "ListBookedExecutions", "GetBalance"),
    ),
    _OPERATORS: (
        LEDGER,
        (
            "Deposit",
            "DepositShares",
            "Withdraw",
            "WithdrawShares",
            "Freeze",
            "Unfreeze",
            "Close",
            "RequestReversal",
            "ApproveReversal",
            "ListReversalRequests",
            "GetInvariants",
        ),
    ),
    _OWNERS: (PORTFOLIO, ("GetPortfolio", "ListEntries", "GetStatement")),
}
ALLOW = {
    f"/{service}/{method}": roles
    for roles, (service, methods) in _BY_ROLES.items()
    for method in methods
}
# The writer logs one line per batch of these; the last is asked for every other second.
QUIET = frozenset(
    {
        *(method for method, roles in ALLOW.items() if roles is _INTERNAL),
        f"/{LEDGER}/ListBookedExecutions",
    }
)
