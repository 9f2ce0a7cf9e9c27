"""An export is found whole, or its first broken row is named."""

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from libs.proof.breach import Broken
from libs.proof.export import BatchRow, CheckpointRow, JournalRow, TransferRow
from libs.proof.verify import Report, verify
from tests.proof.small_ledger import SmallLedger, a_day, hashed, write
from tests.proof.whole_day import DAY, KEY, KEYS, breach_of, seals

STEPS = st.lists(st.sampled_from(["hold", "buy", "release", "refuse", "reverse", "batch", "seal"]))


def lines_of(file: Path, rows: list[JournalRow]) -> list[bytes]:
    """An export of these rows, line by line."""
    return write(file, rows).read_bytes().splitlines(keepends=True)


def test_a_right_export_is_found_whole(file: Path) -> None:
    report = verify(write(file, DAY), keys=KEYS)
    assert report == Report(
        transfers=14,
        entries=24,
        batches=3,
        checkpoints=2,
        accounts=8,
        open_holds=1,
        sealed_transfers=14,
        signatures_checked=True,
        last_checkpoint=report.last_checkpoint,
    )
    assert report.last_checkpoint == DAY[-1]


def in_pieces(folder: Path, rows: list[JournalRow]) -> list[Path]:
    """An export of a file per checkpoint."""
    pieces: list[Path] = []
    piece: list[JournalRow] = []
    for row in rows:
        piece.append(row)
        if isinstance(row, CheckpointRow):
            pieces.append(write(folder / f"{len(pieces)}.jsonl", piece))
            piece = []
    assert not piece
    return pieces


def test_an_export_in_several_files_is_found_as_whole_as_in_one(file: Path, tmp_path: Path) -> None:
    pieces = in_pieces(tmp_path, DAY)
    assert len(pieces) == 2
    assert verify(*pieces, keys=KEYS) == verify(write(file, DAY), keys=KEYS)


def test_a_checkpoint_from_before_may_be_in_any_of_several_files(tmp_path: Path) -> None:
    for kept in seals(DAY):
        assert verify(*in_pieces(tmp_path, DAY), keys=KEYS, anchor=kept).transfers == 14


def test_files_that_are_missing_doubled_or_out_of_order_are_found(tmp_path: Path) -> None:
    first, second = in_pieces(tmp_path, DAY)
    for files in ((second,), (second, first), (first, first), (first, second, second)):
        with pytest.raises(Broken) as caught:
            verify(*files, keys=KEYS)
        assert caught.value.breach.rule == "seq"
    kept = seals(DAY)[1]
    with pytest.raises(Broken) as caught:
        verify(first, keys=KEYS, anchor=kept)
    assert caught.value.breach.rule == "last checkpoint of the journal"


def test_a_broken_row_is_named_with_its_file(tmp_path: Path) -> None:
    first, second = in_pieces(tmp_path, DAY)
    lines = second.read_bytes().splitlines(keepends=True)
    second.write_bytes(
        b"".join([*lines[:3], lines[3].replace(b'"seq":', b'"seq":1', 1), *lines[4:]])
    )
    with pytest.raises(Broken) as caught:
        verify(first, second, keys=KEYS)
    assert (caught.value.breach.line, caught.value.breach.file) == (4, "1.jsonl")
    assert "line 4 of 1.jsonl" in str(caught.value)


def test_an_id_of_an_earlier_file_is_named_with_its_place(tmp_path: Path) -> None:
    ledger = SmallLedger()
    ledger.refuse()
    ledger.seal()
    ledger.refuse()
    ledger.rows[-1] = replace(ledger.rows[-1], id=ledger.transfers()[0].id)
    ledger.seal()
    with pytest.raises(Broken) as caught:
        verify(*in_pieces(tmp_path, ledger.hashed(KEY)), keys=KEYS)
    assert caught.value.breach.found == "that of line 2 of 0.jsonl"
    assert (caught.value.breach.line, caught.value.breach.file) == (2, "1.jsonl")


def test_an_empty_file_is_named(tmp_path: Path) -> None:
    first, second = in_pieces(tmp_path, DAY)
    second.write_bytes(b"")
    with pytest.raises(Broken) as caught:
        verify(first, second, keys=KEYS)
    assert (caught.value.breach.line, caught.value.breach.file) == (1, "1.jsonl")


