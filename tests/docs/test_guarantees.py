"""docs/GUARANTEES.md promises only what a test proves."""

import re
from pathlib import Path

SERVICES = ("order", "ledger", "execution", "exchange_gateway", "reconciliation")
ROOT = Path(__file__).parents[2]
DOCUMENT = (ROOT / "docs" / "GUARANTEES.md").read_text()


def _tests() -> set[str]:
    """The names of all tests there are."""
    return {
        name
        for path in (ROOT / "tests").glob("**/test_*.py")
        for name in re.findall(r"^(?:async )?def (test_\w+)", path.read_text(), re.MULTILINE)
    }


def test_every_row_names_tests_that_are_there() -> None:
    rows = [line for line in DOCUMENT.splitlines() if line.startswith("| ")][1:]
    assert len(rows) >= 12
    there = _tests()
    for row in rows:
        named = set(re.findall(r"`(test_\w+)`", row))
        assert named, f"no test proves: {row}"
        assert named <= there, f"no such tests: {named - there}"


def test_every_part_of_the_house_has_its_row() -> None:
    for part in (*SERVICES, "the exchange", "PostgreSQL", "NATS", "Envoy", "the supervisor"):
        assert re.search(rf"^\| [^|]*\b{part}\b[^|]*\|", DOCUMENT, re.MULTILINE), part
