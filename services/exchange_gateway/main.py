"""The exchange gateway: settings and wiring."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Annotated

import msgspec

from libs import process
from libs.auth import Role
from libs.believed import Believed
from libs.clock import SystemClock
from libs.postgres import Lane, Pool, migrate
from libs.rpc import RpcServer, connect
from libs.tasks import end
from services.exchange_gateway.neighbours import ExecutionNeighbour
from services.exchange_gateway.service.gateway import GatewayService
from services.exchange_gateway.session.floor import Rhythm
from services.exchange_gateway.session.lease import Lease
from services.exchange_gateway.session.listing import Listing
from services.exchange_gateway.session.running import Outside
from services.exchange_gateway.session.tenure import Tenure
from services.exchange_gateway.store.executions import Executions
from services.exchange_gateway.venues.simulator import SimulatorVenue
from stockbroker.exchange_gateway.v1.exchange_gateway_service_pb2_grpc import (
    add_ExchangeGatewayServiceServicer_to_server,
)

NAME = "stockbroker.exchange_gateway.v1.ExchangeGatewayService"
MIGRATIONS = Path(__file__).parent / "migrations"
_SERVICES = frozenset({Role.SERVICE})
_EVERYBODY_INSIDE = frozenset({Role.SERVICE, Role.OPERATOR})
_ALLOW = {
    f"/{NAME}/SubmitOrders": _SERVICES,
    f"/{NAME}/CancelOrders": _SERVICES,
    f"/{NAME}/ReplaceOrders": _SERVICES,
    f"/{NAME}/GetOrders": _EVERYBODY_INSIDE,
    f"/{NAME}/GetSession": _EVERYBODY_INSIDE,
    f"/{NAME}/ListInstruments": _EVERYBODY_INSIDE,
    f"/{NAME}/ListQuotes": _EVERYBODY_INSIDE,
    f"/{NAME}/GetBook": _EVERYBODY_INSIDE,
    f"/{NAME}/ListExecutions": _EVERYBODY_INSIDE,
    **{
        f"/{NAME}/{method}": frozenset({Role.OPERATOR})
        for method in (
            "ListUnansweredOrders",
            "ResolveOrder",
            "ListParkedReports",
            "RetryParkedReport",
            "DismissParkedReport",
            "ResetSession",
            "ListOrderBreaks",
            "DismissOrderBreak",
            "ListOperatorActions",
        )
    },
}
# Flat cost whatever the tables hold: plans that hash the batch and look up the table by its key,
# made once.
FLAT_PLANS = {
    "plan_cache_mode": "force_generic_plan",
    "enable_seqscan": "off",
    "enable_nestloop": "off",
    "enable_mergejoin": "off",
    "jit": "off",
}
# The server ends a transaction whose process was frozen within it, so that another can go on. It
# would not within a flight of statements, nor after one, where psycopg's last word is a flush.
LANES = {**FLAT_PLANS, "idle_in_transaction_session_timeout": "1000"}

Seconds = Annotated[float, msgspec.Meta(gt=0, le=3600)]


class Settings(Believed, frozen=True, kw_only=True):
    """Read from STOCKBROKER_<NAME>."""

    database_url: Annotated[str, msgspec.Meta(description="The gateway's own database.")]
    service_token_file: Annotated[str, msgspec.Meta(description="The gateway's own token.")]
    exchange_address: Annotated[str, msgspec.Meta(description="The venue, host:port.")]
    execution_address: Annotated[
        str,
        msgspec.Meta(description="Workers of execution, host:port by comma; any takes reports."),
    ]
    listen: Annotated[str, msgspec.Meta(description="host:port to serve on; port 0: any.")] = (
        "127.0.0.1:0"
    )
    metrics_listen: Annotated[
        str, msgspec.Meta(description="host:port of /metrics; empty: none.")
    ] = ""
    session_id: Annotated[
        str,
        msgspec.Meta(
            description="The name of the session at the venue.", min_length=1, max_length=64
        ),
    ] = "stockbroker"
    query_after_seconds: Annotated[
        Seconds, msgspec.Meta(description="An order without an answer is asked for after this.")
    ] = 3.0
    gap_seconds: Annotated[
        Seconds, msgspec.Meta(description="A gap in the reports makes a new logon after this.")
    ] = 0.5
    retry_most_seconds: Annotated[
        Seconds, msgspec.Meta(description="The longest wait before a neighbour is tried again.")
    ] = 1.0
    later_most_seconds: Annotated[
        Seconds,
        msgspec.Meta(description="The longest wait before a report that waits is delivered again."),
    ] = 30.0
    listing_age_seconds: Annotated[
        Seconds, msgspec.Meta(description="The venue's list is asked for again after this.")
    ] = 5.0
    holds_stops: Annotated[
        bool, msgspec.Meta(description="True: the house holds stops itself until they are met.")
    ] = False


@asynccontextmanager
async def house(settings: Settings) -> AsyncIterator[RpcServer]:
    """The gateway, serving; ready once it holds the session, with or without the venue."""
    clock = SystemClock()
    rpc = RpcServer(
        listen=settings.listen,
        allow=_ALLOW,
        quiet=frozenset(
            f"/{NAME}/{method}"
            for method in ("SubmitOrders", "GetOrders", "ListExecutions", "ListQuotes")
        ),
        verifier=settings.verifier(),
        clock=clock,
    )
    async with contextlib.AsyncExitStack() as stack:
        pool = Pool(settings.database_url, size=3, name="gateway-read")
        stack.push_async_callback(pool.close)
        outside = _outside(settings, stack, pool, clock)
        session_id = settings.session_id
        lease = Lease(settings.database_url, session_id=session_id, clock=clock)
        stack.push_async_callback(lease.close)
        tenure = Tenure(lease, outside, clock=clock, on_change=rpc.set_ready)
        listing = Listing(
            pool,
            outside.venue,
            session_id=session_id,
            clock=clock,
            max_age_seconds=settings.listing_age_seconds,
        )
        executions = Executions(pool, session_id=session_id, decode=outside.venue.decode)
        service = GatewayService(tenure, listing, executions, pool, session_id=session_id)
        add_ExchangeGatewayServiceServicer_to_server(service, rpc.server)
        rpc.serves(NAME)
        await rpc.start()
        work = asyncio.create_task(_work(settings.database_url, pool, tenure), name="work")
        rpc.lives_by(work)
        try:
            yield rpc
        finally:
            await rpc.stop()
            await end(work)


async def _work(database_url: str, pool: Pool, tenure: Tenure) -> None:
    """Everything that waits for the database, so that serving does not."""
    await migrate(database_url, MIGRATIONS)
    await pool.open()
    await tenure.run()


def _outside(
    settings: Settings, stack: contextlib.AsyncExitStack, pool: Pool, clock: SystemClock
) -> Outside:
    """Lanes and neighbours; they are closed with `stack`."""
    venue = SimulatorVenue(
        lambda: connect(settings.exchange_address, settings.service_token_file),
        session_id=settings.session_id,
    )
    workers = [
        connect(address.strip(), settings.service_token_file)
        for address in settings.execution_address.split(",")
    ]
    stack.push_async_callback(venue.close)
    for channel in workers:
        stack.push_async_callback(channel.close)
    lanes = [
        Lane(settings.database_url, name=f"gateway-{name}", options=LANES)
        for name in ("submit", "report", "deliver")
    ]
    for lane in lanes:
        stack.push_async_callback(lane.close)
    return Outside(
        submit_lane=lanes[0],
        report_lane=lanes[1],
        delivery_lane=lanes[2],
        pool=pool,
        venue=venue,
        execution=ExecutionNeighbour(workers),
        clock=clock,
        rhythm=Rhythm(
            gap_seconds=settings.gap_seconds,
            query_after_seconds=settings.query_after_seconds,
            retry_most_seconds=settings.retry_most_seconds,
            later_most_seconds=settings.later_most_seconds,
        ),
        holds_stops=settings.holds_stops,
    )


if __name__ == "__main__":
    process.run("exchange_gateway", Settings, house)
