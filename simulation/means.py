"""A trade is refused for want of means only where the means are not there (I21).

That none is let through without them is I2. Written without the services' rules, as all of the
invariants.
"""

from libs.reasons import Reason
from simulation.database import Database
from simulation.world import Violation
from stockbroker.common.v1 import terms_pb2 as terms

_REJECTED = 8
_FOR_WANT = [Reason.REASON_INSUFFICIENT_FUNDS, Reason.REASON_INSUFFICIENT_SHARES]
_LEFT = """
    SELECT e.balance_after - coalesce(e.held_after, 0)
    FROM entry e JOIN account a ON a.id = e.account_id
    WHERE a.name = %s AND a.asset = %s AND e.transfer_seq < %s
    ORDER BY e.version DESC LIMIT 1"""


def check_refused(order: Database, ledger: Database, exchange: Database) -> None:
    """Each trade that was refused before it was sent. Raises Violation."""
    sent = {row[0] for row in exchange.rows("SELECT client_order_id FROM member_order")}
    refused = dict(
        ledger.rows("SELECT id::text, seq FROM transfer WHERE kind = 'hold' AND reason > 0")
    )
    for trade_id, customer, symbol, side, *amounts in order.rows(
        "SELECT trade_id::text, customer_id, symbol, side, quantity, limit_price_micros,"
        " stop_price_micros FROM trade WHERE status = %s AND reason = ANY (%s)",
        _REJECTED,
        _FOR_WANT,
    ):
        if trade_id in sent:
            continue
        _must(trade_id in refused, f"{trade_id} is rejected, the books refused nothing")
        is_buy = side == terms.SIDE_BUY
        asset, needed = ("USD", _cost(*amounts)) if is_buy else (symbol, amounts[0])
        left = ledger.rows(_LEFT, f"customer/{customer}", asset, refused[trade_id])
        owned = left[0][0] if left else 0
        _must(owned < needed, f"{trade_id} needs {needed} {asset}, refused while {owned} were left")


def _cost(quantity: int, limit_price_micros: int, stop_price_micros: int) -> int:
    """Micros that must be there to buy: at the market anything, of a stop a tenth more."""
    if limit_price_micros:
        return quantity * limit_price_micros
    return quantity * stop_price_micros * 11 // 10 or 1


def _must(holds: object, words: str) -> None:
    if not holds:
        raise Violation(f"I21: {words}")
