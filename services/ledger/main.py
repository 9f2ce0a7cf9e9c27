"""Starts the ledger: `python -m services.ledger.main`."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Annotated

import msgspec

from libs import process
from libs.auth import Verifier
from libs.clock import SystemClock
from libs.postgres import Pool, migrate
from libs.proof.checkpoint import read_signing_key
from libs.rpc import RpcServer
from services.ledger.auditor import Auditor
from services.ledger.sealer import Sealer
from services.ledger.service import (
    ALLOW,
    LEDGER,
    PORTFOLIO,
    QUIET,
    LedgerServicer,
    PortfolioServicer,
)
from services.ledger.store.history import History
from services.ledger.store.portfolio import Portfolios
from services.ledger.store.statements import Statements
from services.ledger.tenure import Tenure
from services.ledger.writer import Writer
from stockbroker.ledger.v1.ledger_service_pb2_grpc import add_LedgerServiceServicer_to_server
from stockbroker.ledger.v1.portfolio_service_pb2_grpc import add_PortfolioServiceServicer_to_server

MIGRATIONS = Path(__file__).with_name("migrations")


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """What the ledger is told by its environment."""

    database_url: Annotated[str, msgspec.Meta(description="PostgreSQL database of its own")]
    jwks_file: Annotated[str, msgspec.Meta(description="public keys that tokens verify with")]
    signing_key_file: Annotated[
        str, msgspec.Meta(description="private key (PEM, Ed25519) that signs checkpoints")
    ]
    listen: Annotated[str, msgspec.Meta(description="host:port; port 0: a free one")] = (
        "127.0.0.1:0"
    )
    metrics_listen: Annotated[
        str, msgspec.Meta(description="host:port of /metrics; empty: none")
    ] = ""
    max_batch: Annotated[
        int, msgspec.Meta(description="most operations in a transaction", ge=1, le=5_000)
    ] = 500
    max_queued: Annotated[
        int, msgspec.Meta(description="operations that may wait for the writer", ge=5_000)
    ] = 20_000
    read_connections: Annotated[
        int, msgspec.Meta(description="connections for reads", ge=1, le=100)
    ] = 4


@asynccontextmanager
async def house(settings: Settings) -> AsyncIterator[RpcServer]:
    """The ledger, ready; ends by finishing what is queued."""
    clock = SystemClock()
    verifier = Verifier(settings.jwks_file, clock)
    rpc = RpcServer(listen=settings.listen, allow=ALLOW, quiet=QUIET, verifier=verifier)
    rpc.serves(LEDGER, PORTFOLIO)
    # Where another process writes, calls that write must not come here.
    tenure = Tenure(
        settings.database_url,
        clock=clock,
        on_change=lambda is_ready: rpc.set_ready(is_ready, "", LEDGER),
    )
    writer = Writer(
        settings.database_url,
        tenure=tenure,
        clock=clock,
        max_items=settings.max_batch,
        max_queued=settings.max_queued,
    )
    pool = Pool(settings.database_url, size=settings.read_connections, name="ledger-reads")
    sealer = Sealer(
        settings.database_url,
        read_signing_key(Path(settings.signing_key_file)),
        tenure=tenure,
        clock=clock,
    )
    writer.on_written = sealer.note
    auditor = Auditor(pool, tenure=tenure, clock=clock)
    portfolios = Portfolios(pool)
    ledger = LedgerServicer(writer, History(pool), portfolios, auditor)
    add_LedgerServiceServicer_to_server(ledger, rpc.server)
    portfolio = PortfolioServicer(portfolios, Statements(pool), sealer.public_key)
    add_PortfolioServiceServicer_to_server(portfolio, rpc.server)
    await rpc.start()
    try:
        await migrate(settings.database_url, MIGRATIONS)
        await pool.open()
        await rpc.set_ready(True, PORTFOLIO)
        await tenure.begin()
        sealer.begin()
        auditor.begin()
        yield rpc
    finally:
        await rpc.stop()
        await auditor.end()
        await writer.close()
        await sealer.end()
        await tenure.end()
        await pool.close()


if __name__ == "__main__":
    process.run("ledger", Settings, house)
