"""LedgerService, put together."""

from services.ledger.auditor import Auditor
from services.ledger.service.operators import Operators
from services.ledger.service.posting import Posting
from services.ledger.service.reading import Reading
from services.ledger.service.trading import Trading
from services.ledger.store.bookings import Bookings
from services.ledger.store.history import History
from services.ledger.store.portfolio import Portfolios
from services.ledger.writer import Writer
from stockbroker.ledger.v1.ledger_service_pb2_grpc import LedgerServiceServicer


class LedgerServicer(Trading, Posting, Operators, Reading, LedgerServiceServicer):
    """Moves money and shares, and shows how."""

    def __init__(
        self,
        writer: Writer,
        history: History,
        portfolios: Portfolios,
        auditor: Auditor,
        bookings: Bookings,
    ) -> None:
        self._writer = writer
        self._auditor = auditor
        self._history = history
        self._portfolios = portfolios
        self._bookings = bookings
