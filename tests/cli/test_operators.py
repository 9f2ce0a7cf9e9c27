"""Status, halts, tapes, market data and tokens from the command line."""

import json
from pathlib import Path

import pytest
from google.protobuf import json_format

from libs.auth import Role, Verifier
from stockbroker.exchange.v1 import exchange_service_pb2
from tests.cli.conftest import Run, SmallHouse
from tests.cli.small_neighbours import QUOTE


async def test_status_of_a_house_that_is_well_ends_with_0(run: Run) -> None:
    result = await run("status")
    assert result.exit_code == 0, result.output
    assert result.stdout.count("SERVING") == 2
    assert "leads partitions 0-2 5\n" in result.stdout
    assert "?" not in result.stdout


async def test_status_says_what_waits_for_an_operator_and_where_to_look(run: Run) -> None:
    await run("halt", "--firm", "--reason", "a drill")
    result = await run("status")
    assert result.exit_code == 0  # it works as it was told to
    _, waiting = result.stdout.split("an operator is needed for\n")
    told = [line.strip() for line in waiting.splitlines()]
    assert "halts in force: 1, see `stockbroker halts`" in told
    assert "trades parked: 2, see `stockbroker parked list`" in told
    for line in told:
        command = line.split("`stockbroker ")[1].removesuffix("`")
        assert (await run(*command.split())).exit_code == 0, command
    counts = json.loads((await run("status", "--json")).stdout)["needs_operator"]
    assert (counts["halts"], counts["parked_trades"], counts["parked_reports"]) == (1, 2, 3)


async def test_status_does_not_tell_a_part_of_many_trades_for_all(
    house: SmallHouse, run: Run
) -> None:
    house.execution.park(99)
    assert "trades parked: 99, see" in (await run("status")).stdout
    house.execution.park(250)
    assert "trades parked: 100 or more, see" in (await run("status")).stdout


async def test_status_says_that_a_rule_of_the_books_is_broken(house: SmallHouse, run: Run) -> None:
    assert "rules of the books" not in (await run("status")).stdout
    house.ledger.is_broken = True
    result = await run("status")
    assert result.exit_code == 0
    assert "rules of the books broken: 1, see `stockbroker invariants`" in result.stdout


async def test_status_tells_which_service_is_down_and_ends_with_4(
    house: SmallHouse, run: Run
) -> None:
    await house.public.set_ready(False)
    result = await run("status", "--json")
    assert result.exit_code == 4
    found = json.loads(result.stdout)
    assert {one["name"]: one["health"] for one in found["services"]} == {
        "order": "NOT_SERVING",
        "ledger": "SERVING",
    }
    assert found["parts"][0]["is_reachable"] is True
    assert found["session"]["parked_reports"] == "3"


async def test_status_tells_of_every_process_of_a_service_that_has_several(
    house: SmallHouse, run: Run
) -> None:
    order = house.public.address
    house.write_file(
        services={"order": order}, orders={"order": order, "order_2": "127.0.0.1:1"}, workers={}
    )
    result = await run("status", "--json")
    assert result.exit_code == 4
    found = {one["name"]: one["health"] for one in json.loads(result.stdout)["services"]}
    assert found == {"order": "SERVING", "order_2": "UNAVAILABLE"}


