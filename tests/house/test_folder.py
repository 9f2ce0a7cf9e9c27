"""The keys of the data folder."""

from pathlib import Path

import pytest

from libs.auth import Role, Verifier
from libs.refusals import Unauthenticated
from services.house.folder import DataFolder


def test_keys_are_made_once(tmp_path: Path) -> None:
    folder = DataFolder(tmp_path)
    folder.make_keys()
    made = {file.name: file.read_bytes() for file in folder.keys.iterdir()}
    folder.make_keys()
    assert {file.name: file.read_bytes() for file in folder.keys.iterdir()} == made
    assert len(made) == 4


def test_a_signing_key_that_is_gone_is_made_anew_and_its_tokens_are_good_no_more(
    tmp_path: Path,
) -> None:
    folder = DataFolder(tmp_path)
    folder.make_keys()
    books = folder.ledger_key_file.read_bytes(), folder.ledger_public_key_file.read_bytes()
    old = folder.signer().mint("alice", Role.CUSTOMER)
    folder.signing_key_file.unlink()

    folder.make_keys()

    verifier = Verifier(folder.jwks_file)
    new = folder.signer().mint("alice", Role.CUSTOMER)
    assert verifier.verify(new).subject == "alice"
    with pytest.raises(Unauthenticated):
        verifier.verify(old)
    assert books == (
        folder.ledger_key_file.read_bytes(),
        folder.ledger_public_key_file.read_bytes(),
    )
    assert folder.signing_key_file.stat().st_mode & 0o077 == 0
    assert not (tmp_path / "keys.new").exists()
