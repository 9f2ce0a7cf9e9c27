"""What an operator may say of orders and reports."""

from dataclasses import dataclass
from enum import IntEnum, StrEnum

from services.exchange_gateway.domain.orders import Reason
from services.exchange_gateway.domain.reports import Kind, Report, Standing


class Deed(StrEnum):
    """What an operator does."""

    RESOLVE_ORDER = "RESOLVE_ORDER"
    RETRY_REPORT = "RETRY_REPORT"
    DISMISS_REPORT = "DISMISS_REPORT"
    RESET_SESSION = "RESET_SESSION"
    DISMISS_BREAK = "DISMISS_BREAK"


class Settlement(IntEnum):
    """What was done about a parked report."""

    PARKED = 1
    RETRIED = 2
    DISMISSED = 3


@dataclass(frozen=True, slots=True)
class Signature:
    """Who does something, why, and what proves it (empty: nothing had to)."""

    actor: str
    reason_text: str
    evidence: str = ""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of an order, on an operator's word. `is_unknown`: the venue never had it.

    Whole shares, micros per share, nanoseconds since 1970 UTC.
    """

    kind: Kind
    is_unknown: bool = False
    execution_id: str = ""
    quantity: int = 0
    price_micros: int = 0
    executed_at_nanos: int = 0

    @property
    def words(self) -> str:
        """The terms on one line; the same terms, the same words.

        >>> Outcome(Kind.CANCELED).words
        'CANCELED'
        >>> Outcome(Kind.FILLED, execution_id="E7", quantity=5, price_micros=1_500_000).words
        'FILLED 5 at 1500000 micros as E7, executed at 0 ns'
        """
        if self.kind == Kind.FILLED:
            return (
                f"FILLED {self.quantity} at {self.price_micros} micros as {self.execution_id},"
                f" executed at {self.executed_at_nanos} ns"
            )
        return "NOT_KNOWN" if self.is_unknown else self.kind.name


def compose(outcome: Outcome, standing: Standing, *, words: str) -> Report:
    """The report an operator writes for an order; without bytes and without a venue's number."""
    filled = standing.filled_quantity + outcome.quantity
    ends = outcome.kind in (Kind.REJECTED, Kind.CANCELED, Kind.EXPIRED)
    reason = Reason.EXPIRED if outcome.kind == Kind.EXPIRED else Reason.EXCHANGE_REJECTED
    return Report(
        venue_seq=0,
        trade_id=standing.trade_id,
        kind=outcome.kind,
        symbol=standing.symbol,
        side=standing.side,
        exchange_order_id=standing.exchange_order_id,
        execution_id=outcome.execution_id,
        quantity=outcome.quantity,
        price_micros=outcome.price_micros,
        leaves_quantity=0 if ends else max(0, standing.quantity - filled),
        executed_at_nanos=outcome.executed_at_nanos,
        reason=reason if ends else None,
        reason_text=words if ends else "",
        raw=b"",
    )
