"""What the ledger should do, said in the plainest way: the yardstick for all of its code.

It knows nothing of batches or tables: a dict of purses, one of holds, one of what was decided, a
function per deed.
"""

from collections.abc import Sequence
from copy import copy
from dataclasses import dataclass, field
from typing import NamedTuple

from stockbroker.common.v1.reason_pb2 import Reason
from tests.ledger.words import (
    CLEARING,
    CORRECTING,
    DEPOSITS,
    MOST,
    WITHDRAWALS,
    Asked,
    Move,
    fault_of,
    lack_of,
    moves_of_fill,
)

UNDOING = ("reversal", *CORRECTING)
STATES = {"freeze": "frozen", "unfreeze": "open", "close": "closed"}


@dataclass
class Purse:
    has_floor: bool
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


Key = tuple[str, str]  # who, asset
Seen = tuple[str, str, int, int, int]  # who, asset, version, posted, held
Step = tuple[str, str, int, int, int, int, int]  # who, asset, version, amount, posted, held, cost


class Answer(NamedTuple):
    reason: int
    amount: int = 0
    seen: tuple[Seen, ...] = ()


class Decided(NamedTuple):
    asked: Asked
    answer: Answer
    steps: tuple[Step, ...]
    of: str  # the id of what it undoes, or asks to


class No(Exception):
    def __init__(self, reason: int) -> None:
        self.reason = reason


