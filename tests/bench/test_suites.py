"""Which suites are run, in which order, and how far a house stands behind who measures it."""

import os
import subprocess
import sys

import pytest
import typer

from bench.cpu import family
from bench.main import APART, ON_ONE_HOUSE, named
from bench.premises import House
from libs.embedded.child import wait_until


def test_those_asked_for_are_measured_in_the_order_their_house_needs() -> None:
    assert named(["ledger", "pressure", "house"]) == ["house", "pressure", "ledger"]
    assert {*ON_ONE_HOUSE, *APART} - {*named(None)} == {"growth", "soak", "processes"}


def test_a_suite_that_is_none_is_refused_with_those_there_are() -> None:
    with pytest.raises(typer.BadParameter, match="there is no ledgers; there are house, trades"):
        named(["house", "ledgers"])


def test_a_house_that_stands_back_does_so_with_all_it_started() -> None:
    a_child = "import subprocess, sys; subprocess.run([sys.executable, '-c', 'input()'])"
    with subprocess.Popen([sys.executable, "-c", a_child], stdin=subprocess.PIPE) as process:
        assert wait_until(lambda: len([*family(process.pid)]) == 2, seconds=30)
        House("", "", "", {}, {}, {}, {}, process.pid).stand_back(3)
        own = os.getpriority(os.PRIO_PROCESS, 0)
        behind = [os.getpriority(os.PRIO_PROCESS, pid) - own for pid in family(process.pid)]
        process.communicate(b"\n")
    assert behind == [min(3, 19 - own)] * 2
