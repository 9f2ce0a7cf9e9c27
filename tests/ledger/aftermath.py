"""After whatever happened: is all there that was acknowledged, once, and in one order?"""

import asyncio
from collections.abc import Coroutine
from typing import Any

from stockbroker.ledger.v1 import invariant_pb2
from tests.ledger.cluster import Cluster
from tests.ledger.desk import Desk
from tests.ledger.load import Load, records_of
from tests.ledger.proofs import sealed, verified
from tests.ledger.serial import faults_of
from tests.support.keys import Keys, bearer
from tests.support.wait import until


async def alive(running: "asyncio.Task[None]", what: Coroutine[Any, Any, None]) -> None:
    """Wait for `what`, unless a caller fails meanwhile."""
    waiting = asyncio.ensure_future(what)
    await asyncio.wait([running, waiting], return_when=asyncio.FIRST_COMPLETED)
    if running.done():
        waiting.cancel()
        await running
    await waiting


async def assert_all_is_well(cluster: Cluster, keys: Keys, load: Load) -> None:
    address = cluster.addresses[(await until(cluster.writers, seconds=60))[0]]
    async with Desk(address, cluster.database_url, keys) as desk:
        await sealed(desk)
        assert faults_of(load.ops, records_of(await desk.journal())) == []
        look = desk.ledger.GetInvariants(
            invariant_pb2.GetInvariantsRequest(full=True), metadata=bearer(keys.operator())
        )
        told = [invariant async for answer in look for invariant in answer.invariants]
        assert [(i.id, i.holds) for i in told] == [(f"I{n}", True) for n in range(1, 9)]
        report = await verified(desk, cluster.folder)
        assert report.signatures_checked
        assert report.sealed_transfers == report.transfers
        await desk.assert_books_balance()
