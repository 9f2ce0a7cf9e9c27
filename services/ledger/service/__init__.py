"""The doors of the ledger.

LedgerService is for the house: `trading` for the execution service, `posting` for services and
operators, `operators` for operators alone, `reading` for whoever looks at the books.
PortfolioService, in `portfolio`, is for customers. `access` says who may call what.
"""

from services.ledger.service.access import ALLOW, LEDGER, PORTFOLIO, QUIET
from services.ledger.service.asking import MOST_ITEMS
from services.ledger.service.ledger import LedgerServicer
from services.ledger.service.portfolio import PortfolioServicer

__all__ = [
    "ALLOW",
    "LEDGER",
    "MOST_ITEMS",
    "PORTFOLIO",
    "QUIET",
    "LedgerServicer",
    "PortfolioServicer",
]
