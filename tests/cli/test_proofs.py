"""Files that prove the books, from the command line: written, checked, found broken."""

import asyncio
import json
import os
import sys
from asyncio.subprocess import PIPE
from pathlib import Path

import pytest

from libs.proof.export import CheckpointRow
from services.cli.failures import ExitCode
from tests.cli.conftest import Run, SmallHouse
from tests.cli.small_journal import DAY, KEY
from tests.proof import small_ledger

PUBLIC = KEY.public_key.hex()
SEALS = [row for row in DAY if isinstance(row, CheckpointRow)]
RECORDS = sum(1 + len(getattr(row, "entries", ())) for row in DAY)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """Where to write."""
    return tmp_path / "journal.jsonl"


def is_the_day(file: Path) -> bool:
    """Whether the file is the right export."""
    right = small_ledger.write(file.with_name("right"), DAY)
    return file.read_bytes() == right.read_bytes()


def change(file: Path, old: str, new: str) -> None:
    """Forge, at the first place."""
    content = file.read_text()
    assert old in content
    file.write_text(content.replace(old, new, 1))


async def test_an_export_is_the_journal_to_the_byte(file: Path, run: Run) -> None:
    result = await run("ledger", "export", str(file))
    assert (result.exit_code, result.stdout) == (0, f"14 transfers in {file}\n")
    assert is_the_day(file)


async def test_an_export_goes_on_over_cut_off_streams(
    house: SmallHouse, file: Path, run: Run
) -> None:
    house.ledger.cut_off_after = list(range(1, RECORDS, 5))
    result = await run("ledger", "export", str(file), "--json")
    assert result.exit_code == 0, result.output
    assert json.loads(result.stdout)["checkpoints"] == 2
    assert is_the_day(file)
    assert house.ledger.asked_after == sorted(house.ledger.asked_after)
    assert house.ledger.asked_after[-1] > 0


async def test_nothing_is_written_over_or_left_half(
    house: SmallHouse, file: Path, run: Run
) -> None:
    small_ledger.write(file, DAY)
    result = await run("ledger", "export", str(file))
    assert result.exit_code == ExitCode.USAGE
    assert "is there already" in result.stderr
    assert is_the_day(file)
    house.write_file(operators="127.0.0.1:1")
    other = file.with_name("other")
    assert (await run("ledger", "export", str(other))).exit_code == ExitCode.UNREACHABLE
    assert [path.name for path in file.parent.glob("*other*")] == []


async def test_a_whole_journal_is_said_to_be_whole_and_signed(file: Path, run: Run) -> None:
    await run("ledger", "export", str(file))
    result = await run("ledger", "verify", str(file), "--key", PUBLIC)
    assert result.exit_code == 0, result.output
    assert result.stdout.splitlines() == [
        "whole: 14 transfers, 24 entries, 3 batches, 2 checkpoints, 8 accounts, 1 open hold",
        f"signed to transfer 14, last by key {KEY.key_id}",
    ]


async def test_a_journal_written_in_several_files_is_checked_as_one(
    house: SmallHouse, tmp_path: Path, run: Run
) -> None:
    first, second = tmp_path / "1.jsonl", tmp_path / "2.jsonl"
    house.ledger.rows = DAY[: DAY.index(SEALS[0]) + 4]  # some more that is not sealed yet
    result = await run("ledger", "export", str(first), "--sealed")
    seq = SEALS[0].last_transfer_seq
    assert result.stdout.splitlines()[-1] == f"the next file goes on with --after {seq}"
    house.ledger.rows = DAY
    result = await run("ledger", "export", str(second), "--after", str(seq), "--sealed", "--json")
    assert json.loads(result.stdout)["last_transfer_seq"] == 14

    result = await run("ledger", "verify", str(first), str(second), "--key", PUBLIC)
    assert result.stdout.splitlines()[1] == f"signed to transfer 14, last by key {KEY.key_id}"
    result = await run("ledger", "verify", str(second), "--key", PUBLIC)
    assert result.exit_code == ExitCode.BROKEN


async def test_without_a_key_it_is_said_that_no_signature_was_checked(file: Path, run: Run) -> None:
    await run("ledger", "export", str(file))
    result = await run("ledger", "verify", str(file))
    assert result.exit_code == 0
    assert f"signatures were not checked: give --key for the key {KEY.key_id}" in result.stdout
    told = await run("ledger", "verify", str(file), "--json")
    assert json.loads(told.stdout)["signatures_checked"] is False


async def test_what_is_not_signed_yet_is_said(file: Path, run: Run) -> None:
    small_ledger.write(file, small_ledger.a_day(is_sealed=False).hashed(KEY))
    result = await run("ledger", "verify", str(file), "--key", PUBLIC)
    assert "transfers from 7 on are not signed yet" in result.stdout
    small_ledger.write(file, [])
    result = await run("ledger", "verify", str(file), "--key", PUBLIC)
    assert "nothing is signed yet" in result.stdout


