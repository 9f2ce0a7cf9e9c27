"""Where exports are written."""

from pathlib import Path

import pytest


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where exports are written; each test writes its own."""
    return tmp_path_factory.mktemp("export") / "journal.jsonl"
