"""The command line as documents tell it is the one there is."""

import re
import shlex
from pathlib import Path

import pytest
import typer.main

from services.cli.main import app
from tests.docs.test_docs import DOCUMENTS, ROOT

_TOLD = re.compile(
    r"(?:`|\$ \.venv/bin/|\$\(\.venv/bin/)stockbroker\s([^`)]+?)(?:`|\)|$)", re.MULTILINE
)
_FOR_OTHERS = {"up", "archive", "chaos"}  # hand their options on


def _told(text: str) -> list[list[str]]:
    return [shlex.split(command, comments=True) for command in _TOLD.findall(text)]


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_command_that_is_told_exists_with_its_options(document: Path) -> None:
    for words in _told(document.read_text()):
        command = typer.main.get_command(app)
        rest = list(words)
        while rest and hasattr(command, "commands") and not rest[0].startswith("-"):
            if rest[0] not in command.commands:
                assert getattr(command, "invoke_without_command", False), f"stockbroker {words}"
                break
            command = command.commands[rest.pop(0)]
        known = {option for each in command.params for option in (*each.opts, *each.secondary_opts)}
        for word in rest:
            if re.match(r"--?[a-z]", word) and words[0] not in _FOR_OTHERS:
                assert word.partition("=")[0] in known | {"--help"}, f"stockbroker {words}"


def test_commands_are_found_where_they_are_told() -> None:
    text = "see `stockbroker trade ID --as bob`\n$ .venv/bin/stockbroker status\n"
    text += "TOKEN=$(.venv/bin/stockbroker token)"
    assert _told(text) == [["trade", "ID", "--as", "bob"], ["status"], ["token"]]
