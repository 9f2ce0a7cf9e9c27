"""A volume runs full under load: errors and nothing else, and all is well when it has space."""

import asyncio
import contextlib
import resource
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path

import grpc
import psycopg
import pytest

from libs.embedded import CannotRun
from libs.embedded.postgres import SUPERUSER
from tests.ledger.aftermath import alive, assert_all_is_well
from tests.ledger.cluster import Cluster, a_cluster
from tests.ledger.desk import Desk
from tests.ledger.load import Load
from tests.ledger.proofs import sealed
from tests.ledger.test_access import refusal
from tests.ledger.volumes import a_volume, move_wal
from tests.support.keys import Keys
from tests.support.wait import until

pytestmark = [pytest.mark.xdist_group("ledger volumes"), pytest.mark.timeout(300)]
ENOUGH = 20  # calls
UNAVAILABLE = (grpc.StatusCode.UNAVAILABLE, "UNAVAILABLE")


@asynccontextmanager
async def under_load(cluster: Cluster, keys: Keys) -> AsyncIterator[Desk]:
    """Callers until the end of it, and then a look at everything."""
    load = Load(cluster.addresses, keys)
    await load.endow()
    running = asyncio.create_task(load.run(seed=2))
    await alive(running, load.answers(ENOUGH))
    async with Desk(cluster.addresses[0], cluster.database_url, keys) as desk:
        yield desk
    await alive(running, load.answers(ENOUGH))
    load.is_over = True
    await running
    await load.close()
    await assert_all_is_well(cluster, keys, load)


async def test_a_full_data_volume_costs_answers_and_nothing_else(
    tmp_path: Path, keys: Keys
) -> None:
    lay_out = partial(move_wal, to=tmp_path / "wal")
    with a_volume(tmp_path / "postgres", megabytes=96) as volume:
        async with a_cluster(tmp_path, keys, ledgers=1, lay_out=lay_out) as cluster:
            async with under_load(cluster, keys) as desk:
                volume.fill()
                await until(lambda: "No space left on device" in cluster.told(), seconds=60)
                assert await refusal(desk.deposit(1)) == UNAVAILABLE
                # What is there can be read all the same.
                assert (await desk.balance("customer/alice", "USD")).balance.posted > 0
                volume.relieve()
            assert "database_answers_again" in cluster.told()


async def test_a_full_log_volume_stops_the_database_and_it_comes_back_with_all(
    tmp_path: Path, keys: Keys
) -> None:
    with a_volume(tmp_path / "volume", megabytes=64) as volume:
        lay_out = partial(move_wal, to=volume.folder / "wal")
        async with a_cluster(tmp_path, keys, ledgers=1, lay_out=lay_out) as cluster:
            supervisor = asyncio.create_task(supervise(cluster))
            async with under_load(cluster, keys) as desk:
                volume.fill()
                await until(lambda: use_up_the_log(cluster), seconds=60)
                assert await refusal(desk.deposit(1)) == UNAVAILABLE
                assert not await desk.is_ready()
                assert "PANIC" in words_of(cluster)
                volume.relieve()
                await until(desk.is_ready, seconds=60)
            assert "database_answers_again" in cluster.told()
            supervisor.cancel()


async def test_a_ledger_whose_own_disk_is_full_books_on_and_signs_once_there_is_room(
    tmp_path: Path, keys: Keys
) -> None:
    async with (
        a_cluster(tmp_path, keys, ledgers=1) as cluster,
        Desk(cluster.addresses[0], cluster.database_url, keys) as desk,
    ):
        pid = cluster.ledgers[0].pid
        _, most = resource.prlimit(pid, resource.RLIMIT_FSIZE)
        resource.prlimit(pid, resource.RLIMIT_FSIZE, (0, most))
        await desk.deposit(1)
        await cluster.kill_postgres()
        await until(lambda: answers(desk))  # it has much to say, and nowhere to write it
        resource.prlimit(pid, resource.RLIMIT_FSIZE, (most, most))
        await sealed(desk)
        await until(desk.is_ready)
        assert cluster.ledgers[0].pid == pid


async def answers(desk: Desk) -> bool:
    with contextlib.suppress(grpc.aio.AioRpcError):
        await desk.deposit(1)
        return True
    return False


async def supervise(cluster: Cluster) -> None:
    """Start the server again whenever it has ended, for as long as that takes."""
    while True:
        await until(lambda: not cluster.postgres.child.is_running, seconds=600)
        with contextlib.suppress(CannotRun):
            await cluster.start_postgres()


async def use_up_the_log(cluster: Cluster) -> bool:
    """Begin one file of the log after the other; whether the server stopped for want of another."""
    superuser_url = cluster.postgres.url("postgres", SUPERUSER)
    with contextlib.suppress(psycopg.OperationalError):
        async with await psycopg.AsyncConnection.connect(
            superuser_url, autocommit=True, connect_timeout=2
        ) as connection:
            await connection.execute("SELECT pg_logical_emit_message(false, 'a', 'b')")
            await connection.execute("SELECT pg_switch_wal()")
    return "PANIC" in words_of(cluster)


def words_of(cluster: Cluster) -> str:
    return (cluster.folder / "postgres.log").read_text(errors="replace")
