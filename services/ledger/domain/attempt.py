"""One operation tried out on the books, apart from them until it is kept."""

from collections.abc import Sequence
from typing import Protocol

from msgspec.structs import replace

from libs.reasons import Reason
from services.ledger.domain.books import (
    CASH,
    NOWHERE,
    Account,
    AccountKey,
    AccountState,
    Entry,
    Hold,
)
from services.ledger.domain.operations import (
    AdjustHold,
    Leg,
    Operation,
    PlaceHold,
    Post,
    Restrain,
)

MOST = 2**63 - 1
LEAST = -(2**63)


class CannotDo(Exception):
    """The operation is refused, for `reason`."""

    def __init__(self, reason: Reason.ValueType) -> None:
        super().__init__(reason)
        self.reason = reason


class Books(Protocol):
    """What the operations before left."""

    @property
    def next_seq(self) -> int:
        """Of the transfer in hand."""

    @property
    def last_account_id(self) -> int:
        """The latest that an account took."""

    def account(self, key: AccountKey) -> Account | None:
        """As it stands, if there is one."""

    def accounts_of(self, name: str) -> Sequence[Account]:
        """All of that name, as they stand."""

    def hold(self, hold_id: str) -> Hold | None:
        """As it stands, if there is one."""

    def state_of(self, name: str) -> AccountState:
        """Whether the accounts of that name may be used."""

    def is_reversed(self, transfer_id: str) -> bool:
        """Whether that transfer was reversed."""

    @property
    def are_all_open(self) -> bool:
        """Whether no name that the batch has to do with was ever frozen or closed."""


