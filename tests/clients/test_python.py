"""The README's example for a firm's back-end in Python, as it stands there, at a running house."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.house import House

ROOT = Path(__file__).parents[2]

pytestmark = pytest.mark.xdist_group("house")


def test_the_example_of_the_readme_places_for_customers(house: House, tmp_path: Path) -> None:
    (example,) = re.findall(r"^```python\n(.*?)^```", (ROOT / "README.md").read_text(), re.M | re.S)
    assert "127.0.0.1:7400" in example
    (tmp_path / "firm.token").write_text(house.back_end_token() + "\n")
    program = tmp_path / "firm.py"
    program.write_text(example.replace("127.0.0.1:7400", house.public_address))

    ended = subprocess.run(
        [sys.executable, str(program)],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )

    assert ended.returncode == 0, ended.stderr
    alice, bob, carol = sorted(ended.stdout.splitlines())
    assert re.fullmatch(r"alice has placed [0-9a-f-]{36}", alice)
    assert re.fullmatch(r"bob has placed [0-9a-f-]{36}", bob)
    assert carol.startswith("carol has not: INVALID_QUANTITY: ")
