"""The books once more: what every transfer must have left, from the transfers alone.

Per account only its latest figures are kept, and of holds only those that have something left.
"""

from hashlib import sha256

from libs.proof.breach import Wrong
from libs.proof.export import EntryRow, TransferRow
from libs.proof.forms import account_origin, entry_hash

UNDOING = frozenset({"reversal", "bust", "correction"})  # kinds that undo a transfer

_NAMING_ANOTHER = UNDOING | {"reversal_request"}
_MOVING = frozenset({"execution", "deposit", "deposit_shares", "withdraw", "withdraw_shares"})
_CUSTOMER = "customer/"
_FINGERPRINT_CHARACTERS = 32


class _Account:
    """As its latest entry left it."""

    __slots__ = ("balance", "cost", "has_floor", "hash", "hash_hex", "held", "version")

    def __init__(self, origin: bytes, *, has_floor: bool) -> None:
        self.has_floor = has_floor
        self.hash = origin
        self.hash_hex = origin.hex()
        self.version = self.balance = self.held = self.cost = 0


class _Hold:
    """Something set aside of which something is left."""

    __slots__ = ("account", "remaining")

    def __init__(self, account: tuple[str, str], remaining: int) -> None:
        self.account = account
        self.remaining = remaining


class Books:
    """Takes the journal's transfers in their order."""

    def __init__(self) -> None:
        self._accounts: dict[tuple[str, str], _Account] = {}
        self._holds: dict[str, _Hold] = {}

    @property
    def account_count(self) -> int:
        """How many accounts there are."""
        return len(self._accounts)

    @property
    def hold_count(self) -> int:
        """How many holds have something left."""
        return len(self._holds)

    def has_hold(self, hold_id: str | None) -> bool:
        """Whether that hold has something left."""
        return hold_id in self._holds

    def take(self, row: TransferRow, record: bytes) -> list[bytes]:
        """The hashes of its entries, each of which follows from those before. Raises Wrong."""
        _check_terms(row)
        if row.reverses is not None and row.kind not in _NAMING_ANOTHER:
            raise Wrong(f"what the {row.kind} reverses", expected="nothing", found=row.reverses)
        if row.reason:
            _check_refused(row)
            return []
        hashes = []
        sums: dict[str, int] = {}
        unheld = 0
        for entry in row.entries:
            hash_, held = self._enter(entry, record, is_reversal=row.kind in UNDOING)
            hashes.append(hash_)
            sums[entry.asset] = sums.get(entry.asset, 0) + entry.amount
            if held:
                unheld -= held
                self._change_hold(row, entry, held)
        for asset, total in sums.items():
            if total:
                raise Wrong(f"the sum of its entries in {asset}", expected=0, found=total)
        self._check_amount(row, unheld)
        self._check_effect(row)
        return hashes

    def _enter(self, entry: EntryRow, record: bytes, *, is_reversal: bool) -> tuple[bytes, int]:
        """Its hash, and by how much it changes what is held."""
        key = entry.account, entry.asset
        account = self._accounts.get(key)
        if account is None:
            account = self._accounts[key] = _opened(entry)
        if entry.version != account.version + 1:
            raise _wrong("version", account.version + 1, entry.version, entry)
        if entry.balance_after != account.balance + entry.amount:
            expected = account.balance + entry.amount
            raise _wrong("balance_after", expected, entry.balance_after, entry)
        _check_floor(account, entry)
        if account.cost or entry.cost_after:
            _check_cost(account, entry, is_reversal=is_reversal)
        if entry.previous_hash != account.hash_hex:
            raise _wrong("previous_hash", account.hash_hex, entry.previous_hash, entry)
        hash_ = entry_hash(account.hash, entry, record=record)
        if entry.hash != hash_.hex():
            raise _wrong("hash over the entry and its transfer", hash_.hex(), entry.hash, entry)
        held = entry.held_after - account.held
        account.version = entry.version
        account.balance = entry.balance_after
        account.held = entry.held_after
        account.cost = entry.cost_after
        account.hash = hash_
        account.hash_hex = entry.hash
        return hash_, held

    def _change_hold(self, row: TransferRow, entry: EntryRow, change: int) -> None:
        before = entry.held_after - change
        if row.kind == "hold":
            if change != row.amount or entry.amount:
                raise _wrong("held_after", before + row.amount, entry.held_after, entry)
            self._holds[row.id] = _Hold((entry.account, entry.asset), change)
            return
        if row.kind == "hold_adjustment" and change > 0 and not self.has_hold(row.hold_id):
            # One with nothing left is forgotten; whether it was there is looked up: see revivals.
            self._holds[row.hold_id or ""] = _Hold((entry.account, entry.asset), 0)
        hold = self._holds.get(row.hold_id or "")
        if hold is None or hold.account != (entry.account, entry.asset):
            raise _wrong("held_after, without an open hold", before, entry.held_after, entry)
        most = row.amount if row.kind == "hold_adjustment" else -1
        if not -hold.remaining <= change <= most:
            expected = f"{before - hold.remaining} to {before}"
            raise _wrong("held_after, by what the hold has left", expected, entry.held_after, entry)
        hold.remaining += change

    def _check_amount(self, row: TransferRow, unheld: int) -> None:
        """A hold's is what it holds, an adjustment's its change, any other's what it frees."""
        if row.kind == "hold":
            _check_placed(row, unheld)
            return
        if row.kind == "hold_adjustment":
            _check_adjusted(row, unheld)
        hold = self._holds.get(row.hold_id or "") if unheld else None
        if hold is None:
            if row.amount:
                raise Wrong("amount, without a hold to free", expected=0, found=row.amount)
            return
        if row.kind != "hold_adjustment":
            _check_freed(row, hold, unheld)
        if not hold.remaining:
            del self._holds[row.hold_id or ""]

    def _check_effect(self, row: TransferRow) -> None:
        """It did what its kind is for."""
        if row.kind in _MOVING and not row.entries:
            raise Wrong(f"entries of the {row.kind}", expected="at least 1", found=0)
        hold = self._holds.get(row.hold_id or "") if row.kind == "release" else None
        if hold is not None:
            raise Wrong("what the hold has left", expected=0, found=hold.remaining)