def test_an_empty_journal_is_whole(file: Path) -> None:
    assert verify(write(file, []), keys=KEYS).transfers == 0


def test_progress_ends_with_the_file(file: Path) -> None:
    ledger = SmallLedger()
    for _ in range(2_000):
        ledger.refuse()
    write(file, ledger.hashed(KEY))
    heard: list[int] = []
    verify(file, progress=heard.append)
    assert len(heard) > 2
    assert heard == sorted(heard)
    assert heard[-1] <= file.stat().st_size


@settings(deadline=None)
@given(STEPS, st.data())
def test_whatever_a_ledger_does_is_found_whole(
    file: Path, steps: list[str], data: st.DataObject
) -> None:
    ledger = SmallLedger()
    for step in steps:
        owner = f"customer/{data.draw(st.sampled_from('ab'))}"
        ledger.deposit(owner, "USD", 1_000)
        open_holds = [hold for hold in ledger.holds() if ledger.left_of(hold)]
        if step == "hold":
            ledger.hold(owner, "USD", data.draw(st.integers(1, 1_000)))
        elif step == "buy" and open_holds:
            hold = data.draw(st.sampled_from(open_holds))
            paid = data.draw(st.integers(1, ledger.left_of(hold)))
            ledger.buy(hold, "KO", 3, paid, is_last=data.draw(st.booleans()))
        elif step == "release" and open_holds:
            ledger.release(data.draw(st.sampled_from(open_holds)))
        else:
            write_down(ledger, step)
    report = verify(write(file, ledger.hashed(KEY)), keys=KEYS)
    assert report.transfers == len(ledger.transfers())
    assert report.open_holds == sum(ledger.left_of(hold) > 0 for hold in ledger.holds())


def write_down(ledger: SmallLedger, step: str) -> None:
    """A step that needs nothing but its name."""
    if step == "reverse":
        ledger.reverse(ledger.transfers()[-1].id)
    elif step == "batch":
        ledger.end_batch()
    elif step == "seal":
        ledger.seal()
    else:
        ledger.refuse()


# Flipping, dropping, reordering: what happens to files and disks, and clumsy forgers.


@settings(deadline=None, max_examples=400)
@given(st.data())
def test_a_flipped_byte_is_found_on_its_line(file: Path, data: st.DataObject) -> None:
    lines = lines_of(file, DAY)
    line = data.draw(st.integers(0, len(lines) - 1), label="line")
    place = data.draw(st.integers(0, len(lines[line]) - 1), label="place")
    flip = data.draw(st.integers(1, 255), label="flip")
    changed = bytearray(lines[line])
    changed[place] ^= flip
    file.write_bytes(b"".join([*lines[:line], changed, *lines[line + 1 :]]))
    assert breach_of(file).line == line + 1


def test_every_byte_of_a_small_journal_counts(file: Path) -> None:
    ledger = SmallLedger()
    ledger.refuse()
    ledger.deposit("customer/ä", "USD", 10)
    ledger.seal()
    lines = lines_of(file, ledger.hashed(KEY))
    whole = b"".join(lines)
    ends = [sum(map(len, lines[: at + 1])) for at in range(len(lines))]
    for place in range(len(whole)):
        changed = bytearray(whole)
        changed[place] ^= 0x20  # makes a letter a capital, and a digit a control character
        file.write_bytes(changed)
        assert breach_of(file).line == next(n for n, end in enumerate(ends, 1) if place < end)


@settings(deadline=None)
@given(st.data())
def test_a_dropped_row_is_found(file: Path, data: st.DataObject) -> None:
    lines = lines_of(file, DAY)
    line = data.draw(st.integers(0, len(lines) - 1))
    file.write_bytes(b"".join([*lines[:line], *lines[line + 1 :]]))
    breach = breach_of(file)
    if b'"row":"batch"' in lines[line] or b'"row":"checkpoint"' in lines[line]:
        assert breach.line > line  # the next of its kind shows it
    else:
        assert breach.line == min(line + 1, len(lines) - 1)


