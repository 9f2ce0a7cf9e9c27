"""The command line as a process: it starts quickly, ends cleanly, and never shows a traceback."""

import asyncio
import json
import os
import re
import signal
import sys
from asyncio.subprocess import PIPE, Process
from pathlib import Path

import pytest

from services.cli.failures import ExitCode
from tests.cli.conftest import Run, SmallHouse

README = Path(__file__).parents[2] / "services" / "cli" / "README.md"


# What a shell starts in the background ignores SIGINT, and so would all that it starts.
# Mended here and not by preexec_fn: the gRPC of this process does not bear to be forked.
_AS_IN_A_TERMINAL = """
import runpy, signal
signal.signal(signal.SIGINT, signal.default_int_handler)
runpy.run_module("services.cli.main", run_name="__main__", alter_sys=True)
"""


async def _start(house: SmallHouse, *arguments: str) -> Process:
    return await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", _AS_IN_A_TERMINAL, *arguments),
        env=os.environ | house.environment(),
        stdout=PIPE,
        stderr=PIPE,
    )


async def _line(process: Process) -> bytes:
    assert process.stdout is not None
    assert process.stderr is not None
    line = await asyncio.wait_for(process.stdout.readline(), 60)
    assert line, f"it ended: {await process.stderr.read()!r}"
    return line


async def _interrupt(process: Process) -> bytes:
    """What it said last on standard error."""
    process.send_signal(signal.SIGINT)
    _, errors = await asyncio.wait_for(process.communicate(), 60)
    assert process.returncode == ExitCode.INTERRUPTED
    assert b"Traceback" not in errors
    return errors


async def test_a_watch_shows_what_happens_until_it_is_interrupted(
    house: SmallHouse, run: Run
) -> None:
    house.orders.cut_off_after = [2]
    watch = await _start(house, "watch", "--after-seq", "1", "--json")
    await run("place", "AAPL", "buy", "300", "--no-wait")
    seqs: list[str] = []
    while seqs[-1:] != ["4"]:
        line = json.loads(await _line(watch))
        seqs += [line["event"]["seq"]] if "event" in line else []
    assert seqs == ["2", "3", "4"]
    await _interrupt(watch)


async def test_a_proxy_of_the_environment_is_not_asked_for_the_way(
    house: SmallHouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    monkeypatch.delenv("no_proxy", raising=False)
    monkeypatch.delenv("no_grpc_proxy", raising=False)
    process = await _start(house, "market", "hours")
    output, errors = await asyncio.wait_for(process.communicate(), 60)
    assert (output, errors) == (b"the exchange is always open\n", b"")


async def test_who_interrupts_a_wait_is_told_that_the_trade_goes_on(house: SmallHouse) -> None:
    waiting = await _start(house, "place", "SLOW", "buy", "1")
    while b"IN_PROGRESS" not in await _line(waiting):
        pass
    assert b"is still IN_PROGRESS and goes on" in await _interrupt(waiting)


async def test_a_watch_of_the_invariants_goes_on_until_it_is_interrupted(house: SmallHouse) -> None:
    watch = await _start(house, "invariants", "--watch")
    seen: list[bytes] = []
    while sum(b"up to transfer 42" in line for line in seen) < 2:  # cut off and opened anew
        seen.append(await _line(watch))
    await _interrupt(watch)
    assert sum(b"an account's versions have no gap" in line for line in seen) == 1


@pytest.mark.parametrize(
    ("output", "told"),
    [("/dev/full", "stockbroker: this machine: No space left on device"), ("&-", "closed")],
)
@pytest.mark.parametrize("command", ["--help", "market hours"])
async def test_what_cannot_be_written_is_one_sentence(
    house: SmallHouse, command: str, output: str, told: str
) -> None:
    process = await asyncio.create_subprocess_shell(
        f"{sys.executable} -m services.cli.main {command} >{output}",
        env=os.environ | house.environment(),
        stderr=PIPE,
    )
    _, errors = await process.communicate()
    assert process.returncode == ExitCode.FAULT
    (line,) = errors.decode().splitlines()
    assert told in line


async def test_what_the_archive_does_not_understand_is_said_of_what_was_typed(
    house: SmallHouse,
) -> None:
    house.write_file(databases={"order": "postgresql:///order"})
    process = await _start(house, "archive", "order", "--befor", "2026-08")
    _, errors = await asyncio.wait_for(process.communicate(), 60)
    assert process.returncode == ExitCode.USAGE
    assert b"Usage: stockbroker archive order [OPTIONS]" in errors
    assert b"python -m" not in errors


async def test_nothing_slow_is_imported_before_a_command_runs(house: SmallHouse) -> None:
    code = "import services.cli.main, sys; sys.exit('grpc' in sys.modules or 'jwt' in sys.modules)"
    process = await asyncio.create_subprocess_exec(sys.executable, "-c", code)
    assert await process.wait() == 0


async def test_a_house_that_is_not_there_is_said_with_what_to_do(
    house: SmallHouse, run: Run
) -> None:
    (house.folder / "house.json").unlink()
    for command in (["portfolio"], ["status"], ["token"], ["halts"], ["market"]):
        result = await run(*command)
        assert (result.exit_code, result.stdout) == (4, "")
        assert "the house is not running" in result.stderr
        assert "`make up` starts it" in result.stderr


async def test_a_house_that_does_not_answer_is_said_with_what_to_do(
    house: SmallHouse, run: Run
) -> None:
    house.write_file(public="127.0.0.1:1", operators="127.0.0.1:1")
    for command in (["portfolio"], ["watch"], ["halts"], ["place", "AAPL", "buy", "1"]):
        result = await run(*command)
        assert (result.exit_code, result.stdout) == (4, "")
        assert re.search(r"listener at 127\.0\.0\.1:1 does not answer .* `make up`", result.stderr)


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b'{"public": 1}', b'{"public": "\xff"}'])
async def test_a_damaged_house_file_is_one_sentence(
    house: SmallHouse, run: Run, content: bytes
) -> None:
    (house.folder / "house.json").write_bytes(content)
    result = await run("portfolio")
    assert (result.exit_code, len(result.stderr.splitlines())) == (1, 1)


async def test_a_missing_key_is_one_sentence(house: SmallHouse, run: Run) -> None:
    house.write_file(signing_key_file=str(house.folder / "none.pem"))
    result = await run("portfolio")
    assert result.exit_code == 1
    assert "set STOCKBROKER_TOKEN to a token instead" in result.stderr


async def test_a_damaged_key_is_one_sentence(house: SmallHouse, run: Run) -> None:
    key = house.folder / "damaged.pem"
    key.write_text("junk")
    house.write_file(signing_key_file=str(key))
    for command in ("portfolio", "token"):
        result = await run(command)
        assert (result.exit_code, len(result.stderr.splitlines())) == (1, 1)
        assert "set STOCKBROKER_TOKEN to a token instead" in result.stderr


async def test_who_closes_standard_error_is_obeyed_in_silence(house: SmallHouse) -> None:
    process = await asyncio.create_subprocess_shell(
        f"{sys.executable} -m services.cli.main deposit alice 5 2>&-",
        env=os.environ | house.environment(),
        stdout=PIPE,
    )
    output, _ = await process.communicate()
    assert (process.returncode, output) == (0, b"alice now owns $5.00\n")


async def test_the_table_of_exit_codes_is_the_enum() -> None:
    told = re.findall(r"^\| (\d+) \| ", README.read_text(), re.MULTILINE)
    assert [int(code) for code in told] == [code.value for code in ExitCode]
