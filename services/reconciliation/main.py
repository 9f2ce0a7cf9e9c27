"""Reconciliation: settings and wiring."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import timedelta
from pathlib import Path
from typing import Annotated

import psycopg
from msgspec import Meta

from libs import process
from libs.auth import Role
from libs.believed import Believed
from libs.clock import Clock, SystemClock
from libs.ids import SystemIds
from libs.postgres import Lane, Pool, migrate
from libs.postgres.lost import SILENT_SECONDS
from libs.refusals import Unavailable
from libs.rpc import RpcServer, connect
from libs.tasks import end
from services.reconciliation.books import Books
from services.reconciliation.domain.sighting import Source
from services.reconciliation.neighbours import (
    GatewayReader,
    LedgerReader,
    OrderReader,
    Reader,
    VenueReader,
)
from services.reconciliation.rounds import Rhythm, Rounds
from services.reconciliation.service import ReconciliationServicer
from services.reconciliation.store import PLANS
from stockbroker.reconciliation.v1.reconciliation_service_pb2_grpc import (
    add_ReconciliationServiceServicer_to_server,
)

NAME = "stockbroker.reconciliation.v1.ReconciliationService"
MIGRATIONS = Path(__file__).parent / "migrations"
_OPERATORS = frozenset({Role.OPERATOR})
_ALLOW = {
    f"/{NAME}/{method}": _OPERATORS
    for method in (
        "ListBreaks",
        "GetBreak",
        "ExplainBreak",
        "GetReconciliation",
        "ListDays",
        "GetDay",
    )
}
_HEALTH_SECONDS = 1.0

Seconds = Annotated[float, Meta(gt=0, le=3600)]
Rows = Annotated[int, Meta(ge=10, le=5000)]


class Settings(Believed, frozen=True, kw_only=True):
    """Read from STOCKBROKER_<NAME>."""

    database_url: Annotated[str, Meta(description="Reconciliation's own database.")]
    service_token_file: Annotated[str, Meta(description="Reconciliation's own token.")]
    exchange_address: Annotated[str, Meta(description="The venue, host:port.")]
    gateway_address: Annotated[str, Meta(description="The exchange gateway, host:port.")]
    order_address: Annotated[str, Meta(description="The order service, host:port.")]
    ledger_address: Annotated[str, Meta(description="The ledger, host:port.")]
    listen: Annotated[str, Meta(description="host:port to serve on; port 0: any.")] = "127.0.0.1:0"
    metrics_listen: Annotated[str, Meta(description="host:port of /metrics; empty: none.")] = ""
    session_id: Annotated[
        str,
        Meta(description="The house's session at the venue.", min_length=1, max_length=64),
    ] = "stockbroker"
    interval_seconds: Annotated[
        Seconds, Meta(description="The sources are compared this often.")
    ] = 2.0
    grace_seconds: Annotated[Seconds, Meta(description="A younger difference is no break.")] = 5.0
    page_rows: Annotated[Rows, Meta(description="Rows read of a source at once.")] = 2500
    reread_rows: Annotated[
        Rows, Meta(description="Rows of history read anew of a source every time.")
    ] = 200
    seal_after_seconds: Annotated[
        float, Meta(ge=0, le=86_400, description="A day is sealed so long after it ended (UTC).")
    ] = 900.0


@asynccontextmanager
async def house(settings: Settings, clock: Clock | None = None) -> AsyncIterator[RpcServer]:
    """Reconciliation, serving; ready whenever its database answers, whoever of the sources does.

    `clock`: the time that days and graces go by.
    """
    clock = clock or SystemClock()
    # Tokens go by the real time.
    rpc = RpcServer(listen=settings.listen, allow=_ALLOW, verifier=settings.verifier())
    rpc.serves(NAME)
    async with AsyncExitStack() as stack:
        pool = Pool(settings.database_url, size=2, name="reconciliation-read")
        stack.push_async_callback(pool.close)
        lane = Lane(settings.database_url, name="reconciliation", options=PLANS)
        stack.push_async_callback(lane.close)
        readers, gateway = _readers(settings, stack)
        rounds = Rounds(readers, Books(lane, SystemIds(clock)), _rhythm(settings), clock)
        servicer = ReconciliationServicer(pool, rounds, gateway)
        add_ReconciliationServiceServicer_to_server(servicer, rpc.server)
        await rpc.start()
        stack.push_async_callback(rpc.stop)
        tasks = [
            asyncio.create_task(_work(settings.database_url, pool, rounds), name="rounds"),
            asyncio.create_task(_attend(pool, rpc), name="attend"),
        ]
        for task in tasks:
            rpc.lives_by(task)
        stack.push_async_callback(end, *tasks)
        yield rpc


def _readers(
    settings: Settings, stack: AsyncExitStack
) -> tuple[dict[Source, Reader], GatewayReader]:
    """The four sources; their channels are closed with `stack`."""
    addresses = (
        settings.exchange_address,
        settings.gateway_address,
        settings.order_address,
        settings.ledger_address,
    )
    channels = [connect(address, settings.service_token_file) for address in addresses]
    for channel in channels:
        stack.push_async_callback(channel.close)
    venue, gateway, order, ledger = channels
    at_gateway = GatewayReader(gateway)
    return {
        Source.VENUE: VenueReader(venue, session_id=settings.session_id),
        Source.GATEWAY: at_gateway,
        Source.ORDER: OrderReader(order),
        Source.LEDGER: LedgerReader(ledger),
    }, at_gateway


def _rhythm(settings: Settings) -> Rhythm:
    return Rhythm(
        interval_seconds=settings.interval_seconds,
        grace=timedelta(seconds=settings.grace_seconds),
        page_rows=settings.page_rows,
        reread_rows=settings.reread_rows,
        seal_after=timedelta(seconds=settings.seal_after_seconds),
    )


async def _work(database_url: str, pool: Pool, rounds: Rounds) -> None:
    """Everything that waits for the database, so that serving does not."""
    await migrate(database_url, MIGRATIONS)
    await pool.open()
    await rounds.run()


async def _attend(pool: Pool, rpc: RpcServer) -> None:
    """Say whether the database answers."""
    while True:
        try:
            async with asyncio.timeout(SILENT_SECONDS), pool.connection() as connection:
                await connection.execute("SELECT FROM page_token_key")
            await rpc.set_ready(True)
        except (Unavailable, TimeoutError, psycopg.Error):
            await rpc.set_ready(False)
        await asyncio.sleep(_HEALTH_SECONDS)


if __name__ == "__main__":
    process.run("reconciliation", Settings, house)
