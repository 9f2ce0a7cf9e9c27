"""The contracts only grow: the check that says so finds what would break a caller."""

import shutil
import subprocess
import sysconfig
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
BUF = str(Path(sysconfig.get_path("scripts")) / "buf")


def _breaks(folder: Path) -> bool:
    """Whether buf finds the contracts in `folder` to break the published ones."""
    command = [BUF, "breaking", "--against", str(ROOT / "protos" / "baseline.binpb")]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode in (0, 100), done.stderr
    return done.returncode == 100


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    shutil.copytree(ROOT / "protos", tmp_path / "protos")
    shutil.copy(ROOT / "buf.yaml", tmp_path)
    return tmp_path


def test_the_contracts_break_no_caller() -> None:
    assert not _breaks(ROOT)


@pytest.mark.parametrize(
    ("was", "becomes"),
    [
        ("string client_order_id = 2;", "string client_id = 2;"),
        ("int64 quantity = 6;", "int32 quantity = 6;"),
        ("bool in_doubt = 14;", "bool in_doubt = 99;"),
        ("TRADE_STATUS_EXPIRED = 9;", "TRADE_STATUS_EXPIRED = 10;"),
    ],
)
def test_a_change_that_would_break_a_caller_is_found(copy: Path, was: str, becomes: str) -> None:
    contract = copy / "protos" / "stockbroker" / "order" / "v1" / "order.proto"
    text = contract.read_text()
    assert was in text
    contract.write_text(text.replace(was, becomes))
    assert _breaks(copy)
