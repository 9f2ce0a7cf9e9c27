"""What is asked to be canceled ends, and nothing is left at the exchange (I14).

Written without the services' rules, as all of the invariants.
"""

from typing import Any

from libs.reasons import Reason
from simulation.coverage import Coverage
from simulation.database import Database
from simulation.scenario import Street
from simulation.world import Violation

_REQUESTED, _REJECTED = 10, 11  # kinds of events
_OVER = (7, 8, 9)  # CANCELED, REJECTED, EXPIRED


def under_way(order: Database, exchange: Database) -> list[tuple[Any, ...]]:
    """Trades that rest, cancels without an answer, orders that work at the exchange."""
    return [
        *order.rows(
            "SELECT 'trade', trade_id::text, status FROM trade WHERE status NOT IN (4, 7, 8, 9)"
        ),
        *order.rows(
            "SELECT CASE WHEN is_replace THEN 'replace' ELSE 'cancel' END, trade_id::text,"
            " claimed_epoch FROM open_request"
        ),
        *exchange.rows("SELECT 'working', client_order_id, filled FROM working_order"),
    ]


def check_cancels(order: Database, street: Street, coverage: Coverage) -> None:
    """When all trades are over. Raises Violation."""
    asked = {customer.answers[wish] for customer in street.customers for wish in customer.canceled}
    waiting: set[str] = set()
    too_late: set[str] = set()
    for trade_id, kind, status, reason, refusal in order.rows(
        "SELECT trade_id::text, kind, status, reason, refusal FROM trade_event"
        " ORDER BY customer_id, seq"
    ):
        if kind == _REQUESTED:
            waiting.add(trade_id)
        elif kind == _REJECTED:
            coverage.canceling(refusal)
            _must(trade_id in waiting, f"the cancel of {trade_id} is refused, nobody waits")
            waiting.remove(trade_id)
            too_late.add(trade_id)
        elif status in _OVER:
            if reason == Reason.REASON_CANCELED_BY_CUSTOMER:
                _must(trade_id in asked - too_late, f"{trade_id} is canceled, nobody asked")
                if trade_id in waiting:
                    coverage.canceling(0)
            waiting.discard(trade_id)
    _must(not waiting, f"cancels of {sorted(waiting)} were never answered")


def _must(holds: object, words: str) -> None:
    if not holds:
        raise Violation(f"I14: {words}")
