"""Files of rows: one spelling, whole or not at all."""

import subprocess
import sys
import tracemalloc
from io import BytesIO
from pathlib import Path

import pytest
from msgspec.structs import replace

from libs.proof.checkpoint import SigningKey
from libs.proof.export import (
    ExportRow,
    LineReader,
    NotARow,
    read_checkpoint,
    write_checkpoint,
)
from tests.proof.small_ledger import a_checkpoint, a_day, write

CHECKPOINT = a_checkpoint(a_day().hashed(SigningKey.new()))
_ON_A_FULL_DISK = """
import resource, sys
from pathlib import Path
from libs.proof.export import read_checkpoint, write_checkpoint
file = Path(sys.argv[1])
kept = read_checkpoint(file)
resource.setrlimit(resource.RLIMIT_FSIZE, (10, 10))
write_checkpoint(file, kept)
"""


def test_a_checkpoint_is_kept_and_read_again(tmp_path: Path) -> None:
    file = tmp_path / "checkpoint"
    write_checkpoint(file, CHECKPOINT)
    assert read_checkpoint(file) == CHECKPOINT


def test_a_checkpoint_that_cannot_be_replaced_stays(tmp_path: Path) -> None:
    file = tmp_path / "checkpoint"
    write_checkpoint(file, CHECKPOINT)
    done = subprocess.run(
        [sys.executable, "-c", _ON_A_FULL_DISK, str(file)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert "File too large" in done.stderr
    assert read_checkpoint(file) == CHECKPOINT
    assert list(tmp_path.iterdir()) == [file]


@pytest.mark.parametrize("times", [0, 2])
def test_a_checkpoint_s_file_holds_one(tmp_path: Path, times: int) -> None:
    file = tmp_path / "checkpoint"
    write_checkpoint(file, CHECKPOINT)
    file.write_bytes(file.read_bytes() * times)
    with pytest.raises(NotARow, match="not one row"):
        read_checkpoint(file)


@pytest.mark.parametrize("seq", [0, -1])
def test_the_first_checkpoint_is_number_one(tmp_path: Path, seq: int) -> None:
    file = tmp_path / "checkpoint"
    write_checkpoint(file, replace(CHECKPOINT, seq=seq))
    with pytest.raises(NotARow, match=r"seq"):
        read_checkpoint(file)


@pytest.mark.parametrize(
    "line",
    [
        b'{"row":"header","format":"x"}',  # no newline
        b'{"row":"header","format":"x"}\r\n',
        b'{"row":"header", "format":"x"}\n',
        b'{"format":"x","row":"header"}\n',
        b'{"row":"header","format":"x","more":1}\n',
        b'{"row":"header","format":"x","format":"x"}\n',
        b'{"row":"header","format":"\\u0078"}\n',
        b'\xef\xbb\xbf{"row":"header","format":"x"}\n',
        b"\n",
        b"[]\n",
        b'{"row":"nonsense"}\n',
        pytest.param(b'{"row":"header","more":' + b"[" * 99_999, id="deep"),
        b'{"row":"header","format":"\xff"}\n',
    ],
)
def test_a_row_has_one_spelling(line: bytes) -> None:
    right = LineReader[object](BytesIO(b'{"row":"header","format":"x"}\n'), ExportRow)
    assert len(list(right)) == 1
    with pytest.raises(NotARow, match="line 1"):
        list(LineReader[object](BytesIO(line), ExportRow))


def test_a_line_without_end_takes_no_more_memory_than_a_piece_of_it(tmp_path: Path) -> None:
    with (tmp_path / "journal").open("w+b") as file:
        file.truncate(512 << 20)
        tracemalloc.start()
        try:
            with pytest.raises(NotARow):
                list(LineReader[object](file, ExportRow))
            assert tracemalloc.get_traced_memory()[1] < 200 << 20
        finally:
            tracemalloc.stop()


def test_a_number_of_more_than_64_bits_is_no_row(tmp_path: Path) -> None:
    content = write(tmp_path / "journal", a_day().hashed(None)).read_bytes()
    for number in (b"9223372036854775808", b"-9223372036854775809", b"1.0", b"1e3", b'"1"'):
        with pytest.raises(NotARow, match="line 2"):
            list(
                LineReader[object](
                    BytesIO(content.replace(b'"seq":1,', b'"seq":%b,' % number, 1)), ExportRow
                )
            )
