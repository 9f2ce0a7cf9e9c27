"""What operators do with the books: who asks for what, and what they are told."""

import json
import uuid
from typing import Any

import pytest

from services.cli.failures import ExitCode
from stockbroker.ledger.v1 import invariant_pb2
from stockbroker.ledger.v1 import ledger_service_pb2 as pb
from stockbroker.ledger.v1 import posting_pb2 as posting
from tests.cli.conftest import Run, SmallHouse
from tests.cli.small_ledger import FROZEN, RECORDED, WAITING

ID = "0b1e7f0a-0000-4000-8000-000000000001"
OLIVIA = ("--operator", "olivia")


async def test_cash_and_shares_go_out_under_the_operators_name(house: SmallHouse, run: Run) -> None:
    paid = await run("withdraw", "alice", "$1,000.50", "--reference", "to the bank", *OLIVIA)
    sent = await run("withdraw-shares", "alice", "AAPL", "1,300", "--id", ID)
    assert (paid.stdout, sent.stdout) == (
        "alice now owns $0.000001\n",
        "alice now owns 3 shares of AAPL\n",
    )
    (first, cash), (second, shares) = house.ledger.asked
    assert (first, second) == ("olivia", "operator")
    assert (cash.customer_id, cash.amount_micros) == ("alice", 1_000_500_000)
    assert cash.reference == "to the bank"
    assert (shares.symbol, shares.quantity, shares.withdrawal_id) == ("AAPL", 1_300, ID)


async def test_a_new_id_is_told_before_the_answer_and_with_it(house: SmallHouse, run: Run) -> None:
    told = await run("withdraw", "alice", "1", "--json")
    (request,) = house.ledger.requests(pb.WithdrawRequest)
    assert uuid.UUID(request.withdrawal_id)
    assert told.stderr == f"stockbroker: id {request.withdrawal_id}\n"
    assert json.loads(told.stdout)["withdrawal_id"] == request.withdrawal_id
    refused = await run("withdraw", "frozen", "1")
    assert refused.stderr.startswith("stockbroker: id ")
    assert (await run("withdraw", "alice", "1", "--id", ID)).stderr == ""


@pytest.mark.parametrize(
    ("command", "kind", "words"),
    [
        ("freeze", pb.FreezeRequest, "customer/alice is frozen"),
        ("unfreeze", pb.UnfreezeRequest, "customer/alice is open"),
        ("close", pb.CloseRequest, "customer/alice is closed"),
    ],
)
async def test_accounts_are_frozen_unfrozen_and_closed_with_a_reason(
    house: SmallHouse, run: Run, command: str, kind: Any, words: str
) -> None:
    assert (await run(command, "alice")).exit_code == ExitCode.USAGE
    assert house.ledger.asked == []
    shown = await run(command, "alice", "--reason", "a court order", "--id", ID, *OLIVIA)
    assert shown.stdout.startswith(f"{words}\n"), shown.output
    ((operator, request),) = house.ledger.asked
    assert operator == "olivia"
    assert (request.account, request.reference) == ("customer/alice", "a court order")
    told = await run(command, "house/fees", "--reason", "odd", "--id", ID, "--json")
    assert json.loads(told.stdout)[f"{command}_id"] == ID
    assert house.ledger.requests(kind)[-1].account == "house/fees"


async def test_what_is_refused_is_told_with_its_reason(run: Run) -> None:
    for command in (
        ("withdraw", "frozen", "1"),
        ("withdraw-shares", "frozen", "AAPL", "1"),
        ("freeze", FROZEN, "--reason", "again"),
        ("close", FROZEN, "--reason", "gone"),
    ):
        result = await run(*command, "--id", ID)
        assert (result.exit_code, result.stdout) == (ExitCode.REFUSED, "")
        assert "refused (ACCOUNT_NOT_OPEN)" in result.stderr


async def test_a_reversal_takes_two_operators(house: SmallHouse, run: Run) -> None:
    asked = await run("reversals", "request", ID, "--reason", "booked in error", *OLIVIA)
    (request,) = house.ledger.requests(pb.RequestReversalRequest)
    assert (request.transfer_id, request.reference) == (ID, "booked in error")
    assert request.request_id in asked.stdout
    assert "$0.000005 USD  customer/alice -> house/deposits" in asked.stdout
    waiting = json.loads((await run("reversals", "list", "--json")).stdout)
    assert waiting["requests"][0]["request_id"] == WAITING.request_id
    assert WAITING.transfer_id in (await run("reversals", "list")).stdout
    approve = ("reversals", "approve", WAITING.request_id, "--reason", "seen")
    own = await run(*approve, *OLIVIA)
    assert own.exit_code == ExitCode.REFUSED
    assert "refused (SAME_OPERATOR)" in own.stderr
    assert "name another with --operator" in own.stderr
    done = await run(*approve, "--operator", "oscar")
    assert done.stdout.startswith(f"reversed by transfer {WAITING.request_id}\n")
    assert "house/deposits  USD  -> -$0.000005" in done.stdout


def leg(source: str, target: str, asset: str, amount: int, cost: int = 0) -> posting.TransferLeg:
    return posting.TransferLeg(
        debit_account=source, credit_account=target, asset=asset, amount=amount, cost_micros=cost
    )


HERS, CLEARING = "customer/alice", "house/clearing"
SOLD_BACK = [leg(HERS, CLEARING, "KO", 1_000), leg(CLEARING, HERS, "USD", 62_270_500_000)]


