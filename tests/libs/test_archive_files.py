"""Files of an archived month that were damaged or replaced are told as such."""

import gzip
import tracemalloc
from hashlib import sha256
from pathlib import Path

import pytest
from msgspec.structs import replace

from libs.archive import Damaged, Manifest, check
from libs.archive.files import manifest_path, rows_path, write_manifest

DEEP = b'{"a":' + b"[" * 9_999
CSV = b"id,note\n1,one\n2,two\n"
RIGHT = Manifest(
    service="diary",
    table="step",
    month="2026-07",
    has_all_before=False,
    file="diary-step-2026-07.csv.gz",
    rows=2,
    sha256=sha256(CSV).hexdigest(),
    columns=["id", "note"],
    first={"id": "1"},
    last={"id": "2"},
    schema="0001_steps.sql",
    database_since="2026-07-01",
)


def a_month(folder: Path, manifest: Manifest = RIGHT, content: bytes = CSV) -> Path:
    """Where its manifest lies."""
    rows_path(folder, "diary", "step", manifest.month).write_bytes(gzip.compress(content))
    return write_manifest(folder, manifest)


def test_a_right_month_is_found_right(tmp_path: Path) -> None:
    assert check(a_month(tmp_path)) == RIGHT


def test_a_month_in_the_place_of_another_is_found(tmp_path: Path) -> None:
    june = a_month(tmp_path, replace(RIGHT, month="2026-06", file="diary-step-2026-06.csv.gz"))
    july = a_month(tmp_path)
    july.write_bytes(june.read_bytes())
    with pytest.raises(Damaged, match="that of '2026-06'"):
        check(july)


@pytest.mark.parametrize("file", ["", "../other.csv.gz", "/other.csv.gz", "other.csv.gz"])
def test_a_manifest_names_no_rows_but_its_own(tmp_path: Path, file: str) -> None:
    with pytest.raises(Damaged, match="with the rows of"):
        check(a_month(tmp_path, replace(RIGHT, file=file)))


@pytest.mark.parametrize(
    "text", [b"", b"[]", b'{"format":"\xff"}', DEEP], ids=["none", "list", "bytes", "deep"]
)
def test_what_is_no_manifest_is_told(tmp_path: Path, text: bytes) -> None:
    path = manifest_path(tmp_path, "diary", "step", "2026-07")
    path.write_bytes(text)
    with pytest.raises(Damaged, match="no manifest"):
        check(path)


@pytest.mark.parametrize("content", [b"", b"note\none\n", b"note,id\none\n", b"\xff,id\n"])
def test_what_are_no_rows_of_the_table_is_told(tmp_path: Path, content: bytes) -> None:
    with pytest.raises(Damaged):
        check(a_month(tmp_path, content=content))


def test_a_line_without_end_takes_no_more_memory_than_a_piece_of_it(tmp_path: Path) -> None:
    path = a_month(tmp_path)
    with rows_path(tmp_path, "diary", "step", "2026-07").open("wb") as file:
        for _ in range(256):
            file.write(gzip.compress(b"a" * (1 << 20)))
    tracemalloc.start()
    try:
        with pytest.raises(Damaged):
            check(path)
        assert tracemalloc.get_traced_memory()[1] < 128 << 20
    finally:
        tracemalloc.stop()
