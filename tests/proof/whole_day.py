"""A day of a small ledger, sealed, and what is named as broken in what is made of it."""

from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from libs.proof.breach import Breach, Broken
from libs.proof.checkpoint import SigningKey
from libs.proof.export import CheckpointRow, JournalRow
from libs.proof.verify import verify
from tests.proof.small_ledger import a_checkpoint, a_day

KEY = SigningKey(Ed25519PrivateKey.from_private_bytes(bytes(range(32))))
KEYS = [KEY.public_key]
FORGER = SigningKey(Ed25519PrivateKey.from_private_bytes(bytes(range(1, 33))))
DAY = a_day().hashed(KEY)
MORNING = DAY[: DAY.index(a_checkpoint(DAY)) + 1]


def breach_of(file: Path, **known: object) -> Breach:
    """What is named as broken."""
    with pytest.raises(Broken) as caught:
        verify(file, **({"keys": KEYS} | known))  # type: ignore[arg-type]
    return caught.value.breach


def seals(rows: list[JournalRow]) -> list[CheckpointRow]:
    """The checkpoints among these."""
    return [row for row in rows if isinstance(row, CheckpointRow)]
