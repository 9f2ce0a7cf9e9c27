"""The ledger: settings and wiring."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Annotated

import psycopg
from msgspec import Meta
from psycopg import AsyncConnection

from libs import process
from libs.believed import Believed
from libs.clock import SystemClock
from libs.postgres import Lane, Pool, migrate
from libs.postgres.lost import SILENT_SECONDS
from libs.postgres.upkeep import keep_ahead
from libs.proof.checkpoint import SigningKey, WrongKeyFile, read_signing_key
from libs.rpc import RpcServer
from libs.settings import InvalidSettings
from libs.tasks import end
from services.ledger.auditor import Auditor
from services.ledger.kept import Kept, place_of
from services.ledger.sealer import Sealer
from services.ledger.service import (
    ALLOW,
    LEDGER,
    MOST_ITEMS,
    PORTFOLIO,
    QUIET,
    LedgerServicer,
    PortfolioServicer,
)
from services.ledger.store.bookings import Bookings
from services.ledger.store.history import History
from services.ledger.store.months import ENTRIES
from services.ledger.store.portfolio import Portfolios
from services.ledger.store.statements import Statements
from services.ledger.tenure import Tenure
from services.ledger.writer import Writer
from stockbroker.ledger.v1.ledger_service_pb2_grpc import add_LedgerServiceServicer_to_server
from stockbroker.ledger.v1.portfolio_service_pb2_grpc import add_PortfolioServiceServicer_to_server

MIGRATIONS = Path(__file__).with_name("migrations")
_HEALTH_SECONDS = 1.0


class Settings(Believed, frozen=True, kw_only=True):
    """Read from STOCKBROKER_<NAME>."""

    database_url: Annotated[str, Meta(description="The ledger's own database.")]
    signing_key_file: Annotated[
        str, Meta(description="Private key (Ed25519, PEM) that checkpoints are signed with.")
    ]
    checkpoint_file: Annotated[
        str,
        Meta(
            description="The last checkpoint is kept there; empty: beside the signing key, where "
            "that can be written to."
        ),
    ] = ""
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
    """The ledger, serving; ready whenever its database answers. Needs nobody else.

    While another process is the writer, only what customers read is ready.
    """
    clock = SystemClock()
    key = _key_in(settings.signing_key_file)
    place = place_of(settings.checkpoint_file, settings.signing_key_file)
    kept = Kept(place, public_key=key.public_key)
    verifier = settings.verifier(clock)
    rpc = RpcServer(
        listen=settings.listen, allow=ALLOW, quiet=QUIET, verifier=verifier, clock=clock
    )
    rpc.serves(LEDGER, PORTFOLIO)
    async with AsyncExitStack() as stack:
        pool = Pool(settings.database_url, size=settings.read_connections, name="ledger-read")
        stack.push_async_callback(pool.close)
        health = Lane(settings.database_url, name="ledger-health")
        stack.push_async_callback(health.close)

        async def on_change(is_writer: bool) -> None:
            sealer.note(None)  # what the writer before left, or the next writes
            await rpc.set_ready(is_writer, "", LEDGER)

        tenure = Tenure(settings.database_url, clock=clock, on_change=on_change)
        stack.push_async_callback(tenure.end)
        sealer = Sealer(settings.database_url, key, kept=kept, tenure=tenure, clock=clock)
        stack.push_async_callback(sealer.end)
        writer = Writer(
            settings.database_url,
            tenure=tenure,
            clock=clock,
            max_items=settings.max_batch,
            max_queued=settings.max_queued,
        )
        writer.on_written = sealer.note
        stack.push_async_callback(writer.close)
        auditor = Auditor(pool, kept=kept, tenure=tenure, clock=clock)
        stack.push_async_callback(auditor.end)
        portfolios = Portfolios(pool)
        ledger = LedgerServicer(writer, History(pool), portfolios, auditor, Bookings(pool))
        add_LedgerServiceServicer_to_server(ledger, rpc.server)
        portfolio = PortfolioServicer(portfolios, Statements(pool), sealer.public_key)
        add_PortfolioServiceServicer_to_server(portfolio, rpc.server)
        await rpc.start()
        stack.push_async_callback(rpc.stop)

        async def attend() -> None:
            """Everything that waits for the database, so that serving does not."""
            await migrate(settings.database_url, MIGRATIONS)
            await pool.open()
            await tenure.begin()
            sealer.begin()
            auditor.begin()
            months = asyncio.create_task(
                keep_ahead(settings.database_url, [ENTRIES], clock), name="months"
            )
            rpc.lives_by(months)
            stack.push_async_callback(end, months)
            while True:
                is_there, takes_changes = await _answers(health)
                await rpc.set_ready(is_there, PORTFOLIO)
                await rpc.set_ready(takes_changes and tenure.epoch is not None, "", LEDGER)
                await asyncio.sleep(_HEALTH_SECONDS)

        attending = asyncio.create_task(attend(), name="attend")
        rpc.lives_by(attending)
        stack.push_async_callback(end, attending)
        yield rpc


async def _answers(health: Lane) -> tuple[bool, bool]:
    """Whether the database is there, and whether it takes changes.

    By a connection of its own: readers who take all of theirs are no sign of anything.
    """

    async def takes_changes(connection: AsyncConnection) -> bool:
        cursor = await connection.execute("SHOW transaction_read_only")
        return await cursor.fetchone() == ("off",)

    try:
        async with asyncio.timeout(SILENT_SECONDS):
            return True, await health.attempt(takes_changes)
    except (psycopg.Error, TimeoutError):
        return False, False


def _key_in(file: str) -> SigningKey:
    try:
        return read_signing_key(Path(file))
    except WrongKeyFile as error:
        raise InvalidSettings(str(error)) from error


if __name__ == "__main__":
    process.run("ledger", Settings, house)
