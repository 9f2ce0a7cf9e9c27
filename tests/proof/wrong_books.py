"""Small books to be made wrong, and what is named as broken in them."""

from pathlib import Path

import pytest
from msgspec.structs import replace

from libs.proof.breach import Breach, Broken
from libs.proof.checkpoint import SigningKey
from libs.proof.verify import verify
from tests.proof.small_ledger import SmallLedger, write

ALICE, BOB = "customer/alice", "customer/bob"
KEY = SigningKey.new()


def breach_of(ledger: SmallLedger, folder: Path) -> Breach:
    """What is named as broken in the books of `ledger`, hashed and sealed by its own key."""
    ledger.seal()
    file = write(folder / "journal.jsonl", ledger.hashed(KEY))
    with pytest.raises(Broken) as caught:
        verify(file, keys=[KEY.public_key])
    return caught.value.breach


def with_cash() -> SmallLedger:
    """Books in which alice has 100."""
    ledger = SmallLedger()
    ledger.deposit(ALICE, "USD", 100)
    return ledger


def with_hold() -> tuple[SmallLedger, str]:
    """Books in which alice has 100, of which 60 are held."""
    ledger = with_cash()
    return ledger, ledger.hold(ALICE, "USD", 60)


def change_last(ledger: SmallLedger, **changes: object) -> None:
    """Change fields of the latest transfer."""
    ledger.rows[-1] = replace(ledger.rows[-1], **changes)


def change_entry(ledger: SmallLedger, place: int, **changes: object) -> None:
    """Change fields of an entry of the latest transfer."""
    entries = list(ledger.transfers()[-1].entries)
    entries[place] = replace(entries[place], **changes)
    change_last(ledger, entries=tuple(entries))
