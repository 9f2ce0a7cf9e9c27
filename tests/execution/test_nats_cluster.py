"""NATS on three nodes: any one of them dies, and trades go on."""

from collections.abc import AsyncIterator, Callable, Iterator
from functools import partial
from pathlib import Path

import orjson
import pytest

from libs.embedded import NatsCluster
from services.execution.main import Settings
from tests.execution.desk import Desk, WorkerDouble, eventually
from tests.execution.fakes import Street
from tests.support.keys import Keys

CUSTOMERS = [f"customer-{number}" for number in range(20)]


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[NatsCluster]:
    """Three nodes of this test alone."""
    with NatsCluster(tmp_path / "cluster") as cluster:
        yield cluster


@pytest.fixture
async def desk(
    keys: Keys, neighbours: Street, cluster: NatsCluster, new_settings: Callable[..., Settings]
) -> AsyncIterator[Desk]:
    """Sets workers on the cluster; every nudge is kept on three nodes."""
    async with Desk(keys, neighbours, cluster.url, partial(new_settings, nudge_replicas=3)) as desk:
        yield desk


async def leader_of_nudges(desk: Desk) -> str:
    """The node that leads the stream of nudges, once every node has a copy."""
    answer = await desk.nudges.broker.request(
        f"$JS.API.STREAM.INFO.{desk.stream.name}", timeout_seconds=5
    )
    cluster = orjson.loads(answer.data)["cluster"]
    return str(cluster["leader"]) if len(cluster["replicas"]) == 2 else ""


async def is_heard(desk: Desk, worker: WorkerDouble) -> bool:
    """Whether a trade is taken up by a nudge, not by the sweep."""
    before = await worker.status()
    trade_id = await desk.place("probe")
    await eventually(lambda: desk.order.status(trade_id) == "FILLED")
    after = await worker.status()
    return after.claimed > before.claimed and after.swept == before.swept


@pytest.mark.timeout(240)
async def test_trades_go_on_when_the_node_that_leads_the_nudges_is_killed(
    desk: Desk, cluster: NatsCluster
) -> None:
    worker = await desk.start_leader(hears_nudges=False)
    desk.open_exchange(worker)
    await eventually(lambda: is_heard(desk, worker), seconds=90)
    leader = await leader_of_nudges(desk)
    node = next(node for node in cluster.nodes if f"/{leader}/" in str(node.child.log))

    for customer in CUSTOMERS:
        await desk.place(customer)
    node.kill()
    for customer in CUSTOMERS:
        await desk.place(customer)
    await eventually(desk.order.all_filled)
    await eventually(lambda: is_heard(desk, worker), seconds=60)

    node.start(seconds=60)
    for customer in CUSTOMERS:
        await desk.place(customer)
    await eventually(desk.order.all_filled)
    assert len(desk.gateway.sent) == len(set(desk.gateway.sent)) == len(desk.order.rows)
