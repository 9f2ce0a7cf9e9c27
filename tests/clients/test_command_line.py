"""The command line against a running house, as a person uses it."""

import json
import uuid
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from services.cli.failures import ExitCode
from services.cli.main import app
from tests.support.house import House

pytestmark = pytest.mark.xdist_group("house")


def _run(house: House, *arguments: str) -> Result:
    # In this process: starting one anew for each command would take longer than all they do.
    return CliRunner().invoke(app, arguments, env=house.environment(), catch_exceptions=False)


def _told(house: House, *arguments: str) -> Any:
    """The JSON of a command that must succeed."""
    result = _run(house, *arguments, "--json")
    assert result.exit_code == 0, result.stderr
    return json.loads(result.stdout)


def _customer() -> str:
    return f"cli{uuid.uuid4().hex[:12]}"


def test_a_customer_is_endowed_trades_and_finds_the_books_right(house: House) -> None:
    customer = _customer()
    _told(house, "deposit", customer, "$10,000.50")
    _told(house, "deposit-shares", customer, "KO", "20", "--cost", "1,200")
    bought = _run(house, "place", "KO", "buy", "10", "--as", customer)
    assert bought.exit_code == 0, bought.stderr
    assert bought.stdout.splitlines()[-1].startswith("FILLED BUY 10 KO: 10 at $")
    assert _run(house, "place", "KO", "sell", "5", "--as", customer).exit_code == 0
    sold, paid = _told(house, "trades", "--as", customer)["trades"]
    owned = _told(house, "portfolio", "--as", customer)
    assert int(owned["cash"]["total_micros"]) == 10_000_500_000 - int(
        paid["filled_notional_micros"]
    ) + int(sold["filled_notional_micros"])
    assert owned["positions"][0]["quantity"] == "25"
    kinds = {one["kind"] for one in _told(house, "entries", "--as", customer)["entries"]}
    assert {"deposit", "hold", "execution"} <= kinds
    story = _told(house, "trade", paid["trade_id"], "--as", customer)["events"]
    assert [one["kind"].rpartition("_")[2] for one in story][:2] == ["PLACED", "STARTED"]
    canceled = _run(house, "cancel", paid["trade_id"], "--as", customer)
    assert (canceled.exit_code, canceled.stdout) == (ExitCode.REFUSED, "")
    assert "refused (NOT_IMPLEMENTED)" in canceled.stderr


def test_a_trade_that_cannot_be_paid_ends_with_its_reason(house: House) -> None:
    result = _run(house, "place", "KO", "buy", "10", "--as", _customer())
    assert result.exit_code == ExitCode.UNFILLED
    assert "INSUFFICIENT_FUNDS" in result.stdout


def test_what_the_house_refuses_is_one_sentence(house: House) -> None:
    customer = _customer()
    for arguments, reason in (
        (("place", "ko", "buy", "10"), "INVALID_SYMBOL"),
        (("place", "KO", "buy", "0"), "INVALID_QUANTITY"),
        (("trade", str(uuid.uuid4())), "TRADE_NOT_FOUND"),
        (("cancel", str(uuid.uuid4())), "TRADE_NOT_FOUND"),
        (("market", "book", "NONE"), "UNKNOWN_SYMBOL"),
    ):
        result = _run(house, *arguments, "--as", customer)
        assert (result.exit_code, result.stdout) == (ExitCode.REFUSED, "")
        assert f"({reason})" in result.stderr
        assert len(result.stderr.splitlines()) == 1


def test_the_market_is_shown(house: House) -> None:
    quotes = _told(house, "market")["quotes"]
    assert "KO" in {quote["symbol"] for quote in quotes}
    assert _told(house, "market", "book", "KO")["asks"]
    assert "the exchange is" in _run(house, "market", "hours").stdout


def test_status_finds_everything_well(house: House) -> None:
    result = _run(house, "status", "--json")
    assert result.exit_code == 0, result.stdout
    found = json.loads(result.stdout)
    assert {one["health"] for one in found["services"]} == {"SERVING"}
    assert found["session"]["is_connected"] is True
    assert found["worker"]["leads"]


def test_a_halted_customers_trade_waits_until_the_halt_ends(house: House) -> None:
    customer = _customer()
    _told(house, "deposit", customer, "10000")
    _told(house, "halt", "--customer", customer, "--reason", "a look at it")
    assert customer in _run(house, "halts").stdout
    order = ("place", "KO", "buy", "1", "--as", customer, "--client-order-id", "mine")
    waiting = _run(house, *order, "--timeout", "2")
    assert waiting.exit_code == ExitCode.STILL_OPEN, waiting.stdout
    assert "still PLACED" in waiting.stderr
    _told(house, "resume", "--customer", customer, "--reason", "all is well")
    assert _run(house, *order).exit_code == 0


def test_a_tape_makes_the_book_that_trades_fill_against(house: House, tmp_path: Path) -> None:
    customer, symbol = _customer(), "XOM"
    _told(house, "deposit", customer, "10000")
    seed, commands = tmp_path / "seed.csv", tmp_path / "commands.csv"
    seed.write_text("order_id,side,price_e4,qty\nS1,S,1100000,2\nB1,B,1090000,2\n")
    commands.write_text("t,cmd,order_id,side,price_e4,qty\n34200.0,NEW,S2,S,1100001,3\n")
    played = _run(
        *(house, "tape", symbol, "--seed", str(seed), "--commands", str(commands)),
        *("--speed", "max"),
    )
    assert played.stdout == "2 orders rest in XOM\n1 commands played, 0 missed, 0 shares traded\n"
    placed = _run(house, "place", symbol, "buy", "3", "--as", customer)
    assert "2 at $110.00 on XSIM" in placed.stdout
    assert "1 at $110.0001 on XSIM" in placed.stdout
