"""What tests of every service share: keys, real PostgreSQL, real NATS."""

from pathlib import Path

import pytest

from tests.support.keys import Keys


@pytest.fixture
def keys(tmp_path: Path) -> Keys:
    """Keys and tokens of this test alone."""
    folder = tmp_path / "keys"
    folder.mkdir()
    return Keys(folder)