@settings(deadline=None)
@given(st.data())
def test_a_row_that_is_there_twice_is_found(file: Path, data: st.DataObject) -> None:
    lines = lines_of(file, DAY)
    line = data.draw(st.integers(0, len(lines) - 1))
    file.write_bytes(b"".join([*lines[: line + 1], *lines[line:]]))
    assert breach_of(file).line == line + 2


@settings(deadline=None)
@given(st.data())
def test_two_rows_that_changed_places_are_found(file: Path, data: st.DataObject) -> None:
    lines = lines_of(file, DAY)
    one = data.draw(st.integers(0, len(lines) - 2))
    other = data.draw(st.integers(one + 1, len(lines) - 1))
    lines[one], lines[other] = lines[other], lines[one]
    file.write_bytes(b"".join(lines))
    assert one < breach_of(file).line <= other + 1


@settings(deadline=None)
@given(st.data())
def test_a_file_that_was_cut_off_is_found(file: Path, data: st.DataObject) -> None:
    whole = write(file, DAY).read_bytes()
    file.write_bytes(whole[: data.draw(st.integers(0, len(whole) - 1))])
    breach_of(file)


def test_the_words_name_the_row_and_what_is_wrong(file: Path) -> None:
    rows = list(DAY)
    at = next(i for i, row in enumerate(rows) if isinstance(row, TransferRow) and row.seq == 3)
    entry = rows[at].entries[0]  # type: ignore[union-attr]
    rows[at] = replace(rows[at], entries=(replace(entry, balance_after=1_001),))
    with pytest.raises(Broken) as caught:
        verify(write(file, rows))
    assert str(caught.value) == (
        "line 5, transfer 3 (00000000-0000-0003-7000-000000000001), account customer/alice USD, "
        "version 2: balance_after: expected 1000, found 1001"
    )


def test_a_row_as_long_as_it_likes_is_told_in_short(file: Path) -> None:
    file.write_bytes(b'{"row":"header","format":"%b"}\n' % (b"x" * 1_000_000))
    with pytest.raises(Broken) as caught:
        verify(file)
    assert len(str(caught.value)) < 1_000
    ledger = SmallLedger()
    ledger.give("a" * 1_000_000, "customer/bob", "b" * 1_000_000, 1)
    with pytest.raises(Broken) as caught:
        verify(write(file, ledger.hashed(KEY)))
    assert len(str(caught.value)) < 3_000


def test_the_export_kept_its_batches_apart(file: Path) -> None:
    rows = [row for row in DAY if not (isinstance(row, BatchRow) and row.seq == 1)]
    breach = breach_of(write(file, hashed(rows, KEY)))
    assert (breach.batch_seq, breach.rule) == (2, "seq of the batch")


@pytest.mark.parametrize("field", ["first_seq", "last_seq"])
def test_a_batch_that_says_it_holds_others_is_found(file: Path, field: str) -> None:
    rows = [
        replace(row, **{field: 1}) if isinstance(row, BatchRow) and row.seq == 2 else row
        for row in DAY
    ]
    breach = breach_of(write(file, rows))
    assert (breach.batch_seq, breach.rule) == (2, f"{field} of the batch")


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("seq", 3),
        ("last_transfer_seq", 13),
        ("last_batch_seq", 2),
        ("last_batch_hash", "00" * 32),
        ("merkle_root", "00" * 32),
        ("previous_hash", "00" * 32),
    ],
)
def test_a_seal_over_something_else_is_found(file: Path, field: str, value: object) -> None:
    rows = [*DAY[:-1], KEY.seal(replace(seals(DAY)[-1], **{field: value}))]
    assert breach_of(write(file, rows)).rule == field


@pytest.mark.parametrize("is_sealed", [True, False])
def test_transfers_that_no_batch_holds_are_found(file: Path, is_sealed: bool) -> None:
    ledger = a_day(is_sealed=is_sealed)
    rows = [row for row in ledger.rows if not (isinstance(row, BatchRow) and row.seq == 3)]
    breach = breach_of(write(file, hashed(rows, KEY)))
    assert (breach.rule, breach.expected) == ("row", "the batch of transfer 14")
