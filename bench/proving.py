"""What must hold of a house once all that was placed is done, or none of its figures are told."""

import asyncio
import time
from collections.abc import AsyncIterable

import grpc
import psycopg

from bench.judging import NotTrue
from bench.premises import House
from stockbroker.ledger.v1.invariant_pb2 import GetInvariantsRequest, GetInvariantsResponse
from stockbroker.ledger.v1.ledger_service_pb2_grpc import LedgerServiceStub

_CALL_SECONDS = 600.0
_COMPARE_SECONDS, _PAUSE_SECONDS = 900.0, 0.5
_COMPARED = """
    SELECT (SELECT count(*) FROM agreed_execution)
            + (SELECT count(*) FROM (SELECT DISTINCT venue, execution_id FROM sighting) AS told),
        (SELECT count(*) FROM suspect) + (SELECT count(*) FROM break WHERE closed_at IS NULL)
"""


async def prove(house: House) -> None:
    """All executions are compared, none differs, and the books keep every rule. Raises NotTrue."""
    await all_compared(house)
    await books_hold(house)


async def all_compared(house: House) -> None:
    """Until every execution is compared and none differs. Raises NotTrue."""
    executed = (await ask(house, "order", "SELECT count(*) FROM execution"))[0]
    deadline = time.monotonic() + _COMPARE_SECONDS
    while (found := await ask(house, "reconciliation", _COMPARED)) != (executed, 0):
        if time.monotonic() > deadline:
            raise NotTrue(f"of {executed} executions are compared, and differ: {found}")
        await asyncio.sleep(_PAUSE_SECONDS)


async def books_hold(house: House) -> None:
    """The ledger goes over all of its books. Raises NotTrue."""
    async with grpc.aio.insecure_channel(house.services["ledger"]) as channel:
        looks = LedgerServiceStub(channel).GetInvariants(
            GetInvariantsRequest(full=True), metadata=house.operator(), timeout=_CALL_SECONDS
        )
        await rules_hold(looks)


async def rules_hold(
    looks: AsyncIterable[GetInvariantsResponse], *, but: frozenset[str] = frozenset()
) -> None:
    """Of a look of the ledger at its books: every invariant `but` these. Raises NotTrue."""
    async for found in looks:
        if broken := {rule.id for rule in found.invariants if not rule.holds} - but:
            raise NotTrue(f"the ledger broke {', '.join(sorted(broken))}")


async def ask(house: House, database: str, question: str) -> tuple[int, ...]:
    """The numbers of its one row."""
    async with await psycopg.AsyncConnection.connect(house.databases[database]) as connection:
        row = await (await connection.execute(question.encode())).fetchone()
    assert row is not None
    return tuple(map(int, row))
