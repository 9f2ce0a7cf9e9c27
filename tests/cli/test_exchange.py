"""What operators tell the simulated exchange by the command line."""

import json

import pytest
from google.protobuf import json_format

from services.cli.failures import ExitCode
from stockbroker.exchange.v1 import calendar_pb2, clock_pb2, exchange_pb2
from stockbroker.exchange.v1 import scripts_pb2 as pb
from tests.cli.conftest import Run, SmallHouse

REJECT = pb.OrderScript(
    quantity="*13",
    outcome=pb.OrderScript.OUTCOME_REJECT,
    reject_reason=exchange_pb2.REJECT_REASON_HALTED,
    reason_text="no luck",
    delay_ms=250,
)


async def test_a_script_is_put_before_the_others_and_shown(house: SmallHouse, run: Run) -> None:
    shown = await run("exchange", "scripts")
    assert "TEST.FILL" in shown.stdout
    assert shown.stdout.endswith("the table the exchange comes with\n")

    put = ["put", "reject", "--quantity", "*13", "--reason", "halted", "--text", "no luck"]
    shown = await run("exchange", "scripts", *put, "--delay-ms", "250")

    assert "REJECT, HALTED: no luck" in shown.stdout
    assert "250 ms" in shown.stdout
    assert shown.stdout.endswith("set by an operator\n")
    assert [s.quantity for s in house.control.scripts.scripts] == ["*13", ""]
    assert house.control.scripts.scripts[0] == REJECT


async def test_a_script_takes_the_place_of_one_with_its_patterns(
    house: SmallHouse, run: Run
) -> None:
    put = ["put", "partial-fills", "--parts", "3", "--step-ms", "10", "--symbol", "TEST.FILL"]
    told = await run("exchange", "scripts", *put, "--json")
    table = json_format.Parse(told.stdout, pb.ListScriptsResponse())
    assert [(s.symbol, s.parts, s.step_ms) for s in table.scripts] == [("TEST.FILL", 3, 10)]
    assert house.control.scripts == table


async def test_scripts_are_removed_and_reset(house: SmallHouse, run: Run) -> None:
    removed = await run("exchange", "scripts", "remove", "--symbol", "TEST.FILL")
    assert removed.stdout.startswith("no order goes by script\n")
    again = await run("exchange", "scripts", "remove", "--symbol", "TEST.FILL")
    assert again.exit_code == ExitCode.USAGE
    assert "no script has these patterns" in again.stderr
    told = await run("exchange", "scripts", "reset", "--json")
    assert json.loads(told.stdout)["is_default"] is True
    assert house.control.scripts.is_default


async def test_the_time_at_the_exchange_is_told(run: Run) -> None:
    assert (await run("exchange", "clock")).stdout.splitlines() == [
        "at the exchange it is 2026-11-27 15:00:00 UTC, the real time",
        "it is open",
        "this session of the calendar: 2026-11-27 14:30:00 to 2026-11-27 18:00:00 UTC",
    ]
    assert json.loads((await run("exchange", "clock", "--json")).stdout)["is_real"] is True


@pytest.mark.parametrize(
    ("words", "asked"),
    [
        (["set", "2026-11-27T14:30:00"], {"at": "2026-11-27T14:30:00Z"}),
        (["set", "2026-11-27 14:30:00"], {"at": "2026-11-27T14:30:00Z"}),
        (["set", "2026-11-27", "--rate", "60"], {"at": "2026-11-27T00:00:00Z", "rate": 60_000}),
        (["advance", "6h"], {"advance_seconds": 21_600}),
        (["advance", "-2d"], {"advance_seconds": -172_800}),
        (["next-open"], {"next_open": True}),
        (["next-close", "--rate", "0"], {"next_close": True, "rate": 0}),
        (["rate", "0.5"], {"rate": 500}),
        (["real"], {"real": True}),
    ],
)
async def test_the_clock_of_the_exchange_is_set(
    house: SmallHouse, run: Run, words: list[str], asked: dict[str, object]
) -> None:
    wanted = {"rate_millis" if key == "rate" else key: value for key, value in asked.items()}

    result = await run("exchange", "clock", *words)

    assert result.exit_code == 0, result.stderr
    assert house.control.clocks == [json_format.ParseDict(wanted, clock_pb2.SetClockRequest())]


