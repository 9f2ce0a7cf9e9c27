"""Breaks and reconciliation from the command line."""

import json

from tests.cli.conftest import Run, SmallHouse
from tests.cli.small_reconciliation import BREAK_ID


async def test_breaks_are_a_table_and_json(run: Run) -> None:
    table = (await run("breaks")).stdout
    assert "ALTERED_AT_ORDER" in table
    assert "XSIM/XSIM-1-2" in table
    assert "2 h" in table
    found = json.loads((await run("breaks", "--json")).stdout)
    assert found["breaks"][0]["break_class"] == "BREAK_CLASS_ALTERED_AT_ORDER"


async def test_breaks_and_days_are_listed_to_their_end(house: SmallHouse, run: Run) -> None:
    house.reconciliation.pages = 3
    for command, what in (("breaks", "XSIM-1-2"), ("days", "2026-11-20")):
        shown = await run(command)
        assert (shown.stdout.count(what), shown.stderr) == (3, "")
        found = json.loads((await run(command, "--json")).stdout)
        assert (len(found[command]), found["next_page_token"]) == (3, "")


async def test_breaks_that_are_not_listed_are_told(house: SmallHouse, run: Run) -> None:
    house.reconciliation.pages = 3
    shown = await run("breaks", "--limit", "1")
    assert shown.stdout.count("XSIM-1-2") == 1
    assert "these are the newest 1: there are more" in shown.stderr
    house.reconciliation.pages = 1
    assert (await run("breaks", "--limit", "1")).stderr == ""


async def test_a_break_shows_what_each_source_says(run: Run) -> None:
    shown = (await run("breaks", "show", BREAK_ID)).stdout
    assert "$250,430.00" in shown
    assert "1,000" in shown


async def test_an_operator_explains_a_break(run: Run) -> None:
    said = await run("breaks", "explain", BREAK_ID, "--reason", "a slip", "--operator", "olivia")
    assert said.stdout.startswith("on record: ALTERED_AT_ORDER XSIM/XSIM-1-2, explained")
    assert "olivia: a slip" in (await run("breaks", "show", BREAK_ID)).stdout


async def test_a_break_there_is_not_is_refused_with_its_reason(run: Run) -> None:
    result = await run("breaks", "show", BREAK_ID.replace("1", "2"))
    assert result.exit_code == 3
    assert "BREAK_NOT_FOUND" in result.stderr


async def test_reconciliation_tells_how_far_each_source_is_read(
    house: SmallHouse, run: Run
) -> None:
    shown = (await run("reconciliation")).stdout
    assert "away: UNAVAILABLE" in shown
    assert "open breaks: 1 ALTERED_AT_ORDER; pending: 2" in shown
    assert "3 reports parked" in shown
    house.reconciliation.parked_reports = -1
    assert "at the gateway: it does not answer" in (await run("reconciliation")).stdout


async def test_sealed_days_are_a_table(run: Run) -> None:
    shown = (await run("days")).stdout
    assert "2026-11-20" in shown
    assert "1,010" in shown