@dataclass
class Reference:
    purses: dict[Key, Purse] = field(default_factory=dict)
    holds: dict[str, SetAside | None] = field(default_factory=dict)  # None: never to be placed
    states: dict[str, str] = field(default_factory=dict)  # of accounts, by name; none: open
    decided: dict[str, Decided] = field(default_factory=dict)  # in order, by id
    steps: list[Step] = field(default_factory=list)  # of the deed in hand

    def take(self, asked: Asked) -> Answer:
        """What the deed comes to, now or the first time it was asked."""
        reason = fault_of(asked) or self.lacks(asked)
        if reason:
            return Answer(reason)
        of = self.undone_by(asked)
        before = self.decided.get(asked.recorded_id)
        if before is not None:
            is_same = (before.asked._replace(after=""), before.of) == (asked._replace(after=""), of)
            return before.answer if is_same else different
        saved = (
            {k: copy(p) for k, p in self.purses.items()},
            {k: copy(h) for k, h in self.holds.items()},
        )
        self.steps = []
        try:
            reason, amount = 0, getattr(self, asked.deed)(asked)
        except No as no:
            reason, amount = no.reason, 0
            (self.purses, self.holds), self.steps = saved, []
            if reason == Reason.REASON_HOLD_NOT_FOUND and self.frees_only(asked):
                self.holds[asked.hold] = None
        answer = Answer(reason, amount, self.seen(asked, is_done=not reason))
        self.decided[asked.recorded_id] = Decided(asked, answer, tuple(self.steps), of)
        return answer

    def hold(self, asked: Asked) -> int:
        if asked.id in self.holds:
            raise No(Reason.REASON_HOLD_CLOSED)
        self.check_state(asked.who)
        purse = self.purses.get((asked.who, asked.asset), Purse(has_floor=True))
        amount = asked.amount or purse.posted - purse.held
        if amount == 0:
            raise No(lack_of(asked.asset))
        self.change(asked.who, asked.asset, held=amount)
        self.holds[asked.id] = SetAside(asked.who, asked.asset, amount)
        return amount

    def adjust(self, asked: Asked) -> int:
        hold = self.hold_for(asked.hold, ())
        if asked.amount > 0:
            self.check_state(hold.who)
        hold.left += asked.amount
        if hold.left < 0:
            raise No(Reason.REASON_HOLD_EXCEEDED)
        self.change(hold.who, hold.asset, held=asked.amount)
        return abs(asked.amount)

    def release(self, asked: Asked) -> int:
        return self.post(asked, (), rest=True)

    def fill(self, asked: Asked) -> int:
        return self.post(asked, moves_of_fill(asked), rest=asked.last)

    def deposit(self, asked: Asked) -> int:
        return self.post(
            asked, [Move(DEPOSITS, asked.who, asked.asset, asked.amount, cost=asked.price)]
        )

    def withdraw(self, asked: Asked) -> int:
        return self.post(asked, [Move(asked.who, WITHDRAWALS, asked.asset, asked.amount)])

    def transfer(self, asked: Asked) -> int:
        return self.post(asked, asked.moves, rest=asked.last)

    def request(self, asked: Asked) -> int:
        self.check_not_reversed(asked.of)
        return 0

    def reversal(self, asked: Asked) -> int:
        self.check_not_reversed(asked.of)
        return self.post(asked, asked.moves)

    def bust(self, asked: Asked) -> int:
        self.check_not_reversed(self.undone_by(asked))
        return self.post(asked, self.moves_of_correction(asked))

    correct = bust

    def freeze(self, asked: Asked) -> int:
        self.check_state(asked.who, may_be_frozen=True)
        if asked.deed == "close" and any(
            p.posted or p.held for (who, _), p in self.purses.items() if who == asked.who
        ):
            raise No(Reason.REASON_ACCOUNT_NOT_EMPTY)
        self.states[asked.who] = STATES[asked.deed]
        return 0

    unfreeze = close = freeze

    def post(self, asked: Asked, moves: Sequence[Move], *, rest: bool = False) -> int:
        """Move everything, then free the rest of the hold if that is asked for; how much it was."""
        hold = self.hold_for(asked.hold, moves) if asked.hold else None
        for move in moves:
            for who in (move.source, move.target):
                is_exempt = hold is not None or asked.deed in UNDOING
                self.check_state(who, may_be_frozen=is_exempt)
        freed = 0
        if hold is not None:
            hold.left -= sum(move.amount for move in moves if move.from_hold)
            if hold.left < 0:
                raise No(Reason.REASON_HOLD_EXCEEDED)
            freed = hold.left if rest else min(asked.saved, hold.left)
            hold.left, hold.is_open = hold.left - freed, not rest
        left = freed  # what is freed goes with the first move out of the hold, if there is one
        for move in moves:
            unheld, left = (move.amount + left, 0) if move.from_hold else (0, left)
            self.change(
                move.source, move.asset, -move.amount, held=-unheld, given=move.given, asked=asked
            )
            self.change(move.target, move.asset, move.amount, cost=move.cost, asked=asked)
        if hold is not None and left:
            self.change(hold.who, hold.asset, held=-left)
        return freed

    def frees_only(self, asked: Asked) -> bool:
        return asked.deed in ("release", "transfer") and not asked.moves

    def hold_for(self, id_: str, moves: Sequence[Move]) -> SetAside:
        hold = self.holds.get(id_)
        if hold is None or any(
            (m.source, m.asset) != (hold.who, hold.asset) for m in moves if m.from_hold
        ):
            raise No(Reason.REASON_HOLD_NOT_FOUND)
        if not hold.is_open:
            raise No(Reason.REASON_HOLD_CLOSED)
        return hold

    def check_state(self, who: str, *, may_be_frozen: bool = False) -> None:
        state = self.states.get(who)
        if state == "closed" or (state == "frozen" and not may_be_frozen):
            raise No(Reason.REASON_ACCOUNT_NOT_OPEN)

    def check_not_reversed(self, id_: str) -> None:
        for asked, answer, _, of in self.decided.values():
            if asked.deed in UNDOING and of == id_ and not answer.reason:
                raise No(Reason.REASON_ALREADY_REVERSED)

    def lacks(self, asked: Asked) -> int:
        """Why there is nothing to correct; 0: there is."""
        if asked.deed not in CORRECTING:
            return 0
        if asked.of not in self.decided:
            return Reason.REASON_TRANSFER_NOT_FOUND
        if self.decided[asked.of].answer.reason:
            return Reason.REASON_NOT_REVERSIBLE
        line = self.standing(asked)
        if not line:
            return Reason.REASON_TRANSFER_NOT_FOUND
        is_busted = self.decided[line[-1]].asked.deed == "bust"
        return Reason.REASON_NOT_REVERSIBLE if is_busted else 0

    def undone_by(self, asked: Asked) -> str:
        """The id of what it undoes: of a fill that was corrected, the correction it names."""
        return self.standing(asked)[-1] if asked.deed in CORRECTING else asked.of

    def standing(self, asked: Asked) -> list[str]:
        """The fill and its corrections up to the one that is named; none: there is no such.

        One that was asked for again, under its id with a number, goes by that id as well.
        """
        line = [asked.of]
        for id_ in self.corrections_of(asked.of) if asked.after else ():
            line.append(id_)
            name = self.decided[id_].asked.id
            if asked.after in (name, name.rpartition("/")[0]):
                return line
        return [] if asked.after else line

    def corrections_of(self, fill: str) -> list[str]:
        """The ids of those that were done, each of which corrects the one before."""
        line = [fill]
        for id_, (asked, answer, _, of) in self.decided.items():
            if asked.deed in CORRECTING and of == line[-1] and not answer.reason:
                line.append(id_)
        return line[1:]

    def moves_of_correction(self, asked: Asked) -> list[Move]:
        """What the customer gets, then what they give."""
        line, fill = self.standing(asked), self.decided[asked.of].asked
        latest = self.decided[line[-1]].asked
        who, symbol, money = fill.who, fill.asset, latest.amount * latest.price
        is_bought, is_right = fill.side == "BUY", asked.deed == "correct"
        right = asked.amount * asked.price
        cost = sum(self.cost_added_by(deed, symbol) for deed in line)
        paid = sum(self.cost_added_by(deed, "USD") for deed in line)  # none, unless cash has a cost
        cash, shares = (CLEARING, who, "USD"), (CLEARING, who, symbol)
        if is_bought:
            got = [Move(*cash, money, cost=-paid), Move(*shares, asked.amount, cost=right)]
            given = [Move(who, CLEARING, symbol, latest.amount, given=cost)]
            given += [Move(who, CLEARING, "USD", right)]
        else:
            got = [Move(*shares, latest.amount, cost=-cost), Move(*cash, right)]
            given = [Move(who, CLEARING, "USD", money, given=paid)]
            given += [Move(who, CLEARING, symbol, asked.amount)]
        return [*got, *given] if is_right else [got[0], given[0]]

    def cost_added_by(self, deed: str, asset: str) -> int:
        """To what the customer's shares, or cash, had cost, by a fill or a correction of it."""
        asked = self.decided[deed].asked
        fill = self.decided[asked.of].asked if asked.deed in CORRECTING else asked
        before = 0
        for id_, (_, _, steps, _) in self.decided.items():
            after = [step[6] for step in steps if step[:2] == (fill.who, asset)]
            if id_ == deed:
                return after[-1] - before
            before = after[-1] if after else before
        raise AssertionError("what was decided is among what was")

    def change(
        self,
        who: str,
        asset: str,
        amount: int = 0,
        *,
        held: int = 0,
        cost: int = 0,
        given: int | None = None,
        asked: Asked | None = None,
    ) -> None:
        """One step of one purse."""
        floorless = who.startswith("house/") or (asked is not None and who in asked.floorless)
        purse = self.purses.setdefault((who, asset), Purse(has_floor=not floorless))
        if amount < 0 < purse.posted:
            cost = -(purse.cost * -amount // purse.posted)
            if given is not None and -amount < purse.posted:
                cost = -min(given, purse.cost)
        purse.posted, purse.held = purse.posted + amount, purse.held + held
        purse.cost, purse.version = purse.cost + cost, purse.version + 1
        if not purse.has_floor:
            purse.cost = 0
        elif purse.posted < purse.held:
            raise No(lack_of(asset))
        if max(purse.cost, purse.posted, -1 - purse.posted) > MOST:
            raise No(Reason.REASON_BALANCE_OVERFLOW)
        self.steps.append((who, asset, purse.version, amount, purse.posted, purse.held, purse.cost))

    def seen(self, asked: Asked, *, is_done: bool) -> tuple[Seen, ...]:
        """The purses it names, as far as they are there, and that of the hold it could draw on."""
        keys = self.named(asked)
        hold = self.holds.get(asked.hold)
        if hold is not None and is_done:
            keys.append((hold.who, hold.asset))
        found = [(key, self.purses[key]) for key in dict.fromkeys(keys) if key in self.purses]
        return tuple((*key, p.version, p.posted, p.held) for key, p in found)

    def named(self, asked: Asked) -> list[Key]:
        if asked.deed in STATES:
            return sorted(key for key in self.purses if key[0] == asked.who)
        if asked.deed == "fill":
            moves: Sequence[Move] = moves_of_fill(asked)
        elif asked.deed in ("deposit", "withdraw"):
            ends = (DEPOSITS, asked.who) if asked.deed == "deposit" else (asked.who, WITHDRAWALS)
            moves = [Move(*ends, asked.asset, asked.amount)]
        elif asked.deed == "hold":
            return [(asked.who, asked.asset)]
        elif asked.deed in CORRECTING:
            moves = self.moves_of_correction(asked)
        else:
            moves = asked.moves
        return [(who, move.asset) for move in moves for who in (move.source, move.target)]


different = Answer(Reason.REASON_EXISTS_DIFFERENT)