def _check_placed(row: TransferRow, unheld: int) -> None:
    """One entry that holds the amount, under the hold's own id."""
    if unheld != -row.amount or len(row.entries) != 1:
        raise Wrong("amount of the hold", expected=-unheld, found=row.amount)
    if row.amount < 1:
        raise Wrong("amount of the hold", expected="at least 1", found=row.amount)
    if row.hold_id != row.id:
        raise Wrong("hold_id of the hold", expected=row.id, found=row.hold_id)


def _check_adjusted(row: TransferRow, unheld: int) -> None:
    """One entry that moves nothing, by the amount."""
    found = [(entry.amount, row.amount) for entry in row.entries]
    if found != [(0, abs(unheld))] or not unheld:
        raise Wrong("amount of the adjustment", expected=abs(unheld), found=row.amount)


def _check_freed(row: TransferRow, hold: _Hold, unheld: int) -> None:
    """Only a fill may free a part and keep the rest: what it saves beside what it costs."""
    mine = (e.amount for e in row.entries if (e.account, e.asset) == hold.account)
    debited = -sum(amount for amount in mine if amount < 0)
    if not max(0, unheld - debited) <= row.amount <= unheld:
        expected = f"{max(0, unheld - debited)} to {unheld}"
        raise Wrong("amount freed", expected=expected, found=row.amount)
    if row.amount and hold.remaining and not (row.kind == "execution" and debited):
        raise Wrong("what the hold has left", expected=0, found=hold.remaining)


def _opened(entry: EntryRow) -> _Account:
    """The account as it stood before its first entry, which must be this one."""
    without = account_origin(entry.account, entry.asset, has_floor=False)
    if entry.previous_hash == without.hex():
        if entry.account.startswith(_CUSTOMER):
            raise _wrong("floor of a customer's account", "never below zero", "none", entry)
        return _Account(without, has_floor=False)
    return _Account(account_origin(entry.account, entry.asset, has_floor=True), has_floor=True)


def _check_floor(account: _Account, entry: EntryRow) -> None:
    if entry.held_after < 0:
        raise _wrong("held_after", "at least 0", entry.held_after, entry)
    available = entry.balance_after - entry.held_after
    if account.has_floor and available < 0:
        raise _wrong("balance_after - held_after", "at least 0", available, entry)


def _check_cost(account: _Account, entry: EntryRow, *, is_reversal: bool) -> None:
    """What comes adds its cost; what goes takes the average along, of a reversal what was added."""
    least = most = account.cost
    if not account.has_floor:
        least = most = 0
    elif entry.amount > 0:
        most = entry.cost_after
    elif entry.amount < 0 and account.cost:
        least = most = account.cost - account.cost * -entry.amount // account.balance
        if is_reversal and entry.balance_after:
            least, most = 0, account.cost
    if not least <= entry.cost_after <= most:
        expected = least if least == most else f"{least} to {most}"
        raise _wrong("cost_after", expected, entry.cost_after, entry)


def _check_terms(row: TransferRow) -> None:
    if row.terms is not None:
        expected = sha256(row.terms.encode()).hexdigest()[:_FINGERPRINT_CHARACTERS]
        if row.fingerprint != expected:
            raise Wrong("fingerprint of the terms", expected=expected, found=row.fingerprint)


def _check_refused(row: TransferRow) -> None:
    if row.entries:
        raise Wrong("entries of a refused transfer", expected=0, found=len(row.entries))
    if row.amount:
        raise Wrong("amount of a refused transfer", expected=0, found=row.amount)
    if row.reason < 0:
        raise Wrong("reason of a refused transfer", expected="at least 1", found=row.reason)
    if row.terms is None:
        raise Wrong("terms of a refused transfer", expected="what was asked", found="none")


def _wrong(rule: str, expected: object, found: object, entry: EntryRow) -> Wrong:
    return Wrong(rule, expected=expected, found=found, entry=entry)
