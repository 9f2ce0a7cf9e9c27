"""What the house and the exchange agree on while orders rest, and in the end (I16, I17).

Written without the services' rules, as all of the invariants.
"""

from collections import defaultdict
from collections.abc import Container
from typing import Any

from simulation.database import Database
from simulation.world import Violation

_BUY = 1
_REJECTED, _CANCELED, _EXPIRED = 3, 4, 5  # ExecTypes that end an order
_STATUS = {_REJECTED: 8, _CANCELED: 7, _EXPIRED: 9}
_FILLED = 4


def unheard(gateway: Database, exchange: Database) -> bool:
    """Whether the exchange has said what the gateway has not stored yet."""
    ((said,),) = exchange.rows("SELECT coalesce(max(next_report_seq), 1) FROM session")
    ((stored,),) = gateway.rows(
        "SELECT coalesce(max(p.next_seq - v.report_offset), 1) FROM progress p"
        " JOIN venue_session v USING (session_id) WHERE p.lane = 'stored'"
    )
    return bool(said > stored)


def moving(order: Database) -> list[tuple[Any, ...]]:
    """Trades on their way, requests without an answer."""
    return [
        *order.rows(
            "SELECT trade_id::text, status, in_doubt FROM trade WHERE status IN (1, 5, 6)"
            " OR in_doubt OR status = 2 AND exchange_order_id = ''"
        ),
        *order.rows("SELECT trade_id::text, is_replace, claimed_epoch FROM open_request"),
    ]


def check_rest(order: Database, ledger: Database, exchange: Database) -> None:
    """Nothing moves: what is held is what open trades can still cost, and the exchange has them."""
    trades = order.rows(
        "SELECT trade_id::text, side, quantity, filled_quantity, limit_price_micros FROM trade"
        " WHERE status IN (2, 3)"
    )
    held = dict(ledger.rows("SELECT id::text, remaining FROM hold WHERE is_open"))
    wanted = {
        trade_id: (quantity - filled) * (limit if side == _BUY else 1)
        for trade_id, side, quantity, filled, limit in trades
    }
    _must(held == wanted, f"I16: {held} is held, open trades can cost {wanted}")
    working = exchange.rows(
        "SELECT client_order_id, quantity, filled, limit_price_micros FROM working_order"
    )
    known = {(row[0], *row[2:]) for row in trades}
    _must(set(working) == known, f"I16: the exchange works {working}, open trades are {known}")


def check_ends(order: Database, exchange: Database, *, triggered: Container[str]) -> None:
    """All trades are over: each as the exchange says, and none otherwise that it knows.

    What the house had accepted and held, and the exchange does not take, is canceled.
    """
    ends: dict[str, set[int]] = defaultdict(set)
    for trade_id, exec_type in exchange.rows(
        "SELECT client_order_id, exec_type FROM report WHERE exec_type = ANY (%s)", [*_STATUS]
    ):
        ends[trade_id].add(exec_type)
    known = dict(
        exchange.rows(
            "SELECT client_order_id, coalesce(replaced_quantity, quantity) FROM member_order"
        )
    )
    for trade_id, status, quantity, filled in order.rows(
        "SELECT trade_id::text, status, quantity, filled_quantity + taken_back FROM trade"
    ):
        is_filled = filled == quantity
        _must((status == _FILLED) == is_filled, f"I17: {trade_id} is {status}, {filled} filled")
        told = {_STATUS[end] for end in ends[trade_id]}
        if trade_id in triggered and told == {_STATUS[_REJECTED]}:
            told = {_STATUS[_CANCELED]}
        if trade_id in known and not is_filled:
            _must(told == {status}, f"I17: {trade_id} is {status}, the exchange says {told}")
            theirs = known[trade_id]
            _must(quantity == theirs, f"I17: {trade_id} is of {quantity}, there of {theirs}")
    unanswered = order.rows("SELECT trade_id::text FROM trade_replace WHERE answered_seq IS NULL")
    _must(not unanswered, f"I17: replaces of {unanswered} were never answered")


def _must(holds: object, words: str) -> None:
    if not holds:
        raise Violation(words)
