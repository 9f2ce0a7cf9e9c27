"""What the house has to say never hinders it."""

import os
from pathlib import Path

import pytest

from services.house.screen import Screen


def test_a_full_disk_is_borne(tmp_path: Path) -> None:
    with Path("/dev/full").open("w", buffering=1) as output:
        screen = Screen(output)
        screen.heading("Stopping")
        screen.say("there is no room for this")
        os.dup2(os.open(tmp_path / "log", os.O_WRONLY | os.O_CREAT), output.fileno())
        screen.say("there is room again")
    assert (tmp_path / "log").read_text().endswith("there is room again\n")


@pytest.mark.parametrize("is_terminal", [True, False])
def test_a_reader_that_is_gone_is_borne(is_terminal: bool) -> None:
    reader, writer = os.openpty() if is_terminal else os.pipe()
    with os.fdopen(writer, "w") as output:
        screen = Screen(output)
        screen.heading("The house starts")
        os.close(reader)
        screen.heading("Stopping")
        screen.refuse("nobody hears it")
