"""What the writer knows of the books without reading them: it wrote them itself."""

from collections.abc import Collection, Mapping, Sequence
from itertools import islice
from typing import TypeVar

import msgspec

from services.ledger.domain.books import NO_BATCH, Account, AccountKey, Head, Hold
from services.ledger.domain.foresight import Decided
from services.ledger.domain.operations import Operation

Key = TypeVar("Key")
Kept = TypeVar("Kept")


class Known(msgspec.Struct, frozen=True, kw_only=True):
    """What is known of the books that a batch needs, and which accounts are to be read.

    It is true of the journal that ends with the batch of `batch_hash`. Of the names of the
    accounts known it is known too that nothing restrains them.
    """

    batch_hash: bytes
    accounts: Mapping[AccountKey, Account]
    holds: Mapping[str, Hold]
    unknown: Sequence[AccountKey]

    def is_true_of(self, head: Head, before: Decided | None) -> bool:
        """Whether it is so where the journal ends, or will be with what `before` changes.

        `before` is the batch that is being written, and may be the last in the journal already.
        """
        if head.batch_hash == self.batch_hash:
            return True
        if before is None or before.chained is None:
            return False
        is_next = before.writes.before.batch_hash == self.batch_hash
        return is_next and head.batch_hash == before.chained.batch.hash


def unknown(operations: Sequence[Operation]) -> Known:
    """Nothing: all is to be read."""
    keys = dict.fromkeys([key for operation in operations for key in operation.accounts()])
    return Known(batch_hash=NO_BATCH, accounts={}, holds={}, unknown=list(keys))


class Memory:
    """Accounts without a restraint and open holds, as the latest batch of this writer left them.

    The hash of a batch covers all there was before it, so a journal that ends with another one
    shows that somebody else wrote: then nothing of it counts.
    """

    def __init__(self, *, most: int) -> None:
        self._most = most
        self._batch_hash = NO_BATCH
        self._accounts: dict[AccountKey, Account] = {}
        self._holds: dict[str, Hold] = {}

    def known(self, operations: Sequence[Operation]) -> Known:
        """What there is to know for these."""
        asked = unknown(operations).unknown
        accounts = {key: each for key in asked if (each := self._accounts.get(key)) is not None}
        hold_ids = [operation.hold_id for operation in operations]
        return Known(
            batch_hash=self._batch_hash,
            accounts=accounts,
            holds={id_: self._holds[id_] for id_ in hold_ids if id_ in self._holds},
            unknown=[key for key in asked if key not in accounts],
        )

    def note(self, written: Decided, *, restrained: Collection[str]) -> None:
        """A batch is in the books; `restrained`: names of which it was read that they ever were."""
        chained, writes = written.chained, written.writes
        if chained is None:
            return
        if writes.before.batch_hash != self._batch_hash or writes.restraints:
            self._accounts.clear()
            self._holds.clear()
        self._batch_hash = chained.batch.hash
        never = {*restrained, *writes.restraints}
        for each in (*writes.changed, *writes.opened):
            if each.key.name not in never:
                self._accounts[each.key] = _chained(each, chained.accounts[each.id])
        for hold in (*writes.placed, *writes.drawn):
            if hold.is_open:
                self._holds[hold.id] = hold
            else:
                self._holds.pop(hold.id, None)
        _bound(self._accounts, self._most)
        _bound(self._holds, self._most)


def _chained(account: Account, hash_: bytes) -> Account:
    return Account(
        account.id,
        account.key,
        account.has_floor,
        account.posted,
        account.held,
        account.cost_micros,
        account.version,
        hash_,
    )


def _bound(kept: dict[Key, Kept], most: int) -> None:
    """Drop what came first, where there is too much."""
    if len(kept) > most:
        for key in list(islice(kept, len(kept) // 2)):
            del kept[key]
