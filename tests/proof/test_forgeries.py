"""Forgers who know how to hash."""

from pathlib import Path

import pytest
from msgspec.structs import replace

from libs.proof.export import CheckpointRow, JournalRow, TransferRow
from libs.proof.verify import verify
from tests.proof.small_ledger import a_day, hashed, write
from tests.proof.whole_day import DAY, FORGER, KEY, KEYS, MORNING, breach_of, seals


def forged(rows: list[JournalRow], seq: int) -> list[JournalRow]:
    """Another reference in transfer `seq`, so that all else still adds up."""
    return [
        replace(row, reference="forged") if isinstance(row, TransferRow) and row.seq == seq else row
        for row in rows
    ]


@pytest.mark.parametrize("seq", range(1, 15))
def test_a_forgery_without_the_key_is_found_by_the_seal_over_it(file: Path, seq: int) -> None:
    rows = hashed(forged(DAY, seq), None)
    breach = breach_of(write(file, rows))
    assert (breach.checkpoint_seq, breach.rule) == (1 if seq <= 6 else 2, "signature")


def test_a_forgery_under_the_old_seal_is_found_by_it(file: Path) -> None:
    rows = hashed(forged(DAY, 2), None)
    rows[len(MORNING) - 1] = MORNING[-1]
    breach = breach_of(write(file, rows))
    assert (breach.checkpoint_seq, breach.rule) == (1, "last_batch_hash")


def test_a_forgery_under_another_key_is_found(file: Path) -> None:
    rows = hashed(forged(DAY, 9), FORGER)
    breach = breach_of(write(file, rows))
    assert (breach.checkpoint_seq, breach.rule) == (1, "key_id")
    assert (breach.expected, breach.found) == (KEY.key_id, FORGER.key_id)


def test_a_forgery_under_another_key_of_the_same_name_is_found(file: Path) -> None:
    rows = [
        replace(row, key_id=KEY.key_id) if isinstance(row, CheckpointRow) else row
        for row in hashed(forged(DAY, 9), FORGER)
    ]
    assert breach_of(write(file, rows)).rule == "signature"


def test_every_key_that_is_trusted_may_have_sealed(file: Path) -> None:
    rows = hashed(DAY, FORGER)
    assert verify(write(file, rows), keys=[*KEYS, FORGER.public_key]).signatures_checked


def test_without_a_key_a_rehashed_forgery_passes_and_the_report_says_so(file: Path) -> None:
    report = verify(write(file, hashed(forged(DAY, 9), FORGER)))
    assert not report.signatures_checked


def test_behind_the_last_seal_a_rehashed_forgery_passes_and_the_report_says_so(file: Path) -> None:
    rows = a_day(is_sealed=False).hashed(KEY)
    report = verify(write(file, hashed(forged(rows, 9), KEY)), keys=KEYS)
    assert (report.transfers, report.sealed_transfers) == (14, 6)


# Forgers who have the key, or nothing to change but the end.


def test_an_end_taken_off_at_a_seal_passes_without_a_checkpoint_from_before(file: Path) -> None:
    assert verify(write(file, MORNING), keys=KEYS).transfers == 6


def test_an_end_taken_off_is_found_by_a_checkpoint_from_before(file: Path) -> None:
    breach = breach_of(write(file, MORNING), anchor=seals(DAY)[1])
    assert breach.rule == "last checkpoint of the journal"
    assert (breach.expected, breach.found) == ("at least 2, which covers transfer 14", "1")


def test_history_rewritten_with_the_key_is_found_by_a_checkpoint_from_before(file: Path) -> None:
    rows = hashed(forged(DAY, 2), KEY)
    assert verify(write(file, rows), keys=KEYS).transfers == 14
    breach = breach_of(file, anchor=seals(DAY)[0])
    assert (breach.checkpoint_seq, breach.rule) == (1, "the checkpoint kept from before")


def test_a_journal_that_went_on_keeps_its_checkpoints(file: Path) -> None:
    assert verify(write(file, DAY), keys=KEYS, anchor=seals(DAY)[0]).transfers == 14