class Attempt:
    """One operation tried out: what it would change, apart from the books until it is kept."""

    def __init__(self, books: Books) -> None:
        self._books = books
        self.last_account_id = books.last_account_id  # taken, by what it opens too
        self.accounts: dict[AccountKey, Account] = {}
        self.holds: dict[str, Hold] = {}
        self.restraints: dict[str, AccountState] = {}
        self.entries: list[Entry] = []

    def make(self, operation: Operation) -> int:
        """The amount held, freed or adjusted by. Raises CannotDo."""
        if isinstance(operation, PlaceHold):
            return self._place(operation)
        if isinstance(operation, AdjustHold):
            return self._adjust(operation)
        if isinstance(operation, Restrain):
            return self._restrain(operation)
        return self._post(operation)

    def forbid_hold(self, post: Post) -> None:
        """A release that came before its hold: should the hold come late, it is refused.

        Otherwise it could never be released, because its release has had its answer.
        """
        if post.hold_id and not post.legs:
            self.holds[post.hold_id] = Hold(
                id=post.hold_id, account=NOWHERE, account_id=0, remaining=0, is_open=False
            )

    def _place(self, hold: PlaceHold) -> int:
        if self._books.hold(hold.id) is not None:
            raise CannotDo(Reason.REASON_HOLD_CLOSED)
        if self._books.state_of(hold.account.name) is not AccountState.OPEN:
            raise CannotDo(Reason.REASON_ACCOUNT_NOT_OPEN)
        account = self._books.account(hold.account)
        if account is None:
            raise CannotDo(_lack_of(hold.account.asset))
        amount = hold.amount or account.available
        if amount < 1:
            raise CannotDo(_lack_of(hold.account.asset))
        self._enter(account, held=amount)
        self.holds[hold.id] = Hold(
            id=hold.id, account=account.key, account_id=account.id, remaining=amount, is_open=True
        )
        return amount

    def _adjust(self, adjustment: AdjustHold) -> int:
        """A frozen account ends what it began: it may hold less, not more."""
        hold, amount = self._open_hold(adjustment.hold_id), adjustment.amount
        if amount > 0 and self._books.state_of(hold.account.name) is not AccountState.OPEN:
            raise CannotDo(Reason.REASON_ACCOUNT_NOT_OPEN)
        if hold.remaining + amount < 0:
            raise CannotDo(Reason.REASON_HOLD_EXCEEDED)
        self._enter(self._account(hold.account), held=amount)
        self.holds[hold.id] = replace(hold, remaining=hold.remaining + amount)
        return abs(amount)

    def _restrain(self, operation: Restrain) -> int:
        if self._books.state_of(operation.name) is AccountState.CLOSED:
            raise CannotDo(Reason.REASON_ACCOUNT_NOT_OPEN)
        accounts = self._books.accounts_of(operation.name)
        if operation.state is AccountState.CLOSED and any(a.posted or a.held for a in accounts):
            raise CannotDo(Reason.REASON_ACCOUNT_NOT_EMPTY)
        self.restraints[operation.name] = operation.state
        return 0

    def _post(self, post: Post) -> int:
        if post.reverses is not None and self._books.is_reversed(post.reverses):
            raise CannotDo(Reason.REASON_ALREADY_REVERSED)
        hold = self._hold_of(post) if post.hold_id else None
        self._check_open(post, has_hold=hold is not None)
        rest = 0 if hold is None else self._draw(hold, post)
        unfreed = rest
        for leg in post.legs:
            freed = 0
            if leg.from_hold:
                freed, unfreed = leg.amount + unfreed, 0
            self._move(leg, freed, post.without_floor)
        if hold is not None and unfreed:
            self._enter(self._account(hold.account), held=-unfreed)
        return rest

    def _hold_of(self, post: Post) -> Hold:
        """The hold the post names, if it is on the account of every leg that draws on it."""
        drawn_on = [leg.debited for leg in post.legs if leg.from_hold]
        return self._open_hold(post.hold_id, drawn_on)

    def _open_hold(self, hold_id: str | None, drawn_on: Sequence[AccountKey] = ()) -> Hold:
        """That hold, if all that is drawn on it is on its account."""
        hold = self._books.hold(hold_id) if hold_id else None
        if hold is None or hold.account == NOWHERE:
            raise CannotDo(Reason.REASON_HOLD_NOT_FOUND)
        if any(key != hold.account for key in drawn_on):
            raise CannotDo(Reason.REASON_HOLD_NOT_FOUND)
        if not hold.is_open:
            raise CannotDo(Reason.REASON_HOLD_CLOSED)
        return hold

    def _check_open(self, post: Post, *, has_hold: bool) -> None:
        """A frozen account takes part in what was begun before, and is put right."""
        if self._books.are_all_open:
            return
        may_be_frozen = has_hold or post.kind.undoes
        for key in post.accounts():
            state = self._books.state_of(key.name)
            if state is AccountState.CLOSED or (state is AccountState.FROZEN and not may_be_frozen):
                raise CannotDo(Reason.REASON_ACCOUNT_NOT_OPEN)

    def _draw(self, hold: Hold, post: Post) -> int:
        """Lessen the hold by what the legs draw and the post frees; how much it frees."""
        left = hold.remaining - sum([leg.amount for leg in post.legs if leg.from_hold])
        if left < 0:
            raise CannotDo(Reason.REASON_HOLD_EXCEEDED)
        rest = left if post.frees_rest else min(post.frees, left)
        self.holds[hold.id] = replace(hold, remaining=left - rest, is_open=not post.frees_rest)
        return rest

    def _move(self, leg: Leg, freed: int, without_floor: Sequence[str]) -> None:
        """One leg: an entry on either side."""
        source = self._account(leg.debited, without_floor)
        cost = _cost_of(source, leg.amount, leg.cost_given_micros)
        self._enter(source, amount=-leg.amount, held=-freed, cost=-cost)
        target = self._account(leg.credited, without_floor)
        cost = max(leg.cost_micros, -target.cost_micros) if target.has_floor else 0
        self._enter(target, amount=leg.amount, cost=cost)

    def _account(self, key: AccountKey, without_floor: Sequence[str] = ()) -> Account:
        """As it stands in this attempt; opened if it is not there."""
        account = self.accounts.get(key) or self._books.account(key)
        if account is None:
            account = Account(
                id=self.last_account_id + 1,
                key=key,
                has_floor=key.has_floor and key.name not in without_floor,
            )
            self.last_account_id = account.last_id
        return account

    def _enter(self, account: Account, *, amount: int = 0, held: int = 0, cost: int = 0) -> None:
        """Change an account by one entry. Raises CannotDo where a figure leaves its range."""
        posted, held = account.posted + amount, account.held + held
        cost, version = account.cost_micros + cost, account.version + 1
        if account.has_floor and posted < held:
            raise CannotDo(_lack_of(account.key.asset))
        if not LEAST <= posted <= MOST or held > MOST or cost > MOST:
            raise CannotDo(Reason.REASON_BALANCE_OVERFLOW)
        id_, key = account.id, account.key
        self.accounts[key] = Account(
            id_, key, account.has_floor, posted, held, cost, version, account.hash
        )
        seq = self._books.next_seq
        self.entries.append(Entry(id_, version, seq, amount, posted, held, cost))


def _cost_of(account: Account, amount: int, given_micros: int | None) -> int:
    """What `amount` of the shares owned cost, by average cost, in micros, rounded down.

    What rounding leaves over stays with the shares that are left; the last share takes it along.
    `given_micros`: so much instead, as far as it is there.
    """
    if given_micros is not None and amount != account.posted:
        return min(given_micros, account.cost_micros)
    return account.cost_micros * amount // account.posted if account.cost_micros else 0


def _lack_of(asset: str) -> Reason.ValueType:
    """Why an account cannot give what it does not have."""
    if asset == CASH:
        return Reason.REASON_INSUFFICIENT_FUNDS
    return Reason.REASON_INSUFFICIENT_SHARES
