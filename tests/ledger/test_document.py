"""docs/LEDGER.md says what is so."""

import re
from pathlib import Path

from services.ledger.auditor import RULES

ROOT = Path(__file__).parents[2]
DOCUMENT = (ROOT / "docs" / "LEDGER.md").read_text()


def test_every_guarantee_names_a_test_that_is_there() -> None:
    named = set(re.findall(r"`(test_\w+)`", DOCUMENT))
    tests = [*(ROOT / "tests" / "ledger").glob("*.py"), *(ROOT / "tests" / "proof").glob("*.py")]
    there = {
        name
        for path in tests
        for name in re.findall(r"^(?:async )?def (test_\w+)", path.read_text(), re.MULTILINE)
    }
    assert named - there == set()


def test_the_invariants_are_those_that_are_looked_at() -> None:
    rows = re.findall(r"^\| (I\d) \| (.*)\. \|$", DOCUMENT, re.MULTILINE)
    assert [(name, text.lower()) for name, text in rows] == [
        (name, rule.lower()) for name, rule in RULES.items()
    ]
