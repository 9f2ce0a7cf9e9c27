"""PostgreSQL and NATS out of wheels: they keep what they took, and nothing of them is left over."""

import json
import os
import signal
import socket
import subprocess
import sys
import textwrap
import threading
import urllib.request
from pathlib import Path

import psycopg
import pytest
from nats.aio.client import Client

from libs.embedded import CannotRun, Child, Nats, Postgres, Tuning, free_port
from libs.embedded.child import (
    end_leftovers,
    first_answer,
    launched,
    processes_in,
    script,
    stop,
    wait_until,
)

SMALL = Tuning(shared_buffers_mb=32, max_wal_size_mb=256)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder in which PostgreSQL ran once and ended well; tests leave it so."""
    folder = tmp_path_factory.mktemp("postgres")
    with Postgres(folder, tuning=SMALL) as server:
        server.create_role_and_database("ledger")
        server.create_role_and_database("order")
    return folder


def _one(url: str, question: str) -> object:
    with psycopg.connect(url) as conn:
        row = conn.execute(question.encode()).fetchone()
        assert row is not None
        return row[0]


def test_what_was_committed_outlives_kill_9(data: Path) -> None:
    with Postgres(data, tuning=SMALL) as server:
        with psycopg.connect(server.url("ledger")) as conn:
            conn.execute("CREATE TABLE IF NOT EXISTS kept (id int)")
            conn.execute("INSERT INTO kept VALUES (1)")
        server.kill()
        server.start()
        assert _one(server.url("ledger"), "SELECT count(*) FROM kept") == 1


def test_it_is_durable_and_speaks_unicode(data: Path) -> None:
    with Postgres(data, tuning=SMALL) as server:
        url = server.url("ledger")
        for name in ("fsync", "synchronous_commit", "full_page_writes", "data_checksums"):
            assert _one(url, f"SHOW {name}") == "on"
        assert _one(url, "SHOW server_encoding") == "UTF8"
        assert _one(url, "SELECT lower('ÄÖÜ')") == "äöü"


def test_a_role_gets_into_its_own_database_alone_and_only_with_its_password(data: Path) -> None:
    with Postgres(data, tuning=SMALL) as server:
        assert _one(server.url("ledger"), "SELECT current_user") == "ledger"
        with pytest.raises(psycopg.OperationalError, match="permission denied"):
            psycopg.connect(server.url("order", role="ledger"))
        with pytest.raises(psycopg.OperationalError, match="password"):
            psycopg.connect(f"postgresql://ledger:guess@127.0.0.1:{server.port}/ledger")


def test_the_secret_is_readable_by_its_owner_alone(data: Path) -> None:
    assert (data / "secret").stat().st_mode & 0o777 == 0o600


def test_what_an_earlier_run_left_behind_is_no_obstacle(data: Path) -> None:
    # Its process id is now another's: ours, which lives.
    stale = data / "data" / "postmaster.pid"
    stale.write_text(f"{os.getpid()}\n{data / 'data'}\n1\n5432\n\n127.0.0.1\n0 0\nready\n")
    with Postgres(data, tuning=SMALL) as server:
        assert server.is_ready()


def test_an_initialisation_broken_off_begins_anew(tmp_path: Path) -> None:
    half = tmp_path / "data.new"
    half.mkdir(mode=0o700)
    (half / "PG_VERSION").write_text("18\n")
    with Postgres(tmp_path, tuning=SMALL) as server:
        assert server.is_ready()
    assert not half.exists()


def test_a_folder_that_is_not_whole_is_refused_with_a_sentence(tmp_path: Path) -> None:
    broken = tmp_path / "data"
    broken.mkdir(mode=0o700)
    if os.geteuid() == 0:
        os.chown(broken, 65534, 65534)
    with pytest.raises(CannotRun, match="not a whole data folder"):
        Postgres(tmp_path).start()
    (tmp_path / "secret").touch()
    (broken / "PG_VERSION").write_text("16\n")
    with pytest.raises(CannotRun, match="of PostgreSQL 16, this is 18"):
        Postgres(tmp_path).start()


def test_a_port_in_use_is_refused_with_a_sentence(data: Path, tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        with pytest.raises(CannotRun, match=f"port {port}, wanted by PostgreSQL, is in use"):
            Postgres(data, port=port).start()
        with pytest.raises(CannotRun, match=f"port {port}, wanted by NATS, is in use"):
            Nats(tmp_path, port=port).start()


def test_a_free_port_is_given_out_once_and_never_taken_by_a_connection() -> None:
    ask = (
        "from libs.embedded import free_port; print(*(free_port() for _ in range(300)), flush=True)"
    )
    other = subprocess.Popen(
        [sys.executable, "-c", f"{ask}; input()"], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    assert other.stdout is not None
    theirs = {int(port) for port in other.stdout.readline().split()}
    ours = {free_port() for _ in range(300)}
    other.communicate(b"\n")
    assert len(ours | theirs) == 600
    connections = Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()
    assert max(ours) < int(connections[0])


def test_a_missing_program_is_named_with_its_wheel() -> None:
    with pytest.raises(CannotRun, match="the wheel no-such-wheel is not installed"):
        script("no-such-program", wheel="no-such-wheel")


async def test_what_nats_acknowledged_outlives_kill_9(tmp_path: Path) -> None:
    with Nats(tmp_path) as server:
        client = Client()
        await client.connect(server.url)
        await client.jetstream().add_stream(name="KEPT", subjects=["kept"])
        await client.jetstream().publish("kept", b"a trade")
        await client.close()
        server.kill()
        server.start()
        client = Client()
        await client.connect(server.url)
        kept = await client.jetstream().get_msg("KEPT", 1)
        assert kept.data == b"a trade"
        await client.close()


def test_nats_runs_in_a_folder_of_any_name(tmp_path: Path) -> None:
    with Nats(tmp_path / 'a "böse" \\ house \N{HOUSE BUILDING}') as server:
        assert server.is_ready()


def test_nats_writes_to_the_disk_before_it_acknowledges(tmp_path: Path) -> None:
    with Nats(tmp_path) as server:
        url = f"http://127.0.0.1:{server.monitor_port}/jsz?config=1"
        with urllib.request.urlopen(url, timeout=5) as answer:
            assert json.load(answer)["config"]["sync_always"] is True


def test_nothing_outlives_its_parent(data: Path, tmp_path: Path) -> None:
    parent = textwrap.dedent(
        """
        import sys, time
        from pathlib import Path
        from libs.embedded import Child, Nats, Postgres
        postgres, nats = Postgres(Path(sys.argv[1])), Nats(Path(sys.argv[2]))
        child = Child(["/bin/sleep", "1000"], log=Path(sys.argv[2]) / "child.log")
        postgres.start(), nats.start(), child.start()
        print(postgres.child.pid, nats.child.pid, child.pid, flush=True)
        time.sleep(1000)
        """
    )
    process = subprocess.Popen(
        [sys.executable, "-c", parent, str(data), str(tmp_path)], stdout=subprocess.PIPE
    )
    assert process.stdout is not None
    pids = [int(pid) for pid in process.stdout.readline().split()]
    assert len(pids) == 3
    process.kill()
    process.communicate()
    assert wait_until(lambda: not any(_runs(pid) for pid in pids), seconds=20)
    assert not processes_in(data / "data", "postgres")


def test_leftovers_that_go_by_themselves_while_others_are_killed_are_no_fault(
    tmp_path: Path,
) -> None:
    left = [subprocess.Popen(["/bin/sleep", "1000"], cwd=tmp_path) for _ in range(300)]

    def go() -> None:
        for process in left:
            process.kill()
            process.wait()

    going = threading.Thread(target=go)
    going.start()
    end_leftovers(tmp_path, "sleep", seconds=0)
    going.join()
    assert not processes_in(tmp_path, "sleep")


def test_a_child_that_does_not_end_when_asked_is_killed(tmp_path: Path) -> None:
    child = Child(["/bin/sh", "-c", "trap '' TERM; sleep 1000 & wait"], log=tmp_path / "log")
    child.start()
    child.stop(signal.SIGTERM, seconds=0.2)
    assert not child.is_running


def test_who_has_ended_is_asked_no_more_and_who_does_not_end_is_killed() -> None:
    command = ["/bin/sh", "-c", "trap '' TERM; echo ready; exec sleep 1000"]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert first_answer(process, process.stdout.readline, seconds=60) == b"ready\n"
        stop(process, seconds=0.1)
    assert process.returncode == -signal.SIGKILL
    assert first_answer(process, lambda: "still there", seconds=60) is None
    stop(process, seconds=60)


def test_a_child_started_after_its_parent_died_ends_at_once() -> None:
    command = launched(["/bin/sleep", "1000"], dies_by=signal.SIGKILL)
    command[4] = "1"  # as if process 1 had been the parent
    done = subprocess.run(command, capture_output=True, text=True, timeout=10, check=False)
    assert "the parent is gone" in done.stderr


def _runs(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state != "Z"
