"""Placing and watching trades from the command line."""

import json
import re

import pytest
from google.protobuf import json_format

from services.cli import screen
from services.cli.screen import column_widths
from stockbroker.order.v1 import order_pb2
from stockbroker.order.v1 import order_service_pb2 as pb
from tests.cli.conftest import Run, SmallHouse


async def test_a_placed_trade_is_told_event_by_event_to_its_end(run: Run) -> None:
    result = await run("place", "AAPL", "buy", "300")
    assert result.exit_code == 0, result.output
    placed, *events, outcome = result.stdout.splitlines()
    assert re.fullmatch(r"trade [0-9a-f-]{36}: BUY 300 AAPL for alice", placed)
    kinds = [line.split()[2] for line in events]
    assert kinds == ["PLACED", "STARTED", "EXECUTED", "EXECUTED"]
    assert "18 at $585.91 on XSIM  -> PARTIALLY_FILLED 18 of 300" in events[2]
    notional = "$175,781.4882"  # 18 x 585.91 + 282 x 585.9401
    assert outcome.startswith(f"FILLED BUY 300 AAPL: 300 at $585.938294 average, {notional} in all")
    assert re.search(r", after \d+\.\d{3} s$", outcome)


async def test_json_of_a_placed_trade_is_the_contracts_own(run: Run) -> None:
    result = await run("place", "AAPL", "SELL", "300", "--as", "bob", "--json")
    assert result.exit_code == 0, result.output
    first, *rest = [json.loads(line) for line in result.stdout.splitlines()]
    placed = json_format.ParseDict(first, pb.PlaceTradeResponse()).trade
    events = [json_format.ParseDict(one, order_pb2.TradeEvent()) for one in rest]
    assert placed.customer_id == "bob"
    assert [event.seq for event in events] == [1, 2, 3, 4]
    assert events[-1].trade.status == order_pb2.TRADE_STATUS_FILLED
    assert first["trade"]["filled_notional_micros"] == "0"  # also when zero


async def test_a_trade_that_is_not_filled_ends_with_5_and_its_reason(run: Run) -> None:
    result = await run("place", "DEAD", "buy", "1")
    assert result.exit_code == 5
    assert "REJECTED BUY 1 DEAD (EXCHANGE_REJECTED: no?[2J thanks)" in result.stdout


async def test_words_of_others_cannot_steer_the_terminal(run: Run) -> None:
    for arguments in (("place", "DEAD", "buy", "1"), ("trades",), ("watch", "--help")):
        assert "\x1b" not in (await run(*arguments)).output


async def test_a_trade_may_be_placed_without_waiting(run: Run) -> None:
    result = await run("place", "SLOW", "buy", "1", "--no-wait")
    assert (result.exit_code, len(result.stdout.splitlines())) == (0, 1)


async def test_a_trade_that_stays_open_ends_the_wait_with_6(run: Run) -> None:
    result = await run("place", "SLOW", "buy", "1", "--timeout", "1")
    assert result.exit_code == 6
    assert "is still IN_PROGRESS" in result.stderr


async def test_a_client_order_id_with_other_terms_is_refused(run: Run) -> None:
    await run("place", "AAPL", "buy", "300", "--client-order-id", "mine")
    again = await run("place", "AAPL", "buy", "300", "--client-order-id", "mine")
    other = await run("place", "AAPL", "buy", "301", "--client-order-id", "mine")
    assert (again.exit_code, other.exit_code) == (0, 3)
    assert other.stderr == (
        "stockbroker: refused (CLIENT_ORDER_ID_REUSED): other terms; "
        "choose another --client-order-id\n"
    )


async def test_a_call_that_failed_is_repeated_under_the_same_id(
    house: SmallHouse, run: Run
) -> None:
    house.orders.unavailable_calls = 2
    result = await run("place", "AAPL", "buy", "1,000", "--no-wait")
    assert result.exit_code == 0, result.output
    assert len(house.orders.asked) == 3
    assert len({request.client_order_id for request in house.orders.asked}) == 1
    assert house.orders.asked[0].client_order_id
    assert len(house.orders.trades["alice"]) == 1


async def test_a_wait_goes_on_over_a_cut_off_stream_without_gap_or_repeat(
    house: SmallHouse, run: Run
) -> None:
    house.orders.cut_off_after = [1, 2]
    result = await run("place", "AAPL", "buy", "300", "--json")
    assert result.exit_code == 0, result.output
    _, *events = [json.loads(line) for line in result.stdout.splitlines()]
    assert [event["seq"] for event in events] == ["1", "2", "3", "4"]
    assert result.stderr.count("going on after event") == 2


async def test_a_wait_that_is_over_does_not_say_that_it_was_cut_off(
    house: SmallHouse, run: Run
) -> None:
    house.orders.hangs_up = True
    result = await run("place", "SLOW", "buy", "10", "--timeout", "1")
    assert result.exit_code == 6, result.output
    assert "cut off" not in result.stderr
    assert result.stderr.startswith("stockbroker: trade ")


