"""The ledger: settings and wiring."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Annotated

import msgspec
import structlog
from msgspec import Meta

from libs import process
from libs.auth import Verifier
from libs.clock import SystemClock
from libs.postgres import Pool, migrate
from libs.refusals import Unavailable
from libs.rpc import RpcServer
from services.ledger.service import (
    ALLOW,
    LEDGER,
    MOST_ITEMS,
    PORTFOLIO,
    QUIET,
    LedgerServicer,
    PortfolioServicer,
)
from services.ledger.store.portfolio import Portfolios
from services.ledger.writer import Writer
from stockbroker.ledger.v1.ledger_service_pb2_grpc import add_LedgerServiceServicer_to_server
from stockbroker.ledger.v1.portfolio_service_pb2_grpc import add_PortfolioServiceServicer_to_server

MIGRATIONS = Path(__file__).with_name("migrations")
_HEALTH_SECONDS = 1.0
_log = structlog.get_logger()


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """Read from STOCKBROKER_<NAME>."""

    database_url: Annotated[str, Meta(description="The ledger's own database.")]
    jwks_file: Annotated[str, Meta(description="Public keys that tokens verify with.")]
    listen: Annotated[str, Meta(description="host:port to serve on; port 0: any.")] = "127.0.0.1:0"
    metrics_listen: Annotated[str, Meta(description="host:port of /metrics; empty: none.")] = ""
    max_batch: Annotated[
        int, Meta(ge=1, le=5_000, description="Operations in one transaction at most.")
    ] = 500
    max_queued: Annotated[
        int,
        Meta(ge=MOST_ITEMS, description="Operations waiting to be decided; more are OVERLOADED."),
    ] = 20_000
    read_connections: Annotated[
        int, Meta(ge=1, le=100, description="Connections to PostgreSQL for reads.")
    ] = 4


@asynccontextmanager
async def house(settings: Settings) -> AsyncIterator[RpcServer]:
    """The ledger, serving; ready whenever its database answers. Needs nobody else."""
    clock = SystemClock()
    async with AsyncExitStack() as stack:
        pool = Pool(settings.database_url, size=settings.read_connections, name="ledger-read")
        stack.push_async_callback(pool.close)
        writer = Writer(
            settings.database_url,
            clock=clock,
            max_items=settings.max_batch,
            max_queued=settings.max_queued,
        )
        stack.push_async_callback(writer.close)
        verifier = Verifier(settings.jwks_file, clock)
        rpc = RpcServer(
            listen=settings.listen, allow=ALLOW, quiet=QUIET, verifier=verifier, clock=clock
        )
        add_LedgerServiceServicer_to_server(LedgerServicer(writer), rpc.server)
        add_PortfolioServiceServicer_to_server(PortfolioServicer(Portfolios(pool)), rpc.server)
        rpc.serves(LEDGER, PORTFOLIO)
        await rpc.start()
        stack.push_async_callback(rpc.stop)
        attending = asyncio.create_task(_attend(settings.database_url, pool, writer, rpc))
        attending.add_done_callback(_tell_failure)
        stack.callback(attending.cancel)
        yield rpc


async def _attend(database_url: str, pool: Pool, writer: Writer, rpc: RpcServer) -> None:
    """Everything that waits for the database, so that serving does not."""
    await migrate(database_url, MIGRATIONS)
    await pool.open()
    writer.open()
    while True:
        try:
            async with pool.connection() as connection:
                await connection.execute("SELECT 1")
            await rpc.set_ready(True)
        except Unavailable:
            await rpc.set_ready(False)
        await asyncio.sleep(_HEALTH_SECONDS)


def _tell_failure(task: asyncio.Task[None]) -> None:
    """Attending should only ever end with the house."""
    if not task.cancelled() and task.exception() is not None:
        _log.error("task_failed", exc_info=task.exception())


if __name__ == "__main__":
    process.run("ledger", Settings, house)
