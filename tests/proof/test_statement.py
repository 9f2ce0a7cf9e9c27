"""A statement proves what it says with nothing but the house's public key."""

from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from libs.proof.breach import Breach, Broken
from libs.proof.checkpoint import SigningKey
from libs.proof.export import CheckpointRow, TransferRow
from libs.proof.statement import (
    HeadRow,
    ProvenRow,
    StatementReport,
    StatementWriter,
    check_statement,
)
from tests.proof.small_ledger import SmallLedger, a_day, hashed
from tests.proof.small_statement import ALICE, Rows, statement_of, write

KEY = SigningKey(Ed25519PrivateKey.from_private_bytes(bytes(range(32))))
FORGER = SigningKey(Ed25519PrivateKey.from_private_bytes(bytes(range(1, 33))))
DAY = a_day().hashed(KEY)


def breach_of(file: Path) -> Breach:
    """What is named as broken."""
    with pytest.raises(Broken) as caught:
        check_statement(file, keys=[KEY.public_key])
    return caught.value.breach


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where statements are written; each test writes its own."""
    return tmp_path_factory.mktemp("statement") / "statement.jsonl"


def test_a_right_statement_is_found_right(file: Path) -> None:
    report = check_statement(write(file, statement_of(DAY, KEY.public_key)), keys=[KEY.public_key])
    assert report == StatementReport(
        account=ALICE,
        asset="USD",
        since=None,
        until=None,
        transfers=5,
        entries=5,
        checkpoints=2,
        opening_version=0,
        opening_balance=0,
        closing_version=5,
        closing_balance=599,
        closing_hash=report.closing_hash,
    )


def test_a_statement_goes_on_from_the_one_before(file: Path) -> None:
    day = a_day()
    before = check_statement(write(file, statement_of(DAY, KEY.public_key)), keys=[KEY.public_key])
    noon = day.transfers()[-1].recorded_at + 1
    day.deposit(ALICE, "USD", 1)
    day.seal()
    rows = statement_of(day.hashed(KEY), KEY.public_key, since=noon)
    after = check_statement(write(file, rows), keys=[KEY.public_key])
    assert isinstance(rows[0], HeadRow)
    assert rows[0].opening_hash == before.closing_hash
    assert (after.opening_version, after.opening_balance) == (5, 599)
    assert (after.closing_version, after.closing_balance) == (6, 600)


def test_several_own_entries_of_one_transfer_are_all_proven(file: Path) -> None:
    ledger = SmallLedger()
    amounts = (5, 7, -3)
    entries = [
        entry
        for amount in amounts
        for entry in (
            ledger.entry("house/x", "USD", -amount),
            ledger.entry(ALICE, "USD", amount),
        )
    ]
    ledger.transfer("transfer", entries)
    ledger.seal()
    report = check_statement(
        write(file, statement_of(ledger.hashed(KEY), KEY.public_key)), keys=[KEY.public_key]
    )
    assert (report.entries, report.closing_balance) == (3, 9)


def test_nobody_else_is_told_of() -> None:
    rows = statement_of(DAY, KEY.public_key, asset="AAPL")
    told = {e.account for row in rows if isinstance(row, ProvenRow) for e in row.entries}
    assert told == {ALICE}


@settings(deadline=None, max_examples=300)
@given(st.data())
def test_a_flipped_byte_is_found_on_its_line(file: Path, data: st.DataObject) -> None:
    lines = write(file, statement_of(DAY, KEY.public_key)).read_bytes().splitlines(keepends=True)
    line = data.draw(st.integers(0, len(lines) - 1), label="line")
    place = data.draw(st.integers(0, len(lines[line]) - 1), label="place")
    changed = bytearray(lines[line])
    changed[place] ^= data.draw(st.integers(1, 255), label="flip")
    file.write_bytes(b"".join([*lines[:line], changed, *lines[line + 1 :]]))
    found = breach_of(file).line
    # What the head says of the beginning shows at the first entry, of the period at the end.
    assert found == line + 1 or line == 0


@settings(deadline=None)
@given(st.data())
def test_a_dropped_or_doubled_row_is_found(file: Path, data: st.DataObject) -> None:
    lines = write(file, statement_of(DAY, KEY.public_key)).read_bytes().splitlines(keepends=True)
    line = data.draw(st.integers(0, len(lines) - 1))
    times = data.draw(st.sampled_from([0, 2]))
    file.write_bytes(b"".join([*lines[:line], *lines[line : line + 1] * times, *lines[line + 1 :]]))
    assert breach_of(file).line >= min(line + 1, len(lines) - 1)


# Forgers: the file's own count and digest are right again.


def place_of_transfer(rows: Rows, number: int) -> int:
    """Where the transfer `number` (from 0) stands."""
    return [at for at, row in enumerate(rows) if isinstance(row, ProvenRow)][number]


@pytest.mark.parametrize("number", range(4))
def test_an_entry_left_out_is_found(file: Path, number: int) -> None:
    rows = statement_of(DAY, KEY.public_key)
    del rows[place_of_transfer(rows, number)]
    breach = breach_of(write(file, rows))
    assert (breach.rule, breach.version) == ("version", number + 2)


def test_an_entry_left_out_at_the_end_shows_in_the_next_statement_only(file: Path) -> None:
    rows = statement_of(DAY, KEY.public_key)
    report = check_statement(write(file, rows[:-1]), keys=[KEY.public_key])
    assert (report.entries, report.closing_version) == (4, 4)


@pytest.mark.parametrize(
    ("field", "value", "rule"),
    [
        ("reference", "another", "hash over the entry and its transfer"),
        ("actor", "nobody", "hash over the entry and its transfer"),
        ("effective_at", 0, "hash over the entry and its transfer"),
        ("kind", "gift", "hash over the entry and its transfer"),
        ("hash", "00" * 32, "hash of the transfer"),
        ("path", (), "root of its path"),
        ("path", ("00" * 32,) * 3, "root of its path"),
        ("leaf_index", 1, "leaf_index"),
        ("leaf_count", 5, "leaf_index"),
        ("checkpoint_seq", 2, "checkpoint_seq"),
        ("leaves", (1,), "hash of the transfer"),
        ("leaves", ("00" * 32, 2), "version of its next own entry"),
        ("leaves", ("00" * 32, "00" * 32), "place among all entries"),
        ("leaves", (1, 1), "version of its next own entry"),
        ("entries", (), "entries"),
        ("reason", 205, "entries"),
    ],
)
def test_a_forged_transfer_is_found(file: Path, field: str, value: object, rule: str) -> None:
    rows = statement_of(DAY, KEY.public_key)
    at = place_of_transfer(rows, 0)
    rows[at] = replace(rows[at], **{field: value})
    breach = breach_of(write(file, rows))
    assert (breach.rule, breach.transfer_seq) == (rule, 1)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("opening_version", 1),
        ("opening_balance", 1),
        ("opening_hash", "00" * 32),
        ("account", "customer/bob"),
        ("asset", "EUR"),
        ("public_key", FORGER.public_key.hex()),
        ("since", 2**62),
        ("until", 0),
        ("format", "stockbroker-statement/2"),
    ],
)
def test_a_forged_head_is_found(file: Path, field: str, value: object) -> None:
    rows = statement_of(DAY, KEY.public_key)
    rows[0] = replace(rows[0], **{field: value})
    assert breach_of(write(file, rows)).line <= 3


@pytest.mark.parametrize(("field", "value"), [("opening_balance", 1), ("opening_hash", "00" * 32)])
def test_a_forged_head_of_an_empty_statement_is_found(
    file: Path, field: str, value: object
) -> None:
    head = replace(statement_of(DAY, KEY.public_key)[0], **{field: value})
    assert breach_of(write(file, [head])).rule == field


@pytest.mark.parametrize(
    ("field", "value", "rule"),
    [
        ("account", "customer/bob", "account"),
        ("asset", "EUR", "asset"),
        ("opening_version", 2, "version"),
        ("opening_balance", 1, "balance_after"),
        ("opening_hash", "00" * 32, "previous_hash"),
    ],
)
def test_a_forged_head_of_a_later_time_is_found(
    file: Path, field: str, value: object, rule: str
) -> None:
    noon = a_day().transfers()[2].recorded_at
    rows = statement_of(DAY, KEY.public_key, since=noon)
    rows[0] = replace(rows[0], **{field: value})
    assert breach_of(write(file, rows)).rule == rule


def test_what_was_recorded_when_the_period_was_over_is_none_of_it(file: Path) -> None:
    rows = statement_of(DAY, KEY.public_key)
    last = rows[-1]
    assert isinstance(last, ProvenRow)
    rows[0] = replace(rows[0], until=last.recorded_at + 1)
    assert check_statement(write(file, rows), keys=[KEY.public_key]).entries == 5
    rows[0] = replace(rows[0], until=last.recorded_at)
    assert breach_of(write(file, rows)).rule == "recorded_at"


@pytest.mark.parametrize(
    ("field", "rule"),
    [("previous_hash", "previous_hash"), ("hash", "hash over the entry and its transfer")],
)
def test_an_entry_that_is_linked_otherwise_is_found(file: Path, field: str, rule: str) -> None:
    rows = statement_of(DAY, KEY.public_key)
    at = place_of_transfer(rows, 0)
    row = rows[at]
    assert isinstance(row, ProvenRow)
    rows[at] = replace(row, entries=(replace(row.entries[0], **{field: "00" * 32}),))
    assert breach_of(write(file, rows)).rule == rule


def test_a_statement_from_the_first_entry_on_hides_none(file: Path) -> None:
    noon = a_day().transfers()[2].recorded_at
    rows = statement_of(DAY, KEY.public_key, since=noon)
    assert check_statement(write(file, rows), keys=[KEY.public_key]).opening_version == 1
    rows[0] = replace(rows[0], since=None)
    assert breach_of(write(file, rows)).rule == "opening_version"


def test_checkpoints_that_do_not_follow_each_other_are_found(file: Path) -> None:
    rows = statement_of(DAY, KEY.public_key)
    places = [at for at, row in enumerate(rows) if isinstance(row, CheckpointRow)]
    doubled = [*rows[: places[0]], rows[places[0]], *rows[places[0] :]]
    assert breach_of(write(file, doubled)).rule == "seq"
    second = rows[places[1]]
    assert isinstance(second, CheckpointRow)
    rows[places[1]] = KEY.seal(replace(second, previous_hash="00" * 32))
    breach = breach_of(write(file, rows))
    assert (breach.rule, breach.checkpoint_seq) == ("previous_hash", 2)


def test_a_second_head_is_found(file: Path) -> None:
    head = statement_of(DAY, KEY.public_key)[0]
    assert isinstance(head, HeadRow)
    with file.open("wb") as target:
        writer = StatementWriter(target, head)
        writer.write(head)  # type: ignore[arg-type]
    breach = breach_of(file)
    assert (breach.line, breach.rule) == (2, "row")


def test_a_statement_of_another_journal_is_found_by_its_seal(file: Path) -> None:
    forged = [
        replace(row, reference="forged") if isinstance(row, TransferRow) and row.seq == 1 else row
        for row in DAY
    ]
    rows = statement_of(hashed(forged, FORGER), KEY.public_key)
    assert breach_of(write(file, rows)).rule == "key_id"


def test_a_transfer_of_another_journal_is_found_under_the_right_seal(file: Path) -> None:
    forged = [
        replace(row, reference="forged") if isinstance(row, TransferRow) and row.seq == 1 else row
        for row in DAY
    ]
    rows = statement_of(hashed(forged, FORGER), KEY.public_key)
    rows[1] = next(row for row in DAY if isinstance(row, CheckpointRow))
    breach = breach_of(write(file, rows))
    assert (breach.rule, breach.transfer_seq) == ("root of its path", 1)
