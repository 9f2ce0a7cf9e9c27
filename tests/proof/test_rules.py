"""Hashes and signatures that are all right do not make wrong books right."""

from pathlib import Path

import pytest
from msgspec.structs import replace

from libs.proof.breach import Broken
from libs.proof.verify import verify
from tests.proof.small_ledger import CLEARING, DEPOSITS, SmallLedger, write
from tests.proof.wrong_books import (
    ALICE,
    BOB,
    KEY,
    breach_of,
    change_entry,
    change_last,
    with_cash,
    with_hold,
)


def test_money_out_of_nothing(tmp_path: Path) -> None:
    ledger = with_cash()
    ledger.transfer("deposit", [ledger.entry(ALICE, "USD", 5)])
    breach = breach_of(ledger, tmp_path)
    assert (breach.rule, breach.found) == ("the sum of its entries in USD", "5")
    assert breach.transfer_seq == 2


def test_one_asset_does_not_pay_for_another(tmp_path: Path) -> None:
    ledger = with_cash()
    ledger.transfer("transfer", [ledger.entry(ALICE, "USD", -5), ledger.entry(BOB, "EUR", 5)])
    assert breach_of(ledger, tmp_path).rule == "the sum of its entries in USD"


def test_below_zero(tmp_path: Path) -> None:
    ledger = with_cash()
    ledger.give(ALICE, BOB, "USD", 101)
    breach = breach_of(ledger, tmp_path)
    assert (breach.rule, breach.found) == ("balance_after - held_after", "-1")
    assert (breach.account, breach.asset, breach.version) == (ALICE, "USD", 2)


def test_below_what_is_held(tmp_path: Path) -> None:
    ledger, _ = with_hold()
    ledger.give(ALICE, BOB, "USD", 41)
    assert breach_of(ledger, tmp_path).rule == "balance_after - held_after"


def test_the_house_may_be_below_zero(tmp_path: Path) -> None:
    ledger = with_cash()
    ledger.seal()
    file = write(tmp_path / "journal.jsonl", ledger.hashed(KEY))
    assert verify(file).entries == 2


def test_a_customer_without_a_floor(tmp_path: Path) -> None:
    ledger = with_cash()
    ledger.seal()
    file = write(tmp_path / "journal.jsonl", ledger.hashed(KEY, without_floor={ALICE}))
    with pytest.raises(Broken, match="floor of a customer's account"):
        verify(file)


@pytest.mark.parametrize(
    ("field", "value", "rule"),
    [
        ("version", 3, "version"),
        ("version", 1, "version"),
        ("balance_after", 98, "balance_after"),
        ("amount", 2, "balance_after"),
        ("held_after", 1, "held_after, without an open hold"),
        ("held_after", -1, "held_after"),
        ("cost_after", 1, "cost_after"),
        ("asset", "EUR", "version"),
        ("account", BOB, "version"),
    ],
)
def test_an_entry_that_does_not_follow(
    field: str, value: object, rule: str, tmp_path: Path
) -> None:
    ledger = with_cash()
    ledger.give(ALICE, BOB, "USD", 1)
    change_entry(ledger, 0, **{field: value})
    breach = breach_of(ledger, tmp_path)
    assert (breach.rule, breach.transfer_seq) == (rule, 2)


@pytest.mark.parametrize(
    ("fields", "rule"),
    [
        ({"reason": -205}, "reason of a refused transfer"),
        ({"terms": None}, "terms of a refused transfer"),
    ],
)
def test_a_refusal_that_cannot_be(fields: dict[str, object], rule: str, tmp_path: Path) -> None:
    ledger = with_cash()
    ledger.refuse()
    change_last(ledger, **fields)
    assert breach_of(ledger, tmp_path).rule == rule


def test_a_deposit_that_brought_nothing(tmp_path: Path) -> None:
    ledger = SmallLedger()
    ledger.deposit(ALICE, "USD", 100)
    change_last(ledger, entries=())
    assert breach_of(ledger, tmp_path).rule == "entries of the deposit"


def test_the_same_id_twice(tmp_path: Path) -> None:
    ledger = with_cash()
    ledger.refuse()
    change_last(ledger, id=ledger.transfers()[0].id)
    breach = breach_of(ledger, tmp_path)
    assert (breach.rule, breach.found, breach.line) == ("id", "that of line 2", 3)
    assert breach.transfer_id == ledger.transfers()[0].id


@pytest.mark.parametrize("cost", [6, 8, 0])
def test_shares_go_at_their_average_cost(cost: int, tmp_path: Path) -> None:
    ledger = SmallLedger()
    ledger.deposit(ALICE, "AAPL", 3, cost=10)
    ledger.give(ALICE, BOB, "AAPL", 1)
    assert ledger.transfers()[-1].entries[0].cost_after == 7  # a third of 10, rounded down, is gone
    change_entry(ledger, 0, cost_after=cost)
    assert breach_of(ledger, tmp_path).rule == "cost_after"


def test_the_house_counts_no_cost(tmp_path: Path) -> None:
    ledger = SmallLedger()
    ledger.deposit(ALICE, "AAPL", 3)
    change_entry(ledger, 0, cost_after=1)
    breach = breach_of(ledger, tmp_path)
    assert (breach.rule, breach.account) == ("cost_after", DEPOSITS)


def test_the_house_counts_no_cost_of_what_comes_either(tmp_path: Path) -> None:
    ledger = SmallLedger()
    ledger.deposit(ALICE, "AAPL", 3)
    ledger.give(ALICE, CLEARING, "AAPL", 1)
    change_entry(ledger, 1, cost_after=1)
    breach = breach_of(ledger, tmp_path)
    assert (breach.rule, breach.account) == ("cost_after", CLEARING)


def test_what_is_set_aside_costs_what_it_did(tmp_path: Path) -> None:
    ledger = SmallLedger()
    ledger.deposit(ALICE, "AAPL", 3, cost=10)
    ledger.hold(ALICE, "AAPL", 1)
    change_entry(ledger, 0, cost_after=11)
    assert breach_of(ledger, tmp_path).rule == "cost_after"


@pytest.mark.parametrize(("bought_before", "cost"), [(0, 5), (1, 16)])
def test_a_reversal_takes_no_more_cost_than_there_is(
    bought_before: int, cost: int, tmp_path: Path
) -> None:
    ledger = SmallLedger()
    if bought_before:
        ledger.deposit(ALICE, "AAPL", bought_before, cost=5)
    ledger.reverse(ledger.deposit(ALICE, "AAPL", 3, cost=10))
    change_entry(ledger, 1, cost_after=cost)
    assert breach_of(ledger, tmp_path).rule == "cost_after"


def test_a_seal_over_nothing_new(tmp_path: Path) -> None:
    ledger = with_cash()
    ledger.seal()
    ledger.rows.append(replace(ledger.rows[-1], seq=2))
    breach = breach_of(ledger, tmp_path)
    assert breach.rule == "transfers since the checkpoint before"


def test_a_batch_of_nothing(tmp_path: Path) -> None:
    ledger = with_cash()
    ledger.end_batch()
    ledger.rows.append(replace(ledger.rows[-1], seq=2, first_seq=2, last_seq=1))
    assert breach_of(ledger, tmp_path).rule == "transfers of the batch"