async def test_a_refused_cancel_is_one_sentence(run: Run) -> None:
    result = await run("cancel", "0193")
    assert (result.exit_code, result.stdout) == (3, "")
    assert result.stderr == (
        "stockbroker: refused (NOT_IMPLEMENTED): trades cannot be canceled; "
        "this version does not offer it\n"
    )


async def test_a_trade_is_replaced_and_what_is_not_given_stays(run: Run) -> None:
    await run("place", "SLOW", "buy", "10", "--limit", "20", "--no-wait")
    (placed,) = json.loads((await run("trades", "--json")).stdout)["trades"]

    result = await run("replace", placed["trade_id"], "--quantity", "1,200", "--json")

    trade = json.loads(result.stdout)["trade"]
    assert (trade["quantity"], trade["limit_price_micros"]) == ("1200", "20000000")
    shown = await run("replace", placed["trade_id"], "--limit", "19.5")
    assert "1,200" in shown.stdout
    assert placed["trade_id"] in shown.stdout


async def test_all_trades_are_canceled_or_those_in_a_symbol(run: Run) -> None:
    for _ in range(2):
        await run("place", "SLOW", "buy", "10", "--no-wait")
    result = await run("cancel", "--all")
    assert result.stdout == "canceled 2, asked the exchange to cancel 1\n"
    result = await run("cancel", "--all", "--symbol", "NONE", "--json")
    assert json.loads(result.stdout)["canceled"] == 0
    for wrong in (["cancel"], ["cancel", "0193", "--all"], ["cancel", "0193", "--symbol", "KO"]):
        assert (await run(*wrong)).exit_code == 2


async def test_trades_are_listed_over_pages_up_to_the_limit(run: Run) -> None:
    for quantity in range(1, 9):
        await run("place", "SLOW", "buy", str(quantity), "--no-wait")
    result = await run("trades", "--limit", "7", "--json")
    listed = json_format.Parse(result.stdout, pb.ListTradesResponse())
    assert [trade.quantity for trade in listed.trades] == [8, 7, 6, 5, 4, 3, 2]
    assert "these are the newest 7: there are more" in result.stderr
    assert (await run("trades", "--limit", "8")).stderr == ""
    shown = await run("trades", "--symbol", "NONE")
    assert shown.stdout == "no trades\n"


async def test_the_table_of_trades_tells_ids_whole(house: SmallHouse, run: Run) -> None:
    await run("place", "AAPL", "buy", "300", "--no-wait")
    result = await run("trades")
    trade = house.orders.trades["alice"][0]
    assert trade.trade_id in result.stdout
    assert "BUY 300 AAPL" in result.stdout


async def test_a_narrow_terminal_breaks_no_id(
    house: SmallHouse, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    await run("place", "AAPL", "buy", "300", "--no-wait")
    for width in (120, 100, 80, 40):
        monkeypatch.setattr(screen, "_PIPE_WIDTH", width)
        assert house.orders.trades["alice"][0].trade_id in (await run("trades")).stdout


def test_no_column_is_narrower_than_its_longest_word_and_all_fit() -> None:
    columns = [["trade", "0193-7000"], ["why", "the exchange is closed", "a b c"]]
    assert column_widths(columns, 100) == [9, 22]
    assert column_widths(columns, 17) == [9, 8]
    assert column_widths(columns, 16) is None


async def test_the_story_of_one_trade_is_told_whole(house: SmallHouse, run: Run) -> None:
    await run("place", "AAPL", "buy", "300", "--no-wait")
    trade_id = house.orders.trades["alice"][0].trade_id
    result = await run("trade", trade_id)
    assert [line.split()[2] for line in result.stdout.splitlines()[:-1]] == [
        "PLACED",
        "STARTED",
        "EXECUTED",
        "EXECUTED",
    ]
    assert (await run("trade", trade_id, "--as", "eve")).exit_code == 3


async def test_a_limit_and_how_long_it_may_wait_are_passed_on(run: Run) -> None:
    result = await run(
        "place", "SLOW", "sell", "7", "--limit", "$250.42", "--tif", "fok", "--no-wait"
    )
    assert result.exit_code == 0, result.output
    assert "SELL 7 SLOW at $250.42 FOK for alice" in result.stdout
    result = await run("place", "SLOW", "sell", "7", "--stop", "240", "--tif", "gtc", "--no-wait")
    assert "SELL 7 SLOW stop $240.00 GTC for alice" in result.stdout
    result = await run("place", "SLOW", "buy", "7", "--stop", "240", "--limit", "241", "--no-wait")
    assert "BUY 7 SLOW stop $240.00 at $241.00 DAY for alice" in result.stdout
