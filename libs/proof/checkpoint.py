"""Checkpoints: the house's signature under everything that the journal holds up to a transfer.

A checkpoint names the last batch and its hash, which stands for all before it, and the Merkle root
of the transfers since the checkpoint before, which lets each be proven alone. It is signed by
Ed25519 (RFC 8032) over its spelling, and names the hash of the checkpoint before:

    checkpoint  seq, last_transfer_seq, last_batch_seq, sealed_at; key_id;
                last_batch_hash, merkle_root, previous_hash

as `forms` spells rows. Its hash is the SHA-256 of the spelling and the signature. The key is a file
that the database never sees: whoever can write all of the books cannot sign them. The ledger signs
what goes on from the last checkpoint it kept; who has the key, or takes that file away, is found by
a checkpoint kept elsewhere.
"""

from hashlib import sha256
from pathlib import Path
from struct import Struct
from typing import Annotated, TypeVar

import msgspec
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from libs.proof.forms import HASH_BYTES, Int64

NO_CHECKPOINT = bytes(HASH_BYTES).hex()  # stands before the first
KEY_BYTES = 32

Hash = Annotated[str, msgspec.Meta(pattern=r"^[0-9a-f]{64}\Z")]
Signature = Annotated[str, msgspec.Meta(pattern=r"^[0-9a-f]{128}\Z")]

_head = Struct(">11s 4q i").pack


class Checkpoint(msgspec.Struct, frozen=True, kw_only=True):
    """A signed state of the journal. Hashes and the signature are lower-case hex."""

    seq: Annotated[int, msgspec.Meta(ge=1, le=2**63 - 1)]  # 1, 2, 3, ...
    last_transfer_seq: Int64
    last_batch_seq: Int64
    last_batch_hash: Hash
    merkle_root: Hash  # of the transfers since the checkpoint before
    previous_hash: Hash  # of the checkpoint before, its signature included
    sealed_at: Int64  # microseconds since 1970-01-01 UTC
    key_id: str  # see key_id_of
    signature: Signature = ""


Sealed = TypeVar("Sealed", bound=Checkpoint)


class WrongKeyFile(ValueError):
    """A file holds no key of this kind; the text is a sentence for a person."""


class SigningKey:
    """The private half of the key that seals."""

    def __init__(self, key: Ed25519PrivateKey) -> None:
        self._key = key
        self.public_key = key.public_key().public_bytes_raw()
        self.key_id = key_id_of(self.public_key)

    @classmethod
    def new(cls) -> "SigningKey":
        """A key that nobody has had before."""
        return cls(Ed25519PrivateKey.generate())

    def seal(self, checkpoint: Sealed) -> Sealed:
        """The checkpoint with this key's id and signature."""
        signed = msgspec.structs.replace(checkpoint, key_id=self.key_id)
        return msgspec.structs.replace(signed, signature=self._key.sign(spelling(signed)).hex())

    def write(self, private_file: Path, public_file: Path) -> None:
        """Keep both halves, the private one readable by its owner alone. Replaces nothing."""
        pem = self._key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
        private_file.touch(mode=0o600, exist_ok=False)
        private_file.write_bytes(pem)
        public_file.write_text(self.public_key.hex() + "\n")


def read_signing_key(file: Path) -> SigningKey:
    """The private key of a PEM file. Raises OSError, WrongKeyFile."""
    try:
        key = serialization.load_pem_private_key(file.read_bytes(), password=None)
    except (ValueError, TypeError):
        raise WrongKeyFile(f"{file} holds no private key in PEM") from None
    if not isinstance(key, Ed25519PrivateKey):
        raise WrongKeyFile(f"{file} holds no Ed25519 key")
    return SigningKey(key)


def read_public_key(text: str) -> bytes:
    """The public key that `text` is in hex, or that the file it names holds so.

    Raises WrongKeyFile.
    """
    found = _key_from(text)
    if found is None:
        try:
            found = _key_from(Path(text).read_text(encoding="ascii").strip())
        except OSError as error:
            why = error.strerror or str(error)
            raise WrongKeyFile(f"{text} is no public key in hex, and no file ({why})") from None
        except ValueError:
            found = None
    if found is None:
        raise WrongKeyFile(f"{text} holds no Ed25519 public key: 64 characters of hex")
    return found


def key_id_of(public_key: bytes) -> str:
    """The first characters of the key: enough to tell keys apart."""
    return public_key.hex()[:16]


def spelling(checkpoint: Checkpoint) -> bytes:
    """What is signed."""
    key_id = checkpoint.key_id.encode()
    head = _head(
        b"checkpoint\0",
        checkpoint.seq,
        checkpoint.last_transfer_seq,
        checkpoint.last_batch_seq,
        checkpoint.sealed_at,
        len(key_id),
    )
    hashes = checkpoint.last_batch_hash, checkpoint.merkle_root, checkpoint.previous_hash
    return b"".join((head, key_id, *map(bytes.fromhex, hashes)))


def checkpoint_hash(checkpoint: Checkpoint) -> str:
    """What the next checkpoint names; in hex."""
    return sha256(spelling(checkpoint) + bytes.fromhex(checkpoint.signature)).hexdigest()


def is_signed_by(checkpoint: Checkpoint, public_key: bytes) -> bool:
    """Whether the owner of that key signed it."""
    key = Ed25519PublicKey.from_public_bytes(public_key)
    try:
        key.verify(bytes.fromhex(checkpoint.signature), spelling(checkpoint))
    except InvalidSignature:
        return False
    return True


def _key_from(text: str) -> bytes | None:
    try:
        key = bytes.fromhex(text)
    except ValueError:
        return None
    return key if len(key) == KEY_BYTES else None
