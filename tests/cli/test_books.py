"""Portfolio, entries, deposits: amounts go in and come out exactly."""

import uuid

from google.protobuf import json_format

from stockbroker.ledger.v1 import ledger_service_pb2 as ledger
from stockbroker.ledger.v1 import portfolio_service_pb2 as pb
from tests.cli.conftest import Run, SmallHouse
from tests.cli.small_neighbours import ENTRIES, OWNED


async def test_a_portfolio_is_shown_to_the_micro(run: Run) -> None:
    result = await run("portfolio")
    assert result.exit_code == 0, result.output
    cash, shares = [line.split() for line in result.stdout.splitlines()[-2:]]
    assert cash == ["USD", "$2.000001", "$0.000001", "$2.00"]
    assert shares == ["AAPL", "1,300", "1,000", "300", "$761,805.000001"]


async def test_json_of_a_portfolio_is_the_contracts_own(run: Run) -> None:
    result = await run("portfolio", "--json")
    assert json_format.Parse(result.stdout, pb.GetPortfolioResponse()) == OWNED


async def test_entries_are_listed_over_pages(run: Run) -> None:
    result = await run("entries", "--json")
    assert list(json_format.Parse(result.stdout, pb.ListEntriesResponse()).entries) == ENTRIES
    shown = await run("entries")
    assert "-$175,787.6582" in shown.stdout
    assert "1,000" in shown.stdout
    assert shown.stderr == ""
    some = await run("entries", "--limit", "1")
    assert "these are the newest 1: there are more" in some.stderr


async def test_the_books_are_asked_for_as_of_any_time(house: SmallHouse, run: Run) -> None:
    for command in ("portfolio", "entries"):
        asked = ("--as-of", "2026-11-20", "--known-at", "2026-11-21T03:31:44.681713Z")
        assert (await run(command, *asked)).exit_code == 0
        request = house.portfolio.asked[-1]
        assert request.as_of.ToJsonString() == "2026-11-20T00:00:00Z"
        assert request.known_at.ToJsonString() == "2026-11-21T03:31:44.681713Z"
        assert (await run(command, "--as-of", "yesterday")).exit_code == 2
    await run("portfolio")
    assert not house.portfolio.asked[-1].HasField("as_of")


async def test_a_deposit_is_sent_exactly_with_an_id_of_its_own(house: SmallHouse, run: Run) -> None:
    result = await run("deposit", "alice", "$1,000.50", "--reference", "a gift")
    assert (result.exit_code, result.stdout) == (0, "alice now owns $1,000.50\n")
    ((operator, request),) = house.ledger.asked
    assert operator == "operator"
    assert (request.customer_id, request.amount_micros) == ("alice", 1_000_500_000)
    assert request.reference == "a gift"
    assert result.stderr == f"stockbroker: id {uuid.UUID(request.deposit_id)}\n"


async def test_an_amount_that_is_not_exact_is_never_sent(house: SmallHouse, run: Run) -> None:
    result = await run("deposit", "alice", "0.0000001")
    assert result.exit_code == 2
    assert "is not exact: the smallest amount is $0.000001" in result.stderr
    assert house.ledger.asked == []


async def test_shares_are_deposited_with_what_they_cost(house: SmallHouse, run: Run) -> None:
    await run("deposit-shares", "bob", "AAPL", "1,300", "--cost", "$761,805.000001")
    result = await run("deposit-shares", "bob", "AAPL", "1", "--deposit-id", "mine")
    assert (result.exit_code, result.stdout) == (0, "bob now owns 1 shares of AAPL\n")
    first, second = house.ledger.requests(ledger.DepositSharesRequest)
    assert (first.quantity, first.cost_micros) == (1_300, 761_805_000_001)
    assert (second.deposit_id, second.cost_micros) == ("mine", 0)


async def test_shares_that_nobody_can_trade_are_deposited_and_told(
    house: SmallHouse, run: Run
) -> None:
    known = await run("deposit-shares", "bob", "AAPL", "1")
    assert "does not trade" not in known.stderr
    typo = await run("deposit-shares", "bob", "APPL", "1")
    assert typo.exit_code == 0
    assert "the exchange does not trade APPL" in typo.stderr
    assert len(house.ledger.requests(ledger.DepositSharesRequest)) == 2
