"""What the books hold, and what a batch changes in them.

An account is a name (`customer/alice`, `house/clearing`) and an asset (USD in micros, or a symbol
in whole shares). All amounts are integers within a signed 64-bit one.
"""

from collections.abc import Mapping
from datetime import datetime
from enum import StrEnum
from typing import NamedTuple

import msgspec

from libs.reasons import Reason

CASH = "USD"
HOUSE = "house/"
_IDS_OF_A_HOUSE_ACCOUNT = 1024  # an id has room for 2^32 versions, and the house is in every fill
CUSTOMER = "customer/"


class AccountKey(NamedTuple):
    """How the world names an account."""

    name: str
    asset: str

    @property
    def has_floor(self) -> bool:
        """True if it may never go below zero: all accounts but the house's own."""
        return not self.name.startswith(HOUSE)


NOWHERE = AccountKey("", "")
NO_BATCH = bytes(32)  # the hash that stands before the first batch


class AccountState(StrEnum):
    """Whether the accounts of a name may be used."""

    OPEN = "open"
    FROZEN = "frozen"
    CLOSED = "closed"


class Account(msgspec.Struct, frozen=True, gc=False):
    """An account as it stands after `version` entries."""

    id: int
    key: AccountKey
    has_floor: bool
    posted: int = 0  # owned, the held part included
    held: int = 0  # set aside by open holds, never negative
    cost_micros: int = 0  # what the shares owned cost; 0 for cash and for the house
    version: int = 0
    hash: bytes = b""  # of the latest entry that was there when the batch began

    @property
    def last_id(self) -> int:
        """Of the ids it takes; the one it bears is the first."""
        return self.id if self.has_floor else self.id + _IDS_OF_A_HOUSE_ACCOUNT - 1

    @property
    def available(self) -> int:
        """What may be held or spent."""
        return self.posted - self.held


class Hold(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """Something set aside: many posts may draw on it, then one release frees the rest."""

    id: str
    account: AccountKey  # NOWHERE: released before it was placed, so it never will be
    account_id: int  # 0: NOWHERE
    remaining: int
    is_open: bool


class Balance(msgspec.Struct, frozen=True, gc=False):
    """An account's figures right after a transfer."""

    account: AccountKey
    account_id: int
    version: int
    posted: int
    held: int


class Result(msgspec.Struct, frozen=True, gc=False):
    """What an operation came to, then and whenever it is asked again."""

    id: str
    reason: Reason.ValueType  # REASON_UNSPECIFIED: done
    amount: int = 0  # held by a hold; freed by a post or release; by how much a hold was adjusted
    balances: tuple[Balance, ...] = ()  # the accounts it named, as far as they exist


class Recorded(msgspec.Struct, frozen=True, gc=False):
    """What is on record under an id."""

    fingerprint: bytes
    result: Result


class Kind(StrEnum):
    """What a transfer was for. The database knows the same words."""

    HOLD = "hold"
    HOLD_ADJUSTMENT = "hold_adjustment"
    RELEASE = "release"
    EXECUTION = "execution"
    DEPOSIT = "deposit"
    DEPOSIT_SHARES = "deposit_shares"
    WITHDRAW = "withdraw"
    WITHDRAW_SHARES = "withdraw_shares"
    TRANSFER = "transfer"
    REVERSAL_REQUEST = "reversal_request"
    REVERSAL = "reversal"
    BUST = "bust"
    CORRECTION = "correction"
    FREEZE = "freeze"
    UNFREEZE = "unfreeze"
    CLOSE = "close"

    @property
    def undoes(self) -> bool:
        """Whether it undoes the transfer that it names, which may be undone once."""
        return self in (Kind.REVERSAL, Kind.BUST, Kind.CORRECTION)


class Transfer(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """The record of one operation, refused ones included. Never changed."""

    seq: int  # 1, 2, 3, ... in the order of decision, which is the order of commits
    kind: Kind
    fingerprint: bytes
    result: Result
    hold_id: str | None  # the hold it places, draws on or releases
    reverses: str | None  # the transfer it reverses, or asks to reverse
    reference: str
    actor: str  # who asked; empty: the house itself
    terms: str | None  # what was asked, where the entries do not tell
    effective_at: datetime
    recorded_at: datetime


class Entry(msgspec.Struct, frozen=True, gc=False):
    """One change of one account. Never changed."""

    account_id: int
    version: int  # 1, 2, 3, ... per account
    transfer_seq: int
    amount: int  # 0 where only the held part changes
    balance_after: int
    held_after: int
    cost_after: int


class Head(msgspec.Struct, frozen=True):
    """Where the journal ends."""

    transfer_seq: int = 0  # of the latest transfer
    account_id: int = 0  # the latest that an account took
    batch_seq: int = 0  # of the latest batch
    batch_hash: bytes = NO_BATCH  # of the latest batch
    recorded_at: datetime | None = None  # of the latest transfer


class State(msgspec.Struct, frozen=True, kw_only=True):
    """All that a batch of operations needs to be decided."""

    head: Head
    accounts: Mapping[AccountKey, Account]
    holds: Mapping[str, Hold]
    recorded: Mapping[str, Recorded]
    restraints: Mapping[str, AccountState] = {}  # by name; none: open
    reversed: frozenset[str] = frozenset()  # transfers that were undone
    hashes: Mapping[int, bytes] = {}  # of the latest entry, by account id, where newer than there
    database_at: datetime | None = None  # when they were read, by the database's clock


class Writes(msgspec.Struct, frozen=True, kw_only=True):
    """All that a batch changes, to be kept whole or not at all."""

    before: Head
    after: Head
    opened: tuple[Account, ...]
    changed: tuple[Account, ...]
    placed: tuple[Hold, ...]
    drawn: tuple[Hold, ...]  # holds that were there and changed
    restraints: Mapping[str, AccountState]  # names whose state was set
    transfers: tuple[Transfer, ...]
    entries: tuple[Entry, ...]
