"""What the ledger should do, said in the plainest way: the yardstick for `decide` and its store.

It knows nothing of operations, batches or tables: a dict per table and a function per deed. `Asked`
is a deed in terms of text and numbers, so that both sides start from the same words.
"""

from dataclasses import dataclass, field
from typing import NamedTuple

from stockbroker.common.v1.reason_pb2 import Reason

MOST = 2**63 - 1


class Asked(NamedTuple):
    """hold(id, who, asset, amount), release(hold), fill(id, hold, who, side, asset, amount, price,
    last) or deposit(id, who, asset, amount, price as cost)."""

    deed: str
    id: str
    who: str = ""
    asset: str = ""
    amount: int = 0
    price: int = 0
    side: str = ""
    hold: str = ""
    last: bool = False


@dataclass
class Purse:
    posted: int = 0
    held: int = 0
    cost: int = 0
    version: int = 0


@dataclass
class SetAside:
    who: str
    asset: str
    left: int
    is_open: bool = True


Seen = tuple[str, str, int, int, int]  # who, asset, version, posted, held


class Answer(NamedTuple):
    reason: int
    amount: int = 0
    seen: tuple[Seen, ...] = ()  # customers' purses alone


class No(Exception):
    def __init__(self, reason: int) -> None:
        self.reason = reason


@dataclass
class Reference:
    purses: dict[tuple[str, str], Purse] = field(default_factory=dict)
    holds: dict[str, SetAside | None] = field(default_factory=dict)  # None: never to be placed
    answers: dict[tuple[str, str], tuple[Asked, Answer]] = field(default_factory=dict)
    entries: int = 0

    def take(self, asked: Asked) -> Answer:
        """What the deed comes to, now or the first time it was asked."""
        # A hold and a deposit share the space of ids that callers choose.
        key = ("chosen" if asked.deed in ("hold", "deposit") else asked.deed, asked.id)
        if key in self.answers:
            first, answer = self.answers[key]
            return answer if first == asked else Answer(Reason.REASON_EXISTS_DIFFERENT)
        saved = {k: Purse(**vars(p)) for k, p in self.purses.items()}
        saved_holds = {k: SetAside(**vars(h)) if h else None for k, h in self.holds.items()}
        entries = self.entries
        try:
            reason, amount = 0, getattr(self, asked.deed)(asked)
        except No as no:
            reason, amount = no.reason, 0
            self.purses, self.holds, self.entries = saved, saved_holds, entries
            if asked.deed == "release" and reason == Reason.REASON_HOLD_NOT_FOUND:
                self.holds[asked.id] = None
        self.answers[key] = asked, Answer(reason, amount, self.seen(asked, reason))
        return self.answers[key][1]

    def seen(self, asked: Asked, reason: int) -> tuple[Seen, ...]:
        hold = self.holds.get(asked.id)
        names = {
            "hold": [(asked.who, asked.asset)],
            "deposit": [(asked.who, asked.asset)],
            "release": [(hold.who, hold.asset)] if hold and not reason else [],
            "fill": [(asked.who, "USD"), (asked.who, asked.asset)],
        }[asked.deed]
        if asked.side == "SELL":
            names.reverse()
        found = [(name, self.purses[name]) for name in names if name in self.purses]
        return tuple((*name, p.version, p.posted, p.held) for name, p in found)

    def hold(self, asked: Asked) -> int:
        if asked.id in self.holds:
            raise No(Reason.REASON_HOLD_CLOSED)
        purse = self.purses.get((asked.who, asked.asset), Purse())
        amount = asked.amount or purse.posted - purse.held
        if amount == 0:
            raise No(lack_of(asked.asset))
        self.change(asked.who, asked.asset, held=amount)
        self.holds[asked.id] = SetAside(asked.who, asked.asset, amount)
        return amount

    def release(self, asked: Asked) -> int:
        hold = self.holds.get(asked.id)
        if hold is None:
            raise No(Reason.REASON_HOLD_NOT_FOUND)
        if not hold.is_open:
            raise No(Reason.REASON_HOLD_CLOSED)
        freed, hold.left, hold.is_open = hold.left, 0, False
        if freed:
            self.change(hold.who, hold.asset, held=-freed)
        return freed

    def fill(self, asked: Asked) -> int:
        money, hold = asked.amount * asked.price, self.holds.get(asked.hold)
        asset, drawn = ("USD", money) if asked.side == "BUY" else (asked.asset, asked.amount)
        if hold is None or (hold.who, hold.asset) != (asked.who, asset):
            raise No(Reason.REASON_HOLD_NOT_FOUND)
        if not hold.is_open:
            raise No(Reason.REASON_HOLD_CLOSED)
        if drawn > hold.left:
            raise No(Reason.REASON_HOLD_EXCEEDED)
        freed = hold.left - drawn if asked.last else 0
        hold.left, hold.is_open = hold.left - drawn - freed, not asked.last
        self.change(asked.who, asset, -drawn, held=-drawn - freed)
        self.change("clearing", asset, drawn)
        other, got = (asked.asset, asked.amount) if asked.side == "BUY" else ("USD", money)
        self.change("clearing", other, -got)
        self.change(asked.who, other, got, cost=money if asked.side == "BUY" else 0)
        return freed

    def deposit(self, asked: Asked) -> int:
        self.change("deposits", asked.asset, -asked.amount)
        self.change(asked.who, asked.asset, asked.amount, cost=asked.price)
        return 0

    def change(
        self, who: str, asset: str, amount: int = 0, *, held: int = 0, cost: int = 0
    ) -> None:
        purse = self.purses.setdefault((who, asset), Purse())
        if amount < 0 < purse.posted:
            cost = -(purse.cost * -amount // purse.posted)
        purse.posted, purse.held = purse.posted + amount, purse.held + held
        purse.cost, purse.version = purse.cost + cost, purse.version + 1
        self.entries += 1
        if who in ("clearing", "deposits"):
            purse.cost = 0
        elif purse.posted < purse.held:
            raise No(lack_of(asset))
        if max(purse.cost, purse.posted, -1 - purse.posted) > MOST:
            raise No(Reason.REASON_BALANCE_OVERFLOW)


def lack_of(asset: str) -> int:
    if asset == "USD":
        return Reason.REASON_INSUFFICIENT_FUNDS
    return Reason.REASON_INSUFFICIENT_SHARES
