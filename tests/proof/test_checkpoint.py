"""A checkpoint is the word of whoever has the key, and of nobody else."""

import stat
from hashlib import sha256
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import fields, replace

from libs.proof.checkpoint import (
    NO_CHECKPOINT,
    Checkpoint,
    SigningKey,
    WrongKeyFile,
    checkpoint_hash,
    is_signed_by,
    read_public_key,
    read_signing_key,
    spelling,
)
from tests.proof.spelling import spelled

KEY = SigningKey(Ed25519PrivateKey.from_private_bytes(bytes(range(32))))
CHECKPOINT = Checkpoint(
    seq=1,
    last_transfer_seq=150,
    last_batch_seq=7,
    last_batch_hash="11" * 32,
    merkle_root="22" * 32,
    previous_hash=NO_CHECKPOINT,
    sealed_at=1_795_219_200_000_000,
    key_id="",
)
SEALED = KEY.seal(CHECKPOINT)
SIGNATURE = (
    "09313b16e06e6ce1c4f1301e5b48686bfe6b592ed1b6d6aa569d6fdb9856c67a"
    "3345bfc180a4c8e2e15d648071f8782ab59d1a0d283f898c2f57865af64d880b"
)
HASH = "3fb821070a0d40eb580c11c90bbafed21c6f767f54216b477b37244caf3d1f1b"


def test_a_seal_stays_what_it_was() -> None:
    assert SEALED.key_id == "03a107bff3ce10be"
    assert SEALED.signature == SIGNATURE
    assert checkpoint_hash(SEALED) == HASH


def test_a_checkpoint_is_spelled_as_described() -> None:
    c = SEALED
    integers = c.seq, c.last_transfer_seq, c.last_batch_seq, c.sealed_at
    hashes = c.last_batch_hash, c.merkle_root, c.previous_hash
    expected = spelled("checkpoint", *integers, c.key_id, *map(bytes.fromhex, hashes))
    assert sha256(spelling(c)).digest() == expected


def test_only_the_key_that_sealed_it_verifies_it() -> None:
    assert is_signed_by(SEALED, KEY.public_key)
    assert not is_signed_by(SEALED, SigningKey.new().public_key)


@given(st.sampled_from(fields(Checkpoint)), st.integers(0, 127))
def test_no_part_of_it_can_be_changed(field: object, place: int) -> None:
    name = field.name  # type: ignore[attr-defined]
    value = getattr(SEALED, name)
    if isinstance(value, int):
        changed = replace(SEALED, **{name: value ^ (1 << place % 60)})
    else:
        at = place % len(value)
        digit = "0" if value[at] != "0" else "1"
        changed = replace(SEALED, **{name: value[:at] + digit + value[at + 1 :]})
    assert not is_signed_by(changed, KEY.public_key)
    assert checkpoint_hash(changed) != checkpoint_hash(SEALED)


def test_a_key_is_kept_for_its_owner_alone(tmp_path: Path) -> None:
    private, public = tmp_path / "seal.pem", tmp_path / "seal.pub"
    key = SigningKey.new()
    key.write(private, public)
    assert stat.S_IMODE(private.stat().st_mode) == 0o600
    assert read_signing_key(private).public_key == key.public_key
    assert read_public_key(str(public)) == key.public_key
    assert read_public_key(key.public_key.hex()) == key.public_key


def test_a_key_is_never_replaced(tmp_path: Path) -> None:
    private, public = tmp_path / "seal.pem", tmp_path / "seal.pub"
    SigningKey.new().write(private, public)
    before = private.read_bytes()
    with pytest.raises(FileExistsError):
        SigningKey.new().write(private, public)
    assert private.read_bytes() == before


@pytest.mark.parametrize("content", [b"", b"\xff\xfe", b"zz" * 32, b"ab" * 31])
def test_what_is_no_key_is_said_to_be_none(tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "key"
    file.write_bytes(content)
    with pytest.raises(WrongKeyFile, match="public key"):
        read_public_key(str(file))
    with pytest.raises(WrongKeyFile, match="private key"):
        read_signing_key(file)


def test_a_key_of_another_kind_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "key.pem"
    pem = ec.generate_private_key(ec.SECP256R1()).private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    file.write_bytes(pem)
    with pytest.raises(WrongKeyFile, match="Ed25519"):
        read_signing_key(file)


def test_a_key_file_that_is_not_there_is_named() -> None:
    with pytest.raises(WrongKeyFile, match=r"nowhere\.pub.*No such file"):
        read_public_key("nowhere.pub")
