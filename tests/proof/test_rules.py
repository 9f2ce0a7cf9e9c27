"""Hashes and signatures that are all right do not make wrong books right."""

import uuid
from collections.abc import Callable
from pathlib import Path

import pytest
from msgspec.structs import replace

from libs.proof.breach import Breach, Broken
from libs.proof.checkpoint import SigningKey
from libs.proof.export import EntryRow
from libs.proof.verify import verify
from tests.proof.small_ledger import CLEARING, DEPOSITS, SmallLedger, write

ALICE, BOB = "customer/alice", "customer/bob"
KEY = SigningKey.new()


def breach_of(ledger: SmallLedger, folder: Path) -> Breach:
    """What is named as broken in the books of `ledger`, hashed and sealed by its own key."""
    ledger.seal()
    file = write(folder / "journal.jsonl", ledger.hashed(KEY))
    with pytest.raises(Broken) as caught:
        verify(file, keys=[KEY.public_key])
    return caught.value.breach


def with_cash() -> SmallLedger:
    """Books in which alice has 100."""
    ledger = SmallLedger()
    ledger.deposit(ALICE, "USD", 100)
    return ledger


def with_hold() -> tuple[SmallLedger, str]:
    """Books in which alice has 100, of which 60 are held."""
    ledger = with_cash()
    return ledger, ledger.hold(ALICE, "USD", 60)


def change_last(ledger: SmallLedger, **changes: object) -> None:
    """Change fields of the latest transfer."""
    ledger.rows[-1] = replace(ledger.rows[-1], **changes)


def change_entry(ledger: SmallLedger, place: int, **changes: object) -> None:
    """Change fields of an entry of the latest transfer."""
    entries = list(ledger.transfers()[-1].entries)
    entries[place] = replace(entries[place], **changes)
    change_last(ledger, entries=tuple(entries))


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


def twice(ledger: SmallLedger) -> None:
    first = ledger.transfers()[0].id
    ledger.deposit(ALICE, "USD", 100)
    ledger.reverse(first)
    ledger.reverse(first)


def of_nothing(ledger: SmallLedger) -> None:
    ledger.reverse(ledger.transfers()[0].id)
    change_last(ledger, reverses=None)


def of_what_is_not_there(ledger: SmallLedger) -> None:
    ledger.reverse(ledger.transfers()[0].id)
    change_last(ledger, reverses="0192f3a0-0000-7000-8000-000000000000")


def under_another_name(ledger: SmallLedger) -> None:
    ledger.reverse(ledger.transfers()[0].id, "transfer")


def of_itself(ledger: SmallLedger) -> None:
    ledger.reverse(ledger.transfers()[0].id)
    change_last(ledger, reverses=ledger.transfers()[-1].id)


def of_another_amount(ledger: SmallLedger) -> None:
    ledger.reverse(ledger.transfers()[0].id)
    change_entry(ledger, 0, amount=99, balance_after=-1)
    change_entry(ledger, 1, amount=-99, balance_after=1)


def of_a_refusal(ledger: SmallLedger) -> None:
    ledger.reverse(ledger.refuse())


@pytest.mark.parametrize(
    ("reversal", "rule"),
    [
        (twice, "reversals of 00000000-0000-0001-7000-000000000001"),
        (of_nothing, "reverses"),
        (of_what_is_not_there, "reverses"),
        (under_another_name, "what the transfer reverses"),
        (of_itself, "reverses"),
        (of_another_amount, "what it moves"),
        (of_a_refusal, "what it moves"),
    ],
)
def test_a_reversal_that_undoes_nothing_else(
    reversal: Callable[[SmallLedger], None], rule: str, tmp_path: Path
) -> None:
    ledger = with_cash()
    reversal(ledger)
    breach = breach_of(ledger, tmp_path)
    assert (breach.rule, breach.transfer_seq) == (rule, ledger.transfers()[-1].seq)


@pytest.mark.parametrize(("cash", "is_right"), [(39, True), (-2, True), (40, False)])
def test_a_correction_leaves_a_fill_that_goes_the_same_way(
    cash: int, is_right: bool, tmp_path: Path
) -> None:
    """Bought for 40, of which the correction gives `cash` back."""
    ledger, hold = with_hold()
    fill = ledger.buy(hold, "KO", 2, 40, is_last=True)
    entries = [ledger.entry(ALICE, "USD", cash), ledger.entry(CLEARING, "USD", -cash)]
    ledger.transfer("correction", entries, reverses=fill)
    if is_right:
        ledger.seal()
        file = write(tmp_path / "journal.jsonl", ledger.hashed(KEY))
        assert verify(file, keys=[KEY.public_key]).transfers == 4
    else:
        assert breach_of(ledger, tmp_path).rule == "what it moves"


def test_only_a_fill_is_corrected(tmp_path: Path) -> None:
    ledger = with_cash()
    entries = [ledger.entry(DEPOSITS, "USD", 1), ledger.entry(ALICE, "USD", -1)]
    ledger.transfer("correction", entries, reverses=ledger.transfers()[0].id)
    assert breach_of(ledger, tmp_path).rule == "what it moves"


def test_a_correction_moves_nothing_of_others(tmp_path: Path) -> None:
    ledger, hold = with_hold()
    fill = ledger.buy(hold, "KO", 2, 40, is_last=True)
    entries = [ledger.entry(CLEARING, "USD", -1), ledger.entry(BOB, "USD", 1)]
    ledger.transfer("correction", entries, reverses=fill)
    assert breach_of(ledger, tmp_path).rule == "what it moves"


def test_a_bust_undoes_a_fill_exactly_and_once(tmp_path: Path) -> None:
    ledger, hold = with_hold()
    fill = ledger.buy(hold, "KO", 2, 40, is_last=True)
    ledger.deposit(ALICE, "KO", 2)
    ledger.reverse(fill, "bust")
    ledger.reverse(fill, "bust")
    assert breach_of(ledger, tmp_path).rule == f"reversals of {fill}"


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