@pytest.mark.parametrize(
    ("words", "legs"),
    [
        (("alice", CLEARING, "KO", "1,000", "--for", "$62,270.50"), SOLD_BACK),
        (("alice", "bob", "USD", "0.5"), [leg(HERS, "customer/bob", "USD", 500_000)]),
        ((CLEARING, "alice", "KO", "5", "--cost", "9"), [leg(CLEARING, HERS, "KO", 5, 9_000_000)]),
    ],
)
async def test_cash_and_shares_are_moved_between_any_accounts_with_a_reason(
    house: SmallHouse, run: Run, words: tuple[str, ...], legs: list[posting.TransferLeg]
) -> None:
    assert (await run("transfers", "post", *words)).exit_code == ExitCode.USAGE
    assert house.ledger.asked == []
    why = ("--reason", "break XSIM/XSIM-1-7 busted", "--id", ID, *OLIVIA)
    shown = await run("transfers", "post", *words, *why)
    assert shown.stdout.splitlines() == [
        f"moved by transfer {ID}",
        "        customer/alice  KO  -> 5  (version 2)",
    ]
    ((operator, request),) = house.ledger.asked
    (transfer,) = request.transfers
    assert operator == "olivia"
    assert (transfer.transfer_id, list(transfer.legs)) == (ID, legs)
    assert transfer.reference == "break XSIM/XSIM-1-7 busted"


async def test_a_transfer_gets_an_id_that_is_told_before_and_after(run: Run) -> None:
    told = await run("transfers", "post", "alice", "bob", "KO", "1", "--reason", "gift", "--json")
    made = json.loads(told.stdout)["transfer_id"]
    assert told.stderr == f"stockbroker: id {made}\n"


async def test_a_transfer_that_is_refused_says_why_and_that_nothing_moved(run: Run) -> None:
    words = ("frozen", "alice", "USD", "1", "--reason", "why", "--id", ID)
    result = await run("transfers", "post", *words, "--json")
    assert (result.exit_code, result.stdout) == (ExitCode.REFUSED, "")
    assert "refused (ACCOUNT_NOT_OPEN): nothing was moved" in result.stderr
    result = await run("transfers", "post", "a b", *words[1:])
    assert result.exit_code == ExitCode.REFUSED
    assert "refused (INVALID_ACCOUNT): debit_account must be without a space\n" in result.stderr


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("bob", "KO", "1.5"), "not a number of whole shares"),
        (("bob", "USD", "a lot"), "is not an amount"),
        (("bob", "USD", "5", "--for", "5"), "--for and --cost are of shares"),
        (("bob", "USD", "5", "--cost", "5"), "--for and --cost are of shares"),
        (("customer/alice", "USD", "5"), "customer/alice cannot give to itself"),
    ],
)
async def test_a_transfer_that_makes_no_sense_asks_for_nothing(
    house: SmallHouse, run: Run, words: tuple[str, ...], said: str
) -> None:
    result = await run("transfers", "post", "alice", *words, "--reason", "why")
    assert result.exit_code == ExitCode.USAGE
    assert said in " ".join(result.stderr.replace("│", " ").split())
    assert house.ledger.asked == []


async def test_a_transfer_is_told_and_one_that_is_not_on_record_ends_with_3(run: Run) -> None:
    known = RECORDED.transfer.transfer_id
    shown = await run("transfers", "show", known)
    assert shown.exit_code == 0, shown.output
    assert "REFUSED INSUFFICIENT_FUNDS  by olivia  (to the bank)" in shown.stdout
    both = await run("transfers", "show", known, ID, "--json")
    assert both.exit_code == ExitCode.REFUSED
    assert f"refused (TRANSFER_NOT_FOUND): not on record: {ID}" in both.stderr
    (found,) = json.loads(both.stdout)["transfers"]
    assert found["transfer"]["reason"] == "REASON_INSUFFICIENT_FUNDS"


async def test_a_balance_is_told_as_of_any_time(house: SmallHouse, run: Run) -> None:
    shown = await run("balance", "alice", "USD", "--as-of", "2026-11-20 10:00:00")
    row = shown.stdout.splitlines()[-1].split()
    assert row == ["customer/alice", "USD", "$9.00", "$7.00", "$2.00", "4", "open"]
    (request,) = house.ledger.requests(posting.GetBalanceRequest)
    assert request.as_of.ToJsonString() == "2026-11-20T10:00:00Z"
    assert not request.HasField("known_at")
    told = json.loads((await run("balance", "house/fees", "EUR", "--json")).stdout)
    assert told["available"] == "7000000"


async def test_the_journal_is_told_from_any_transfer_on(house: SmallHouse, run: Run) -> None:
    shown = await run("journal", "--after-seq", "1", "--limit", "2")
    assert shown.exit_code == 0, shown.output
    heads = [line.split()[0] for line in shown.stdout.splitlines() if line[5].isdigit()]
    assert heads == ["2", "3"]
    assert "customer/" in shown.stdout
    told = (await run("journal", "--after-seq", "1", "--limit", "2", "--json")).stdout.splitlines()
    records = [json.loads(line) for line in told]
    assert [r["transfer"]["seq"] for r in records if "transfer" in r] == ["2", "3"]
    assert any("entry" in record for record in records)
    await run("journal", "--limit", "3")
    assert house.ledger.asked_last == [0, 0, 3]


async def test_invariants_that_hold_end_with_0_and_a_broken_one_with_7(
    house: SmallHouse, run: Run
) -> None:
    holds = await run("invariants")
    assert holds.exit_code == 0, holds.output
    assert "up to transfer 41: all hold (last full look: up to 0)" in holds.stdout
    house.ledger.is_broken = True
    broken = await run("invariants", "--full", "--json")
    assert broken.exit_code == ExitCode.BROKEN
    assert "the books are broken: I3" in broken.stderr
    (found,) = json.loads(broken.stdout)["invariants"]
    assert found["breaches"] == ["account 3 has a gap"]
    first, second = house.ledger.requests(invariant_pb2.GetInvariantsRequest)
    assert (first.full, second.full) == (False, True)