async def test_the_first_broken_row_is_named_and_ends_with_7(file: Path, run: Run) -> None:
    await run("ledger", "export", str(file))
    change(file, '"balance_after":599,', '"balance_after":500,')
    result = await run("ledger", "verify", str(file), "--key", PUBLIC)
    assert (result.exit_code, result.stdout) == (ExitCode.BROKEN, "")
    assert result.stderr.startswith(f"stockbroker: {file} is broken at line ")
    assert result.stderr.count("\n") == 1
    told = await run("ledger", "verify", str(file), "--json")
    assert told.exit_code == ExitCode.BROKEN
    found = json.loads(told.stdout)
    assert found["whole"] is False
    assert found["breach"]["found"] == "500"


async def test_a_kept_checkpoint_finds_an_end_that_was_taken_off(file: Path, run: Run) -> None:
    small_ledger.write(file, DAY)
    kept = str(file.with_name("kept"))
    await run("ledger", "verify", str(file), "--key", PUBLIC, "--keep-checkpoint", kept)
    again = await run("ledger", "verify", str(file), "--key", PUBLIC, "--checkpoint", kept)
    assert again.exit_code == 0, again.output
    small_ledger.write(file, DAY[: DAY.index(small_ledger.a_checkpoint(DAY)) + 1])
    alone = await run("ledger", "verify", str(file), "--key", PUBLIC)
    assert alone.exit_code == 0
    result = await run("ledger", "verify", str(file), "--key", PUBLIC, "--checkpoint", kept)
    assert result.exit_code == ExitCode.BROKEN
    assert "expected at least 2, which covers transfer 14, found 1" in result.stderr


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--key", "nonsense"], "no public key in hex, and no file"),
        (["--checkpoint", "FILE"], "holds no checkpoint"),
    ],
)
async def test_what_cannot_be_used_is_said(
    arguments: list[str], words: str, file: Path, run: Run
) -> None:
    small_ledger.write(file, DAY)
    told = [str(file) if argument == "FILE" else argument for argument in arguments]
    result = await run("ledger", "verify", str(file), *told)
    assert result.exit_code == ExitCode.USAGE
    assert words in result.stderr


async def test_what_can_be_read_only_once_is_not_said_to_be_broken(file: Path, run: Run) -> None:
    os.mkfifo(file)
    result = await run("ledger", "verify", str(file))
    assert result.exit_code == ExitCode.USAGE
    assert "no file that can be read twice" in result.stderr


async def test_a_statement_is_written_and_checked(file: Path, run: Run) -> None:
    written = await run("ledger", "statement", str(file), "--as", "alice")
    assert written.stdout == f"5 entries of customer/alice USD in {file}\n"
    result = await run("ledger", "check-statement", str(file), "--key", PUBLIC)
    assert result.exit_code == 0, result.output
    assert result.stdout.splitlines() == [
        "right: 5 entries of customer/alice USD, versions 1 to 5",
        "balance $0.00 before, $0.000599 after",
    ]


async def test_a_statement_of_a_later_time_says_where_it_goes_on(file: Path, run: Run) -> None:
    await run("ledger", "statement", str(file), "--asset", "AAPL", "--since", "2030-01-01")
    result = await run("ledger", "check-statement", str(file), "--key", PUBLIC, "--json")
    told = json.loads(result.stdout)
    assert (told["entries"], told["opening_version"], told["opening_balance"]) == (0, 4, 11)
    assert told["since"] == 1_893_456_000_000_000
    shown = await run("ledger", "check-statement", str(file), "--key", PUBLIC)
    assert shown.stdout.splitlines()[:2] == [
        "right, and without any entry of customer/alice AAPL",
        "no entry proves the balance: the statement before does",
    ]


async def test_a_broken_statement_ends_with_7(file: Path, run: Run) -> None:
    await run("ledger", "statement", str(file))
    change(file, "olga", "Olga")
    result = await run("ledger", "check-statement", str(file), "--key", PUBLIC)
    assert result.exit_code == ExitCode.BROKEN
    assert "hash over the entry and its transfer" in result.stderr


async def test_a_statement_is_checked_against_a_key_or_not_at_all(file: Path, run: Run) -> None:
    await run("ledger", "statement", str(file))
    assert (await run("ledger", "check-statement", str(file))).exit_code == ExitCode.USAGE


async def test_a_check_needs_no_house_and_touches_no_network(file: Path) -> None:
    small_ledger.write(file, DAY)
    script = (
        "import sys\n"
        "from services.cli.main import app\n"
        "try:\n"
        "    app(sys.argv[1:])\n"
        "finally:\n"
        "    offline = {'grpc', 'psycopg', 'nats', 'stockbroker'}\n"
        "    print(sorted(offline & set(sys.modules)))\n"
    )
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", script, "ledger", "verify", str(file), "--key", PUBLIC),
        env={"PYTHONPATH": ":".join(sys.path), "STOCKBROKER_DATA_FOLDER": "/nowhere"},
        stdout=PIPE,
    )
    output, _ = await process.communicate()
    assert process.returncode == 0
    assert output.decode().endswith("[]\n")
