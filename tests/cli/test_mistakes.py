"""What is typed wrong is told in a person's words, and nothing is asked of the house."""

import re

import pytest

from services.cli.failures import ExitCode
from services.cli.settings import Settings
from services.cli.tokens import make_token
from tests.cli.conftest import Run, SmallHouse


@pytest.mark.parametrize(
    ("typed", "told"),
    [
        ("place AAPL buy -5", "-5 is below zero"),
        ("place AAPL buy 5 --limit 0", "a price is more than zero"),
        ("place AAPL buy 5 --stop 0", "a price is more than zero"),
        ("preview AAPL buy 5 --limit 0", "a price is more than zero"),
        ("place AAPL hold 5", "'hold' is not one of 'buy', 'sell'"),
        ("replace 0193", "give --quantity, --limit or --stop"),
        ("replace 0193 --quantity 0", "none is no quantity"),
        ("replace 0193 --quantity 5 --limit 0", "a price is more than zero"),
        ("portfolio --as-of yesterday", "'yesterday' is not a time: write it like 2026-11-20 or"),
        ("market calendar --from today", "'today' is not a time: write it like 2026-11-20\n"),
        ("exchange day 2026-11-25 --opens 25:00 --closes 18:00", "write it like 14:30"),
        ("deposit dave -5", "-5 is below zero"),
        (f"watch --after-seq {2**63}", "less than or equal to 9223372036854775807"),
        (f"journal --after-seq {2**63}", "less than or equal to 9223372036854775807"),
        (f"journal --limit {2**63}", "less than or equal to 9223372036854775807"),
        (f"ledger export x --after {2**63}", "less than or equal to 9223372036854775807"),
        (f"reports retry {2**63} --reason x", "less than or equal to 9223372036854775807"),
        (f"orders dismiss-break {2**63} --reason x", "less than or equal to 92233720368547758"),
        (f"orders resolve t filled --quantity {2**63}", "less than or equal to 92233720368547758"),
        (f"orders resolve t filled --price-micros {2**63}", "less than or equal to 9223372036854"),
        (f"orders reset-session --next-command {2**63}", "less than or equal to 922337203685477"),
        (f"orders reset-session --next-report {2**63}", "less than or equal to 9223372036854775"),
        (f"fills correct x --quantity {2**63} --reason x", "less than or equal to 9223372036854"),
        (f"exchange scripts put fill --parts {2**31}", "less than or equal to 2147483647"),
        (f"exchange scripts put fill --delay-ms {2**31}", "less than or equal to 2147483647"),
        (f"exchange scripts put fill --step-ms {2**31}", "less than or equal to 2147483647"),
        ("exchange clock rate inf", "less than or equal to 1000000000"),
        ("exchange clock next-open --rate 1e300", "less than or equal to 1000000000"),
        (f"controls set customer-rate 5 --seconds {2**31}", "less than or equal to 2147483647"),
        ("place AAPL buy 5 --timeout 99999999999", "less than or equal to 31622400"),
        ("place AAPL\udcff buy 5", "'AAPL\\udcff' cannot be written as utf-8"),
    ],
)
async def test_a_mistake_is_told_in_plain_words(
    house: SmallHouse, run: Run, typed: str, told: str
) -> None:
    result = await run(*typed.split())
    assert result.exit_code == ExitCode.USAGE
    assert told in result.stderr
    assert "Value error" not in result.stderr
    assert house.orders.asked == []


async def test_an_empty_name_is_nobody(house: SmallHouse, run: Run) -> None:
    result = await run("place", "AAPL", "buy", "5", "--as", "")
    assert result.exit_code == ExitCode.USAGE
    assert "'' cannot be who calls" in result.stderr
    assert house.orders.asked == []


@pytest.mark.parametrize("typed", [("",), ("--operator", ""), ("--back-end", "")])
async def test_no_token_is_made_for_an_empty_name(run: Run, typed: tuple[str, ...]) -> None:
    result = await run("token", *typed)
    assert (result.exit_code, result.stdout) == (ExitCode.USAGE, "")
    assert "'' cannot be who calls" in result.stderr


async def test_a_symbol_that_is_not_traded_is_halted_or_limited_with_a_warning(run: Run) -> None:
    halt = ("halt", "--reason", "a drill", "--symbol")
    limit = ("controls", "set", "max-quantity", "5", "--reason", "a drill", "--symbol")
    for command in (halt, limit):
        assert (await run(*command, "AAPL")).stderr == ""
        typo = await run(*command, "APPL")
        assert typo.exit_code == 0
        assert "the exchange does not trade APPL; if that was mistyped" in typo.stderr


async def test_a_token_of_another_than_is_named_is_not_used(
    house: SmallHouse, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    chosen = Settings(data_folder=str(house.folder))
    monkeypatch.setenv("STOCKBROKER_TOKEN", make_token(chosen, "alice", "customer", 60))
    refused = await run("place", "AAPL", "buy", "5", "--as", "bob")
    assert refused.exit_code == ExitCode.USAGE
    assert "the token in STOCKBROKER_TOKEN is that of alice" in refused.stderr
    assert house.orders.asked == []
    assert (await run("trades", "--as", "alice")).exit_code == 0

    monkeypatch.setenv("STOCKBROKER_TOKEN", make_token(chosen, "olivia", "operator", 60))
    assert (await run("halts", "--operator", "oscar")).exit_code == ExitCode.USAGE
    assert (await run("halts")).exit_code == 0


@pytest.mark.parametrize("token", ["two\nlines", "tökén", "\udcff"])
async def test_what_cannot_be_a_token_is_a_wrong_setting(
    run: Run, monkeypatch: pytest.MonkeyPatch, token: str
) -> None:
    monkeypatch.setenv("STOCKBROKER_TOKEN", token)
    result = await run("trades")
    assert (result.exit_code, result.stdout) == (ExitCode.USAGE, "")
    assert "setting STOCKBROKER_TOKEN: " in result.stderr


@pytest.mark.parametrize("address", ["there", "there:", ":7400", "there:http"])
async def test_what_is_no_address_is_a_wrong_setting(
    run: Run, monkeypatch: pytest.MonkeyPatch, address: str
) -> None:
    monkeypatch.setenv("STOCKBROKER_PUBLIC_ADDRESS", address)
    result = await run("trades")
    assert (result.exit_code, result.stdout) == (ExitCode.USAGE, "")
    assert "an address is host:port" in result.stderr


async def test_who_stops_waiting_is_told_that_the_trade_goes_on(run: Run) -> None:
    result = await run("place", "SLOW", "buy", "5", "--as", "bob", "--timeout", "1")
    assert result.exit_code == ExitCode.STILL_OPEN
    found = re.search(r"`stockbroker (trade \S+ --as bob)` shows its story", result.stderr)
    assert found is not None
    assert (await run(*found[1].split())).exit_code == 0  # as it stands there
