"""What `stockbroker --help` lists."""

import re

from services.cli.help import SECTIONS
from tests.cli.conftest import Run


async def test_every_command_is_listed_once_in_a_section_with_a_whole_sentence(run: Run) -> None:
    _, shown = (await run("--help")).stdout.split("\nOptions:\n")
    assert "More:" not in shown
    assert "..." not in shown
    for names in SECTIONS.values():
        for name in names:
            assert len(re.findall(rf"^  {name} +[A-Z]", shown, re.MULTILINE)) == 1, name


async def test_a_subject_lists_its_commands(run: Run) -> None:
    shown = (await run("reversals", "--help")).stdout
    assert re.findall(r"^  (\w+) +[A-Z]", shown.split("Commands:")[1], re.MULTILINE) == [
        "request",
        "approve",
        "list",
    ]
