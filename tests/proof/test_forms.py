"""A hash is of one row and no other, and stays what it was."""

import struct
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import astuple, replace

from libs.proof.forms import (
    NO_BATCH,
    Entry,
    Transfer,
    account_origin,
    batch_hash,
    entry_hash,
    micros_of,
    record_hash,
    time_of,
    transfer_hash,
)
from tests.proof.spelling import spelled

ID = "01935a3e-0000-7000-8000-000000000001"
ENTRY = Entry("customer/alice", "USD", 1, 1_000_000, 1_000_000, 0, 0)
TRANSFER = Transfer(
    seq=1,
    id=ID,
    kind="deposit",
    reason=0,
    amount=0,
    fingerprint="00112233445566778899aabbccddeeff",
    reference="Zürich",
    actor="olga",
    effective_at=1_795_219_200_000_000,
    recorded_at=1_795_219_200_000_001,
)
int64 = st.integers(-(2**63), 2**63 - 1)
absent_or_text = st.none() | st.text()
hashes = st.binary(min_size=32, max_size=32)


def test_hashes_stay_what_they_were() -> None:
    origin = account_origin("customer/alice", "USD", has_floor=True)
    record = record_hash(TRANSFER)
    entry = entry_hash(origin, ENTRY, record=record)
    transfer = transfer_hash(record, [entry])
    batch = batch_hash(NO_BATCH, seq=1, first_seq=1, last_seq=1, transfer_hashes=[transfer])
    assert [known.hex() for known in (origin, record, entry, transfer, batch)] == [
        "60547f5e8a9b6f0f39f32b45c185123a374deac64865539b0675dc4a80c728fc",
        "b61f493dff767f6413832fd6122a1ccf099fd08ecf16b8a4203fc531b53819f5",
        "91eb5f6567793e276c4ac1e24a4e3ed4181b51e2249bcf13b5b5b43c52ab36cb",
        "ffeb4c574ca0c54183333a423936ad554f34e80e9f9bac9a20916651a6720a08",
        "281c5abf51e9dc3e99e62befbf5142c5014b74a61476f60c12555ea97055a369",
    ]


@given(st.text(), st.text(), st.booleans())
def test_an_account_is_spelled_as_described(name: str, asset: str, has_floor: bool) -> None:
    found = account_origin(name, asset, has_floor=has_floor)
    assert found == spelled("account", int(has_floor), name, asset)


@given(hashes, st.builds(Entry, st.text(), st.text(), *[int64] * 5), hashes)
def test_an_entry_is_spelled_as_described(previous: bytes, entry: Entry, record: bytes) -> None:
    account, asset, *figures = astuple(entry)
    expected = spelled("entry", *figures, account, asset, record, previous)
    assert entry_hash(previous, entry, record=record) == expected


transfers = st.builds(
    Transfer,
    seq=int64,
    id=st.text(),
    kind=st.text(),
    reason=int64,
    amount=int64,
    fingerprint=st.text(),
    hold_id=absent_or_text,
    reverses=absent_or_text,
    reference=st.text(),
    actor=st.text(),
    terms=absent_or_text,
    effective_at=int64,
    recorded_at=int64,
)


@given(transfers)
def test_a_record_is_spelled_as_described(t: Transfer) -> None:
    integers = t.seq, t.reason, t.amount, t.effective_at, t.recorded_at
    texts = t.id, t.kind, t.fingerprint, t.hold_id, t.reverses, t.reference, t.actor, t.terms
    assert record_hash(t) == spelled("record", *integers, *texts)


@given(hashes, st.lists(hashes, max_size=5))
def test_a_transfer_is_spelled_as_described(record: bytes, entries: list[bytes]) -> None:
    assert transfer_hash(record, entries) == spelled("transfer", len(entries), record, *entries)


@given(hashes, int64, int64, int64, st.lists(hashes, max_size=5))
def test_a_batch_is_spelled_as_described(
    previous: bytes, seq: int, first: int, last: int, rows: list[bytes]
) -> None:
    found = batch_hash(previous, seq=seq, first_seq=first, last_seq=last, transfer_hashes=rows)
    assert found == spelled("batch", seq, first, last, len(rows), previous, *rows)


def test_an_absent_text_is_not_an_empty_one() -> None:
    spellings = {record_hash(replace(TRANSFER, terms=terms)) for terms in (None, "")}
    spellings |= {record_hash(replace(TRANSFER, hold_id=hold_id)) for hold_id in (None, "")}
    assert len(spellings) == 3  # with neither, it is the same row


def test_where_one_text_ends_and_the_next_begins_is_spelled() -> None:
    one = account_origin("ab", "c", has_floor=True)
    assert one != account_origin("a", "bc", has_floor=True)


@pytest.mark.parametrize("number", [2**63, -(2**63) - 1])
def test_a_number_beyond_64_bits_has_no_spelling(number: int) -> None:
    with pytest.raises(struct.error):
        record_hash(replace(TRANSFER, amount=number))


@given(st.datetimes(timezones=st.just(UTC)))
def test_a_time_is_spelled_to_the_microsecond(at: datetime) -> None:
    assert time_of(micros_of(at)) == at
