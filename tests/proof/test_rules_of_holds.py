"""What is set aside is set aside, drawn and freed by the rules, whatever is hashed and sealed."""

import uuid
from collections.abc import Callable
from pathlib import Path

import pytest

from libs.proof.export import EntryRow
from libs.proof.verify import verify
from tests.proof.small_ledger import CLEARING, SmallLedger, write
from tests.proof.wrong_books import (
    ALICE,
    BOB,
    KEY,
    breach_of,
    change_last,
    with_cash,
    with_hold,
)


@pytest.mark.parametrize(
    ("fields", "rule"),
    [
        ({"seq": 3}, "seq"),
        ({"seq": 1}, "seq"),
        ({"recorded_at": 0}, "recorded_at"),
        ({"id": "0192F3A0-0000-7000-8000-000000000000"}, "id"),
        ({"id": "0192f3a0-0000-7000-8000-0000000000000"}, "id"),
        ({"reason": 205}, "entries of a refused transfer"),
        ({"reason": 205, "entries": ()}, "amount of a refused transfer"),
        ({"terms": "others"}, "fingerprint of the terms"),
        ({"amount": 59}, "held_after"),
        ({"entries": ()}, "amount of the hold"),
        ({"entries": (), "amount": 0}, "amount of the hold"),
        ({"hold_id": None}, "hold_id of the hold"),
        ({"hold_id": "0192f3a0-0000-7000-8000-000000000000"}, "hold_id of the hold"),
        ({"kind": "transfer"}, "held_after, without an open hold"),
    ],
)
def test_a_hold_that_cannot_be(fields: dict[str, object], rule: str, tmp_path: Path) -> None:
    ledger, _ = with_hold()
    change_last(ledger, **fields)
    assert breach_of(ledger, tmp_path).rule == rule


def more_than_held(ledger: SmallLedger, hold: str) -> None:
    ledger.hold(ALICE, "USD", 20)
    ledger.buy(hold, "KO", 1, 50, is_last=False)
    ledger.buy(hold, "KO", 1, 11, is_last=False)


def after_release(ledger: SmallLedger, hold: str) -> None:
    ledger.release(hold)
    ledger.hold(ALICE, "USD", 60)
    ledger.transfer("release", [ledger.entry(ALICE, "USD", 0, held=-60)], hold_id=hold, amount=60)


def from_another_hold(ledger: SmallLedger, hold: str) -> None:
    ledger.deposit(BOB, "USD", 60)
    ledger.hold(BOB, "USD", 60)
    ledger.transfer("release", [ledger.entry(BOB, "USD", 0, held=-60)], hold_id=hold, amount=60)


def placed_with_less_than_nothing(ledger: SmallLedger, hold: str) -> None:
    ledger.transfer("hold", [ledger.entry(ALICE, "USD", 0, held=-10)], amount=-10)


def placed_and_something_moved(ledger: SmallLedger, hold: str) -> None:
    entries = [ledger.entry(ALICE, "USD", 0, held=5)]
    entries += [ledger.entry(ALICE, "USD", -1), ledger.entry(BOB, "USD", 1)]
    ledger.transfer("hold", entries, amount=5)


def placed_and_nothing_set_aside(ledger: SmallLedger, hold: str) -> None:
    ledger.transfer("hold", [ledger.entry(ALICE, "USD", 0)], amount=5)


def freed_in_part_by_a_transfer(ledger: SmallLedger, hold: str) -> None:
    entries = [ledger.entry(ALICE, "USD", -10, held=-20), ledger.entry(BOB, "USD", 10)]
    ledger.transfer("transfer", entries, hold_id=hold, amount=10)


def left_by_its_release(ledger: SmallLedger, hold: str) -> None:
    ledger.transfer("release", [], hold_id=hold)


def more_by_a_release(ledger: SmallLedger, hold: str) -> None:
    ledger.transfer("release", [ledger.entry(ALICE, "USD", 0, held=1)], hold_id=hold)


@pytest.mark.parametrize(
    ("misuse", "rule"),
    [
        (more_than_held, "held_after, by what the hold has left"),
        (after_release, "held_after, without an open hold"),
        (from_another_hold, "held_after, without an open hold"),
        (more_by_a_release, "held_after, by what the hold has left"),
        (placed_with_less_than_nothing, "amount of the hold"),
        (placed_and_something_moved, "amount of the hold"),
        (placed_and_nothing_set_aside, "amount of the hold"),
        (freed_in_part_by_a_transfer, "what the hold has left"),
        (left_by_its_release, "what the hold has left"),
    ],
)
def test_a_hold_that_is_misused(
    misuse: Callable[[SmallLedger, str], None], rule: str, tmp_path: Path
) -> None:
    ledger, hold = with_hold()
    misuse(ledger, hold)
    breach = breach_of(ledger, tmp_path)
    assert (breach.rule, breach.transfer_seq) == (rule, ledger.transfers()[-1].seq)