async def test_status_needs_no_more_than_a_door_and_a_token(
    house: SmallHouse, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    (house.folder / "house.json").unlink()
    monkeypatch.setenv("STOCKBROKER_OPERATORS_ADDRESS", house.operators.address)
    monkeypatch.setenv("STOCKBROKER_TOKEN", house.keys.operator())
    result = await run("status", "--json")
    assert result.exit_code == 0, result.output
    found = json.loads(result.stdout)
    assert len(found["services"]) == 6
    assert {one["health"] for one in found["services"]} == {"SERVING"}
    assert found["needs_operator"]["parked_trades"] == 2


async def test_status_without_the_operators_listener_still_tells_the_rest(
    house: SmallHouse, run: Run
) -> None:
    house.write_file(operators="127.0.0.1:1")
    result = await run("status", "--json")
    assert result.exit_code == 4
    found = json.loads(result.stdout)
    assert "does not answer" in found["worker"]["failure"]
    assert found["needs_operator"]["halts"] is None
    shown = (await run("status")).stdout
    assert shown.count("does not answer") == 1
    assert "`make up` starts the house; what waits" in shown
    assert "what waits for an operator is not known" in shown
    assert found["services"][0]["health"] == "SERVING"


async def test_status_says_what_stands_still_and_gives_no_advice_to_ask_for_itself(
    house: SmallHouse, run: Run
) -> None:
    house.gateway.goes_on.clear()
    shown = await run("status")
    assert shown.exit_code == 4
    assert f"listener at {house.operators.address}, or what is behind it, gives no" in shown.stdout
    assert "`make up`" not in shown.stdout
    assert "`stockbroker status`" not in shown.stdout


async def test_a_halt_is_placed_listed_and_ended(run: Run) -> None:
    halted = await run("halt", "--symbol", "AAPL", "--reason", "news")
    assert halted.stdout.startswith("halted: symbol AAPL | news | operator")
    assert "symbol AAPL" in (await run("halts")).stdout
    resumed = await run("resume", "--symbol", "AAPL", "--reason", "over", "--json")
    assert json.loads(resumed.stdout) == {"resumed": True}
    assert (await run("halts")).stdout == "nothing is halted\n"


async def test_a_halt_covers_exactly_one_thing(run: Run) -> None:
    for scope in ([], ["--firm", "--customer", "bob"]):
        assert (await run("halt", "--reason", "x", *scope)).exit_code == 2


async def test_the_record_of_halts_is_told_to_the_first(run: Run) -> None:
    assert "the whole house" in (await run("halts", "--history")).stdout
    told = json.loads((await run("halts", "--history", "--json")).stdout)
    assert [event["id"] for event in told["events"]] == list("7654321")


async def test_parked_trades_are_listed_released_and_rejected(run: Run) -> None:
    shown = await run("parked", "list")
    assert "REASON_INTERNAL" in shown.stdout
    assert "5 KO" in shown.stdout
    rejected = await run("parked", "reject", "t-1", "--reason", "it cannot be done")
    assert rejected.stdout == "rejected: t-1\n"
    again = await run("parked", "reject", "t-1", "--reason", "it cannot be done")
    assert again.exit_code == 3
    assert "TRADE_NOT_PARKED" in again.stderr
    released = await run("parked", "release", "--all", "--reason", "mended", "--json")
    assert json.loads(released.stdout) == {"released": ["t-2"]}
    assert (await run("parked", "list")).stdout == "no trade is parked\n"
    assert (await run("parked", "release", "--reason", "which?")).exit_code == 2


async def test_trades_in_doubt_are_listed_and_asked_for(run: Run) -> None:
    shown = (await run("in-doubt")).stdout
    assert "61 s" in shown
    assert "PENDING" in shown
    asked = json.loads((await run("in-doubt", "--query", "--json")).stdout)
    assert asked["trades"][0]["order"]["state"] == "ORDER_STATE_ACCEPTED"


async def test_quotes_are_shown_and_told_as_json(run: Run) -> None:
    shown = await run("market", "quotes", "AAPL")
    assert "18 at $585.33" in shown.stdout
    told = await run("market", "--json")
    listed = json_format.Parse(told.stdout, exchange_service_pb2.ListQuotesResponse())
    assert list(listed.quotes) == [QUOTE]
    unknown = await run("market", "quotes", "NONE")
    assert "UNKNOWN_SYMBOL" in unknown.stderr


async def test_a_book_stands_side_by_side(run: Run) -> None:
    result = await run("market", "book", "AAPL")
    first, second = [line.split() for line in result.stdout.splitlines()[-2:]]
    assert first == ["1", "18", "$585.33", "$585.94", "200", "2"]
    assert second == ["$585.94", "200", "2"]


async def test_the_hours_are_told(house: SmallHouse, run: Run) -> None:
    assert (await run("market", "hours")).stdout == "the exchange is always open\n"
    house.hours.is_always_open = False
    by_word = "the exchange is open until an operator closes it\n"
    assert (await run("market", "hours")).stdout == by_word
    house.hours.closes_at.FromJsonString("2026-11-27T18:00:00Z")
    by_hours = "the exchange is open until 2026-11-27 18:00:00 UTC\n"
    assert (await run("market", "hours")).stdout == by_hours


async def test_a_fill_is_busted_or_corrected(run: Run) -> None:
    busted = await run("fills", "bust", "XSIM-1-7", "--reason", "a clear error")
    assert busted.stdout == "busted: 10 AAPL at $12.50, order t1, by XSIM-1-9\n"
    words = ("fills", "correct", "XSIM-1-7", "--quantity", "4", "--price", "3", "--reason", "typo")
    corrected = await run(*words)
    assert corrected.stdout == "corrected: now 4 AAPL at $3.00, order t1, by XSIM-1-9\n"
    told = json.loads((await run(*words, "--json")).stdout)
    assert told["report"]["exec_ref_id"] == "XSIM-1-7"
    fewer = await run("fills", "correct", "XSIM-1-7", "--quantity", "4", "--reason", "typo")
    assert fewer.stdout == "corrected: now 4 AAPL at $12.50, order t1, by XSIM-1-9\n"


async def test_the_exchange_is_closed_and_opened(run: Run) -> None:
    assert (await run("market", "phase", "closed")).stdout == "the exchange is closed\n"
    assert (await run("market", "phase", "next-day")).stdout == "the exchange is open\n"
    told = await run("market", "phase", "by-hours", "--json")
    assert json.loads(told.stdout) == {"is_open": True}
    assert (await run("market", "phase", "tomorrow")).exit_code == 2


async def test_a_tape_is_loaded_and_played(house: SmallHouse, run: Run, tmp_path: Path) -> None:
    seed, commands = tmp_path / "seed.csv", tmp_path / "commands.csv"
    seed.write_text("order_id,side,price_e4,qty\nSB1,B,5853300,18\nSA1,S,5859400,200\n")
    commands.write_text(
        "t,cmd,order_id,side,price_e4,qty\n34200.5,NEW,7,B,5859400,50\n34201,DELETE,SB1,B,5853300,18\n"
    )
    result = await run(
        "tape", "AAPL", "--seed", str(seed), "--commands", str(commands), "--speed", "max"
    )
    assert result.exit_code == 0, result.output
    assert result.stdout == "2 orders rest in AAPL\n2 commands played, 0 missed, 0 shares traded\n"
    (loaded,), played = house.control.loaded, house.control.played
    assert [order.price_micros for order in loaded.orders] == [585_330_000, 585_940_000]
    assert (played[0].symbol, played[0].speed_millis) == ("AAPL", 0)


async def test_a_file_that_is_no_tape_is_refused_before_anything_is_played(
    house: SmallHouse, run: Run, tmp_path: Path
) -> None:
    path = tmp_path / "commands.csv"
    path.write_text("t,cmd,order_id,side,price_e4,qty\n1,NEW,7,B,1,5\n2,NEW,7,X,1,5\n")
    result = await run("tape", "AAPL", "--commands", str(path))
    assert (result.exit_code, house.control.played) == (2, [])
    assert "commands.csv line 3: side 'X' is neither B nor S" in result.stderr


async def test_a_minted_token_verifies_as_who_was_asked_for(house: SmallHouse, run: Run) -> None:
    verifier = Verifier(house.keys.jwks_file)
    customer = verifier.verify((await run("token", "bob")).stdout.strip())
    operator = json.loads((await run("token", "--operator", "olivia", "--json")).stdout)
    assert (customer.subject, customer.role) == ("bob", Role.CUSTOMER)
    principal = verifier.verify(operator["token"])
    assert (principal.subject, principal.role) == ("olivia", Role.OPERATOR)
    back_end = json.loads((await run("token", "--back-end", "firm", "--json")).stdout)
    principal = verifier.verify(back_end["token"])
    assert (principal.subject, principal.role) == ("firm", Role.BACK_END)
    both = await run("token", "bob", "--back-end", "firm")
    assert (both.exit_code, both.stdout) == (2, "")


async def test_a_token_for_an_impossible_customer_is_refused(run: Run) -> None:
    result = await run("token", "no such customer")
    assert (result.exit_code, result.stdout) == (2, "")
