"""Orders in doubt and parked reports from the command line."""

import json

import pytest

from stockbroker.exchange_gateway.v1 import operators_pb2 as pb
from tests.cli.conftest import Run, SmallHouse

WHY = ("--evidence", "their letter", "--reason", "they wrote")


async def test_orders_in_doubt_are_told_with_their_age(run: Run) -> None:
    told = (await run("orders", "in-doubt")).stdout
    assert "t-2" in told
    assert "90 s" in told
    found = json.loads((await run("orders", "in-doubt", "--json")).stdout)
    assert found["orders"][0]["age_seconds"] == "90"


@pytest.mark.parametrize(
    ("outcome", "which", "kind"),
    [("not-known", "not_known", 0), ("canceled", "ended", 2), ("expired", "ended", 3)],
)
async def test_an_order_is_resolved_with_evidence(
    house: SmallHouse, run: Run, outcome: str, which: str, kind: int
) -> None:
    result = await run("orders", "resolve", "t-2", outcome, *WHY)
    assert result.stdout == f"t-2: {outcome}, by report 12\n"
    (asked,) = house.gateway.asked
    assert (asked.evidence, asked.reason_text) == ("their letter", "they wrote")
    assert (asked.WhichOneof("outcome"), asked.ended.kind) == (which, kind)


async def test_a_fill_is_written_with_its_terms(house: SmallHouse, run: Run) -> None:
    terms = ("--execution-id", "E1", "--quantity", "5", "--price-micros", "61250000")
    when = ("--executed-at", "2026-03-02 14:30:00")
    result = await run("orders", "resolve", "t-2", "filled", *WHY, *terms, *when, "--json")
    assert json.loads(result.stdout) == {"report_seq": "12"}
    filled = house.gateway.asked[0].filled
    assert (filled.execution_id, filled.quantity) == ("E1", 5)
    assert (filled.price_micros, filled.executed_at.seconds) == (61_250_000, 1_772_461_800)


async def test_an_outcome_nobody_knows_and_a_resolution_without_evidence_are_refused(
    house: SmallHouse, run: Run
) -> None:
    assert (await run("orders", "resolve", "t-2", "gone", *WHY)).exit_code == 2
    assert (await run("orders", "resolve", "t-2", "canceled", "--reason", "x")).exit_code == 2
    assert house.gateway.asked == []


async def test_a_parked_report_is_shown_retried_and_dismissed(run: Run) -> None:
    shown = (await run("reports", "parked")).stdout
    assert "FILLED 40 AAPL at" in shown
    assert "OVER_FILL" in shown
    retried = await run("reports", "retry", "7", "--reason", "mended")
    assert retried.stdout.startswith("report 7 | RETRIED | t-1 | alice | FILLED 40 AAPL")
    dismissed = await run("reports", "dismiss", "7", "--reason", "theirs", "--json")
    state = pb.ParkedReport.State.Name(pb.ParkedReport.STATE_DISMISSED)
    assert json.loads(dismissed.stdout)["state"] == state
    assert (await run("reports", "retry", "8", "--reason", "x")).exit_code == 3


@pytest.mark.parametrize(
    ("command", "items", "key", "expected"),
    [
        ("orders in-doubt", "orders", "trade_id", ["t-2", "t-3"]),
        ("orders breaks", "breaks", "id", ["4", "8"]),
        ("reports parked", "reports", "report_seq", ["7", "14"]),
    ],
)
async def test_what_waits_for_an_operator_is_told_to_the_last_page(
    run: Run, command: str, items: str, key: str, expected: list[str]
) -> None:
    found = json.loads((await run(*command.split(), "--json")).stdout)
    assert [each[key] for each in found[items]] == expected


async def test_what_operators_did_is_told_to_the_last_page(run: Run) -> None:
    found = json.loads((await run("orders", "actions", "--json")).stdout)
    assert [action["id"] for action in found["actions"]] == ["1", "2"]
    assert "report 7" in (await run("orders", "actions")).stdout


async def test_a_session_goes_on_from_the_numbers_an_operator_names(
    house: SmallHouse, run: Run
) -> None:
    numbers = ("--next-command", "4", "--next-report", "9")
    result = await run("orders", "reset-session", *numbers, *WHY)
    assert result.stdout == "goes on from command 4 and report 9\n"
    (asked,) = house.gateway.asked
    assert (asked.next_command_seq, asked.next_report_seq) == (4, 9)
    assert asked.evidence == "their letter"


async def test_breaks_are_shown_and_laid_aside(run: Run) -> None:
    assert "UNKNOWN_HERE" in (await run("orders", "breaks")).stdout
    dismissed = await run("orders", "dismiss-break", "4", "--reason", "a test order")
    assert dismissed.stdout == "break 4: laid aside\n"
    again = await run("orders", "dismiss-break", "5", "--reason", "x", "--json")
    assert json.loads(again.stdout) == {"dismissed": False}
