"""A ledger is killed, or stands still, between keeping a checkpoint and putting it on record."""

from pathlib import Path

import psycopg
import pytest

from libs.proof.checkpoint import checkpoint_hash
from libs.proof.export import read_checkpoint
from services.ledger.service import PORTFOLIO
from tests.ledger.cluster import DATABASE, Cluster, a_cluster
from tests.ledger.desk import Desk
from tests.ledger.proofs import on_record, sealed, verified
from tests.ledger.test_invariants import Watch
from tests.support.keys import Keys
from tests.support.wait import until

pytestmark = pytest.mark.xdist_group("ledger kills")


def a_superuser(cluster: Cluster) -> str:
    return cluster.postgres.url(DATABASE, "postgres")


async def kill_between(cluster: Cluster, desk: Desk, ledger: int) -> None:
    """kill -9 of the writer once its second checkpoint is kept: it cannot be put on record."""
    await desk.deposit(5)
    await sealed(desk)
    async with (
        await psycopg.AsyncConnection.connect(a_superuser(cluster)) as superuser,
        superuser.transaction(),
    ):
        await superuser.execute("LOCK TABLE checkpoint IN EXCLUSIVE MODE")
        await desk.deposit(5)
        await until(lambda: read_checkpoint(cluster.checkpoint_file(ledger)).seq == 2)
        cluster.ledgers[ledger].kill()


async def holds(desk: Desk) -> bool:
    """Whether the history goes on from what was kept."""
    return (await Watch(desk).look(full=True)).invariants[7].holds


async def test_what_was_kept_and_never_put_on_record_is_put_there_as_it_is(
    tmp_path: Path, keys: Keys
) -> None:
    async with (
        a_cluster(tmp_path, keys, ledgers=1) as cluster,
        Desk(cluster.addresses[0], cluster.database_url, keys) as desk,
    ):
        await kill_between(cluster, desk, 0)
        kept = read_checkpoint(cluster.checkpoint_file(0))
        assert len(await on_record(desk)) == 1
        cluster.start_ledger(0)
        await until(desk.is_ready)
        await desk.deposit(5)
        await sealed(desk)
        assert (await on_record(desk))[1] == checkpoint_hash(kept)
        last = (await verified(desk, tmp_path)).last_checkpoint
        assert last == read_checkpoint(cluster.checkpoint_file(0))
        assert await holds(desk)


async def test_what_was_kept_and_never_put_on_record_holds_the_history_under_it(
    tmp_path: Path, keys: Keys
) -> None:
    async with (
        a_cluster(tmp_path, keys, ledgers=1) as cluster,
        Desk(cluster.addresses[0], cluster.database_url, keys) as desk,
    ):
        await kill_between(cluster, desk, 0)
        async with await psycopg.AsyncConnection.connect(a_superuser(cluster)) as forger:
            await forger.execute("SET session_replication_role = replica")
            await forger.execute("UPDATE batch SET hash = sha256(hash) WHERE seq = 2")
        cluster.start_ledger(0)
        await until(lambda: "seal_refused" in cluster.told())
        await until(desk.is_ready)
        assert not await holds(desk)
        assert len(await on_record(desk)) == 1


async def test_what_was_kept_gives_way_to_what_another_process_put_on_record_first(
    tmp_path: Path, keys: Keys
) -> None:
    async with a_cluster(tmp_path, keys, ledgers=2) as cluster:
        writer = (await until(cluster.writers))[0]
        other, file = 1 - writer, cluster.checkpoint_file(writer)
        async with (
            Desk(cluster.addresses[writer], cluster.database_url, keys) as first,
            Desk(
                cluster.addresses[other], cluster.database_url, keys, waits_for=PORTFOLIO
            ) as second,
        ):
            await kill_between(cluster, first, writer)
            kept = read_checkpoint(file)
            await until(second.is_ready)
            await sealed(second)
            assert (await on_record(second))[1] != checkpoint_hash(kept)

            cluster.ledgers[other].kill()
            cluster.start_ledger(writer)
            await until(first.is_ready)
            await first.deposit(5)
            await sealed(first)
            assert await holds(first)
            assert (await verified(first, tmp_path)).last_checkpoint == read_checkpoint(file)
        assert "seal_refused" not in cluster.told()