def test_a_hold_may_be_raised_after_it_was_drawn_whole(tmp_path: Path) -> None:
    ledger, hold = with_hold()
    ledger.buy(hold, "KO", 1, 40, is_last=False)
    ledger.adjust(hold, 10)
    ledger.buy(hold, "KO", 1, 30, is_last=False)
    ledger.adjust(hold, 20)
    ledger.buy(hold, "KO", 1, 5, is_last=True)
    ledger.seal()
    file = write(tmp_path / "journal.jsonl", ledger.hashed(KEY))
    assert verify(file, keys=[KEY.public_key]).open_holds == 0


def with_another_amount(ledger: SmallLedger, hold: str) -> None:
    ledger.adjust(hold, 10)
    change_last(ledger, amount=11)


def with_two_entries(ledger: SmallLedger, hold: str) -> None:
    entries = [ledger.entry(ALICE, "USD", 0, held=n) for n in (4, 6)]
    ledger.transfer("hold_adjustment", entries, amount=10, hold_id=hold)


def by_nothing(ledger: SmallLedger, hold: str) -> None:
    ledger.adjust(hold, 0)


def by_more_than_is_left(ledger: SmallLedger, hold: str) -> None:
    ledger.hold(ALICE, "USD", 10)
    ledger.adjust(hold, -61)


def of_no_hold(ledger: SmallLedger, hold: str) -> None:
    ledger.adjust(hold, -60)
    ledger.adjust(hold, 30)
    change_last(ledger, hold_id="0192f3a0-0000-7000-8000-000000000000")


def of_another_account(ledger: SmallLedger, hold: str) -> None:
    ledger.deposit(BOB, "USD", 60)
    ledger.adjust(hold, -60)
    entries = [ledger.entry(BOB, "USD", 0, held=10)]
    ledger.transfer("hold_adjustment", entries, amount=10, hold_id=hold)


def after_its_release(ledger: SmallLedger, hold: str) -> None:
    ledger.release(hold)
    ledger.adjust(hold, 10)


@pytest.mark.parametrize(
    ("adjustment", "rule"),
    [
        (with_another_amount, "amount of the adjustment"),
        (with_two_entries, "amount of the adjustment"),
        (by_nothing, "amount of the adjustment"),
        (by_more_than_is_left, "held_after, by what the hold has left"),
        (of_no_hold, "hold_id"),
        (of_another_account, "hold_id"),
        (after_its_release, "hold_id"),
    ],
)
def test_an_adjustment_that_cannot_be(
    adjustment: Callable[[SmallLedger, str], None], rule: str, tmp_path: Path
) -> None:
    ledger, hold = with_hold()
    adjustment(ledger, hold)
    breach = breach_of(ledger, tmp_path)
    assert (breach.rule, breach.transfer_seq) == (rule, ledger.transfers()[-1].seq)


def test_an_adjustment_of_a_hold_that_is_placed_later(tmp_path: Path) -> None:
    ledger = with_cash()
    later = str(uuid.UUID(int=3 << 64 | 0x7000 << 48 | 1))
    entries = [ledger.entry(ALICE, "USD", 0, held=10)]
    ledger.transfer("hold_adjustment", entries, amount=10, hold_id=later)
    assert ledger.hold(ALICE, "USD", 5) == later
    breach = breach_of(ledger, tmp_path)
    assert (breach.rule, breach.transfer_seq) == ("hold_id", 2)


def test_a_release_that_was_refused_released_nothing(tmp_path: Path) -> None:
    ledger, hold = with_hold()
    ledger.buy(hold, "KO", 1, 60, is_last=False)
    ledger.refuse("release")
    change_last(ledger, hold_id=hold)
    ledger.adjust(hold, 10)
    ledger.seal()
    file = write(tmp_path / "journal.jsonl", ledger.hashed(KEY))
    assert verify(file, keys=[KEY.public_key]).open_holds == 1


@pytest.mark.parametrize(
    ("drawn", "unheld", "freed", "rule"),
    [
        (10, 60, 49, "amount freed"),  # 60 no longer held, 10 spent: 50 are free
        (10, 60, 61, "amount freed"),
        (0, 20, 20, "what the hold has left"),  # frees a part, keeps the rest
        (0, 0, 20, "amount, without a hold to free"),
        (0, 20, 0, "amount freed"),
    ],
)
def test_what_is_freed_is_what_was_held_and_not_drawn(
    drawn: int, unheld: int, freed: int, rule: str, tmp_path: Path
) -> None:
    ledger, hold = with_hold()
    entries: list[EntryRow] = []
    if drawn or unheld:
        entries.append(ledger.entry(ALICE, "USD", -drawn, held=-unheld))
    if drawn:
        entries.append(ledger.entry(CLEARING, "USD", drawn))
    ledger.transfer("execution", entries, hold_id=hold, amount=freed)
    assert breach_of(ledger, tmp_path).rule == rule