async def test_a_span_that_is_none_is_refused(run: Run) -> None:
    assert (await run("exchange", "clock", "advance", "tomorrow")).exit_code == ExitCode.USAGE


async def test_the_calendar_is_told(run: Run) -> None:
    shown = await run("market", "calendar", "--from", "2026-11-26", "--days", "1")
    assert shown.stdout.split()[-6:] == ["2026-11-27", "Fri", "14:30", "18:00", "half", "day"]


@pytest.mark.parametrize(
    ("words", "asked"),
    [
        (["--closed", "--reason", "snow"], {"is_closed": True, "reason_text": "snow"}),
        (["--usual"], {"is_usual": True}),
        (
            ["--opens", "14:30", "--closes", "16:00"],
            {"open": {"opens_at": "2026-11-25T14:30:00Z", "closes_at": "2026-11-25T16:00:00Z"}},
        ),
    ],
)
async def test_a_date_gets_other_hours(
    house: SmallHouse, run: Run, words: list[str], asked: dict[str, object]
) -> None:
    result = await run("exchange", "day", "2026-11-25", *words)
    assert result.exit_code == 0, result.stderr
    wanted = {"date": "2026-11-25", **asked}
    assert house.control.days == [
        json_format.ParseDict(wanted, calendar_pb2.SetTradingDayRequest())
    ]
    told = "no trading on 2026-11-25" if "--usual" in words else "closed, set by an operator: snow"
    assert told in result.stdout


async def test_a_date_gets_one_kind_of_hours(run: Run) -> None:
    for words in ([], ["--opens", "14:30"], ["--closed", "--usual"]):
        result = await run("exchange", "day", "2026-11-25", *words)
        assert result.exit_code == ExitCode.USAGE


async def test_quotes_tell_a_halt_and_its_end(house: SmallHouse, run: Run) -> None:
    house.quote.is_halted = True
    assert (await run("market", "quotes")).stdout.rstrip().endswith(", halted")
    house.quote.halted_until.FromJsonString("2026-11-27T15:00:10Z")
    assert "halted until 15:00:10" in (await run("market", "quotes")).stdout


async def test_a_symbol_is_halted_and_resumed(house: SmallHouse, run: Run) -> None:
    halted = await run("exchange", "halt", "AAPL")
    assert halted.stdout == "AAPL is halted at the exchange\n"
    assert (await run("market", "quotes")).stdout.rstrip().endswith(", halted")
    assert "HALTED there: AAPL\n" in (await run("status")).stdout
    told = json.loads((await run("status", "--json")).stdout)
    assert told["market"]["halted_symbols"] == ["AAPL"]

    resumed = await run("exchange", "resume", "AAPL", "--json")
    assert json.loads(resumed.stdout)["is_halted"] is False
    assert not house.quote.is_halted
    assert "HALTED" not in (await run("status")).stdout


async def test_a_halt_that_goes_on_after_a_resume_says_until_when(
    house: SmallHouse, run: Run
) -> None:
    house.quote.halted_until.FromJsonString("2026-11-27T15:00:10Z")
    resumed = await run("exchange", "resume", "AAPL")
    assert resumed.stdout == "AAPL is halted until 15:00:10.000 at the exchange\n"


@pytest.mark.parametrize("verb", ["halt", "resume"])
async def test_a_symbol_that_is_not_listed_is_neither_halted_nor_resumed(
    run: Run, verb: str
) -> None:
    refused = await run("exchange", verb, "aapl")
    assert refused.exit_code == ExitCode.REFUSED
    assert "refused (UNKNOWN_SYMBOL)" in refused.stderr
    assert "`stockbroker market` lists the symbols" in refused.stderr
