"""Deeds in terms of text and numbers, so that the ledger and its reference start from the same
words; and what is wrong with the form of one, whatever the books say.
"""

from typing import NamedTuple

from services.ledger.domain.deeds import derived
from stockbroker.common.v1.reason_pb2 import Reason

MOST = 2**63 - 1
MOST_BROUGHT_IN = 2**53
CLEARING, DEPOSITS, WITHDRAWALS = "house/clearing", "house/deposits", "house/withdrawals"
CORRECTING = ("bust", "correct")


class Move(NamedTuple):
    source: str
    target: str
    asset: str
    amount: int
    from_hold: bool = False
    cost: int = 0  # what it cost who gets it
    given: int | None = None  # what who gives it no longer counts; None: the average


class Asked(NamedTuple):
    """hold(id, who, asset, amount), adjust(id, hold, amount), release(hold), fill(id, hold, who,
    side, asset, amount, price, last, saved), deposit(id, who, asset, amount, price as cost),
    withdraw(id, who, asset, amount), transfer(id, moves, hold, last, floorless), freeze, unfreeze
    and close(id, who), request(id, of), reversal(id of the request, who approves, of, moves),
    bust(id, who as execution, of the fill, after), correct(the same, amount, price)."""

    deed: str
    id: str
    who: str = ""  # the name of an account, customer/alice
    asset: str = ""
    amount: int = 0
    price: int = 0
    side: str = ""
    hold: str = ""
    last: bool = False
    saved: int = 0  # freed beside what the fill costs
    moves: tuple[Move, ...] = ()
    floorless: tuple[str, ...] = ()
    of: str = ""
    after: str = ""  # the correction that is corrected in its turn; empty: the fill as it was told

    @property
    def recorded_id(self) -> str:
        """Under which it is on record."""
        if self.deed == "release":
            return derived("release", self.hold)
        if self.deed == "fill":
            return derived("execution", "XSIM", self.id)
        if self.deed == "reversal":
            return derived("reversal", self.id, self.who)
        if self.deed in ("bust", "correct"):
            return derived("correction", "XSIM", self.id)
        return self.id


def moves_of_fill(asked: Asked) -> list[Move]:
    money = asked.amount * asked.price
    if asked.side == "BUY":
        return [
            Move(asked.who, CLEARING, "USD", money, from_hold=True),
            Move(CLEARING, asked.who, asked.asset, asked.amount, cost=money),
        ]
    return [
        Move(asked.who, CLEARING, asked.asset, asked.amount, from_hold=True),
        Move(CLEARING, asked.who, "USD", money),
    ]


def fault_of(asked: Asked) -> int:
    """What is wrong with its form, whatever the books say; 0: nothing."""
    if asked.deed == "transfer":
        return fault_of_transfer(asked)
    if asked.deed in ("fill", "correct"):
        return fault_of_fill(asked)
    if asked.deed == "adjust":
        return 0 if 1 <= abs(asked.amount) <= MOST else Reason.REASON_INVALID_AMOUNT
    if asked.deed == "hold":
        return 0 if 0 <= asked.amount <= MOST else Reason.REASON_INVALID_AMOUNT
    if asked.deed in ("deposit", "withdraw"):
        is_right = 1 <= asked.amount <= MOST_BROUGHT_IN and 0 <= asked.price <= MOST_BROUGHT_IN
        return 0 if is_right else Reason.REASON_INVALID_AMOUNT
    return 0


def fault_of_fill(asked: Asked) -> int:
    if asked.amount < 1:
        return Reason.REASON_INVALID_QUANTITY
    if asked.price < 1:
        return Reason.REASON_INVALID_PRICE
    most_saved = MOST if asked.side == "BUY" else 0
    is_right = asked.amount * asked.price <= MOST and 0 <= asked.saved <= most_saved
    return 0 if is_right else Reason.REASON_INVALID_AMOUNT


def fault_of_transfer(asked: Asked) -> int:
    draws = asked.last or any(move.from_hold for move in asked.moves)
    if draws != bool(asked.hold) or not (asked.moves or asked.last):
        return Reason.REASON_INVALID_REQUEST
    for move in asked.moves:
        if move.source == move.target:
            return Reason.REASON_INVALID_ACCOUNT
        if not 1 <= move.amount <= MOST or not 0 <= move.cost <= MOST_BROUGHT_IN:
            return Reason.REASON_INVALID_AMOUNT
    if any(name.startswith("customer/") for name in asked.floorless):
        return Reason.REASON_INVALID_ACCOUNT
    return 0


def lack_of(asset: str) -> int:
    if asset == "USD":
        return Reason.REASON_INSUFFICIENT_FUNDS
    return Reason.REASON_INSUFFICIENT_SHARES
