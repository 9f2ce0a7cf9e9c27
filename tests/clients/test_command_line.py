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
    assert "refused (TOO_LATE_TO_CANCEL)" in canceled.stderr


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


def _is_refused(house: House, reason: str, *arguments: str) -> None:
    result = _run(house, *arguments)
    assert result.exit_code == ExitCode.REFUSED, result.output
    assert f"refused ({reason})" in result.stderr


def test_operators_run_the_books_and_two_of_them_undo_a_deposit(house: House) -> None:
    customer = _customer()
    account, olivia, oscar = f"customer/{customer}", "--operator=olivia", "--operator=oscar"
    deposit = _told(house, "deposit", customer, "100", olivia)["deposit_id"]
    withdrawn = _told(house, "withdraw", customer, "30", olivia)
    assert withdrawn["balance"]["posted"] == "70000000"
    again = ("withdraw", customer, "30", "--id", withdrawn["withdrawal_id"], olivia)
    assert _told(house, *again) == withdrawn
    _is_refused(house, "INSUFFICIENT_FUNDS", "withdraw", customer, "70.000001")

    frozen = _told(house, "freeze", customer, "--reason", "a court order", olivia)["freeze_id"]
    assert _told(house, "balance", customer, "USD")["state"] == "frozen"
    _is_refused(house, "ACCOUNT_NOT_OPEN", "withdraw", customer, "1")
    _is_refused(house, "ACCOUNT_NOT_OPEN", "deposit", customer, "1")
    _told(house, "unfreeze", customer, "--reason", "lifted", oscar)
    _told(house, "deposit", customer, "30", olivia)

    asked = _told(house, "reversals", "request", deposit, "--reason", "in error", olivia)
    waiting = _told(house, "reversals", "list")["requests"]
    assert [r["transfer_id"] for r in waiting if r["request_id"] == asked["request_id"]] == [
        deposit
    ]
    approve = ("reversals", "approve", asked["request_id"], "--reason", "seen")
    _is_refused(house, "SAME_OPERATOR", *approve, olivia)
    reversal = _told(house, *approve, oscar)["transfer_id"]
    assert asked["request_id"] not in _run(house, "reversals", "list").stdout
    assert _told(house, "balance", account, "USD")["balance"]["posted"] == "0"

    found = _told(house, "transfers", "show", deposit, frozen, reversal)["transfers"]
    assert [(one["transfer"]["kind"], one["transfer"]["actor"]) for one in found] == [
        ("deposit", "olivia"),
        ("freeze", "olivia"),
        ("reversal", "oscar"),
    ]
    assert found[2]["transfer"]["reverses"] == deposit
    after = str(int(found[1]["transfer"]["seq"]) - 1)
    assert frozen in _run(house, "journal", "--after-seq", after, "--limit", "1").stdout
    as_known = ("--known-at", found[1]["transfer"]["recorded_at"])
    then = _told(house, "balance", account, "USD", *as_known)["balance"]
    assert then["posted"] == "70000000"
    owned = _told(house, "portfolio", "--as", customer, *as_known)
    assert owned["cash"]["total_micros"] == "70000000"

    _told(house, "close", customer, "--reason", "has left", oscar)
    _is_refused(house, "ACCOUNT_NOT_OPEN", "unfreeze", customer, "--reason", "back")
    look = _told(house, "invariants", "--full")
    assert [one["id"] for one in look["invariants"]] == [f"I{number}" for number in range(1, 9)]
    assert all(one["holds"] for one in look["invariants"])
