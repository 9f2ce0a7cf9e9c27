"""The page and the glossary say what the table of a trade's life says."""

import re
from pathlib import Path

from services.order.domain.lifecycle import Event, State
from tests.docs.lifecycle import DOCUMENT, written

GLOSSARY = Path(__file__).parents[2] / "docs" / "GLOSSARY.md"


def test_the_page_is_what_the_table_says() -> None:
    text = DOCUMENT.read_text()
    assert written(text) == text, "write it: python -m tests.docs.lifecycle"


def fix_codes(heading: str) -> dict[str, str]:
    """The last column of a table of the glossary, by what stands in the first."""
    section = GLOSSARY.read_text().split(f"## {heading}\n")[1].split("\n## ")[0]
    rows = re.findall(r"^\| `(\w+)` \|.*\| ([^|]*)\|$", section, re.MULTILINE)
    return {name: code.strip() for name, code in rows}


def codes(text: str) -> list[str]:
    """The codes of one character in a cell: `A Pending New, then 0 New` has A and 0."""
    return [word.strip(",") for word in text.split() if len(word.strip(",")) == 1]


def test_the_glossary_has_the_code_of_every_status() -> None:
    told = fix_codes("Status")
    for state in State:
        if state.status:
            assert codes(told[state.status.name]) == codes(state.ord_status), state.name


def test_the_glossary_has_the_code_of_every_event() -> None:
    told = fix_codes("Events")
    for event in Event:
        assert codes(told[event.kind.name])[:1] == codes(event.exec_type)[:1], event.name
