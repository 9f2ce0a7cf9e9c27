"""kill -9 of the database server and of ledgers under load, at moments chosen by a seed.

Whatever dies: what was acknowledged is there, nothing is there twice, and all that callers saw is
what one ledger that never died would have said, in one order.
"""

import asyncio
import random
from collections import Counter
from pathlib import Path

import pytest

from tests.ledger.aftermath import alive, assert_all_is_well
from tests.ledger.cluster import Cluster, a_cluster
from tests.ledger.load import Load
from tests.support.keys import Keys
from tests.support.wait import until

pytestmark = pytest.mark.xdist_group("ledger kills")
KILLS = 24
LONGEST = 60  # calls that are answered between two kills
VICTIMS = ["postgres", "postgres", "writer", "writer", "other"]


@pytest.mark.timeout(600)
async def test_nothing_is_lost_nothing_is_twice_whatever_is_killed(
    tmp_path: Path, keys: Keys
) -> None:
    dice = random.Random(1)
    killed: Counter[str] = Counter()
    async with a_cluster(tmp_path, keys, ledgers=2) as cluster:
        load = Load(cluster.addresses, keys)
        await load.endow()
        running = asyncio.create_task(load.run(seed=1))
        for number in range(KILLS):
            victim = VICTIMS[number % len(VICTIMS)]
            await alive(running, load.answers(dice.randint(1, LONGEST)))
            await alive(running, kill(cluster, victim))
            killed[victim] += 1
        await alive(running, load.answers(LONGEST))
        load.is_over = True
        await running
        await load.close()
        await assert_all_is_well(cluster, keys, load)
    assert killed.keys() == set(VICTIMS)
    assert load.failures, "nobody noticed anything"


async def kill(cluster: Cluster, victim: str) -> None:
    """What is killed comes back at once; the next may be killed before it is ready."""
    if victim == "postgres":
        await cluster.kill_postgres()
        return
    writer = (await until(cluster.writers, seconds=60))[0]
    cluster.kill_ledger(writer if victim == "writer" else 1 - writer)
