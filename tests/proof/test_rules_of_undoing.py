"""What undoes a transfer undoes just that, once, whatever is hashed and sealed."""

from collections.abc import Callable
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


def chain(*cash: int) -> SmallLedger:
    """Bought for 40, of which each correction gives so much back, the next what is right then."""
    ledger, hold = with_hold()
    latest = ledger.buy(hold, "KO", 2, 40, is_last=True)
    for back in cash:
        entries = [ledger.entry(ALICE, "USD", back), ledger.entry(CLEARING, "USD", -back)]
        latest = ledger.transfer("correction", entries, reverses=latest)
    return ledger


def bust_all(ledger: SmallLedger, cash: int) -> None:
    """Bust what was bought, by way of its latest correction, with so much given back."""
    latest = ledger.transfers()[-1].id
    entries = [
        ledger.entry(ALICE, "USD", cash),
        ledger.entry(CLEARING, "USD", -cash),
        ledger.entry(CLEARING, "KO", 2),
        ledger.entry(ALICE, "KO", -2),
    ]
    ledger.transfer("bust", entries, reverses=latest)


@pytest.mark.parametrize("cash", [(10, 20), (10, -30, 5), (-5, 44)])
def test_what_was_corrected_is_corrected_again_from_what_it_was_last(
    cash: tuple[int, ...], tmp_path: Path
) -> None:
    ledger = chain(*cash)
    bust_all(ledger, 40 - sum(cash))
    ledger.seal()
    file = write(tmp_path / "journal.jsonl", ledger.hashed(KEY))
    assert verify(file, keys=[KEY.public_key]).transfers == 4 + len(cash)


@pytest.mark.parametrize(
    ("cash", "back"), [((10, 30), None), ((50, -30), None), ((10, 20), 40), ((10, 20), 20)]
)
def test_a_chain_of_corrections_that_does_not_come_to_a_fill_of_the_same_is_found(
    cash: tuple[int, ...], back: int | None, tmp_path: Path
) -> None:
    ledger = chain(*cash)
    if back is not None:
        bust_all(ledger, back)
    assert breach_of(ledger, tmp_path).rule == "what it moves"


def test_what_was_busted_is_not_corrected_again(tmp_path: Path) -> None:
    ledger = chain(10)
    bust_all(ledger, 30)
    entries = [ledger.entry(ALICE, "USD", 1), ledger.entry(CLEARING, "USD", -1)]
    ledger.transfer("correction", entries, reverses=ledger.transfers()[-1].id)
    breach = breach_of(ledger, tmp_path)
    assert (breach.rule, breach.transfer_seq) == ("reverses", ledger.transfers()[-1].seq)


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


def test_what_is_looked_up_in_a_file_is_what_was_checked_of_it(tmp_path: Path) -> None:
    ledger = with_cash()
    of_another_amount(ledger)
    for _ in range(1_000):
        ledger.refuse()
    ledger.seal()
    file = write(tmp_path / "journal.jsonl", ledger.hashed(KEY))
    undone = ledger.transfers()[0]
    fitting = [replace(e, amount=e.amount * 99 // 100) for e in undone.entries]
    ledger.rows[0] = replace(undone, entries=tuple(fitting))
    other = write(tmp_path / "other.jsonl", ledger.hashed(KEY))

    def swap(_: int) -> None:
        if other.exists():
            other.replace(file)

    with pytest.raises(Broken) as caught:
        verify(file, keys=[KEY.public_key], progress=swap)
    assert not other.exists()
    assert caught.value.breach.rule == "file read once more"
