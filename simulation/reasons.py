"""A trade that ended before it was filled whole says why, as whoever ended it said it (I22).

Written without the services' rules, as all of the invariants.
"""

from libs.reasons import Reason
from simulation.database import Database
from simulation.world import Violation
from stockbroker.common.v1 import terms_pb2 as terms
from stockbroker.exchange.v1 import exchange_pb2 as pb

_ENDS = [3, 4, 5]  # ExecTypes
_CANCELED, _REJECTED, _EXPIRED = 7, 8, 9  # statuses
_OURS = {
    pb.REJECT_REASON_UNKNOWN_SYMBOL: Reason.REASON_UNKNOWN_SYMBOL,
    pb.REJECT_REASON_MARKET_CLOSED: Reason.REASON_MARKET_CLOSED,
    pb.REJECT_REASON_HALTED: Reason.REASON_SYMBOL_HALTED,
    pb.REJECT_REASON_NO_LIQUIDITY: Reason.REASON_NO_LIQUIDITY,
    pb.REJECT_REASON_MAX_NOTIONAL: Reason.REASON_INSUFFICIENT_FUNDS,
    pb.REJECT_REASON_EXPIRED: Reason.REASON_EXPIRED,
    pb.REJECT_REASON_CANCELED_BY_MEMBER: Reason.REASON_CANCELED_BY_CUSTOMER,
}


def check_reasons(order: Database, exchange: Database) -> None:
    """When all trades are over. Raises Violation."""
    said = {}
    for trade_id, body in exchange.rows(
        "SELECT client_order_id, body FROM report WHERE exec_type = ANY (%s)", _ENDS
    ):
        theirs = pb.ExecutionReport.FromString(body).reject_reason
        said[trade_id] = _OURS.get(theirs, Reason.REASON_EXCHANGE_REJECTED)
    for trade_id, status, side, reason in order.rows(
        "SELECT trade_id::text, status, side, reason FROM trade WHERE status = ANY (%s)",
        [_CANCELED, _REJECTED, _EXPIRED],
    ):
        expected = said.get(trade_id) or _of_house(status, side)
        if reason != expected:
            words = f"{trade_id} ends for {_name(reason)}, it was {_name(expected)}"
            raise Violation(f"I22: {words}")


def _of_house(status: int, side: int) -> Reason.ValueType:
    """Why it ended, if the exchange never ended it."""
    if status == _CANCELED:
        return Reason.REASON_CANCELED_BY_CUSTOMER
    if status == _EXPIRED:
        return Reason.REASON_EXPIRED
    is_buy = side == terms.SIDE_BUY
    return Reason.REASON_INSUFFICIENT_FUNDS if is_buy else Reason.REASON_INSUFFICIENT_SHARES


def _name(reason: int) -> str:
    return Reason.Name(Reason.ValueType(reason))
