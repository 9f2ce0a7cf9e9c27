"""Whether the books of a house prove themselves is found out as an operator would."""

import json
import uuid
from pathlib import Path

import pytest

from libs.proof.checkpoint import SigningKey
from services.chaos.domain.verdict import Claim
from services.chaos.proof import unproven
from tests.support.house import House

pytestmark = pytest.mark.xdist_group("house")


async def test_books_that_were_signed_by_somebody_else_are_told(
    house: House, tmp_path: Path
) -> None:
    await house.endow(f"proof-{uuid.uuid4().hex[:12]}", cash=5)
    own = json.loads((house.folder / "house.json").read_text())["ledger_public_key_file"]
    other = SigningKey.new().public_key.hex()
    for key, export in ((own, tmp_path / "own"), (other, tmp_path / "other")):
        found = await unproven(house.folder, public_key=key, export=export)
        assert [each.claim for each in found] == ([] if key is own else [Claim.BOOKS])
    assert "key" in found[0].words
