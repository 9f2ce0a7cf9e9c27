"""The order service: settings and wiring."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Annotated, TypeVar

import msgspec
from msgspec import Meta
from psycopg.conninfo import make_conninfo
from tenacity import retry, retry_if_exception_type, wait_random_exponential

from libs import process
from libs.auth import Role, Verifier
from libs.batcher import Batcher
from libs.clock import Clock, SystemClock
from libs.ids import SystemIds
from libs.nudges import Nudges, NudgeStream
from libs.page_token import PageTokens
from libs.postgres import Lane, Pool, migrate
from libs.refusals import Unavailable
from libs.rpc import RpcServer, connect
from services.order import consumer
from services.order.announcer import Announcer
from services.order.batches import Applier, Placer
from services.order.domain.journal import Told
from services.order.domain.placing import Placement
from services.order.domain.trade import Trade
from services.order.domain.turns import Applied
from services.order.feed import Feed
from services.order.instruments import Instruments
from services.order.neighbours import Gateway
from services.order.service.execution import BackOffice, ExecutionService
from services.order.service.trades import Desk, TradesService
from services.order.store import PLANS, READING_PLANS
from services.order.store.instruments import page_token_key
from services.order.watchers import Watchers
from stockbroker.order.v1.order_execution_service_pb2_grpc import (
    add_OrderExecutionServiceServicer_to_server,
)
from stockbroker.order.v1.order_service_pb2_grpc import add_OrderServiceServicer_to_server

TRADES = "stockbroker.order.v1.OrderService"
EXECUTION = "stockbroker.order.v1.OrderExecutionService"
_MIGRATIONS = Path(__file__).parent / "migrations"
_CUSTOMERS = frozenset({Role.CUSTOMER})
_CUSTOMERS_AND_OPERATORS = frozenset({Role.CUSTOMER, Role.OPERATOR})
_SERVICES = frozenset({Role.SERVICE})
ALLOW = {
    f"/{TRADES}/PlaceTrade": _CUSTOMERS,
    f"/{TRADES}/GetTrade": _CUSTOMERS_AND_OPERATORS,
    f"/{TRADES}/ListTrades": _CUSTOMERS,
    f"/{TRADES}/CancelTrade": _CUSTOMERS,
    f"/{TRADES}/ReplaceTrade": _CUSTOMERS,
    f"/{TRADES}/WatchTrades": _CUSTOMERS,
    f"/{TRADES}/ListTradeEvents": _CUSTOMERS_AND_OPERATORS,
    f"/{EXECUTION}/LeadPartitions": _SERVICES,
    f"/{EXECUTION}/ClaimTrades": _SERVICES,
    f"/{EXECUTION}/ListOpenCustomers": _SERVICES,
    f"/{EXECUTION}/ApplyOutcomes": _SERVICES,
}
# Their batches have a line each.
_QUIET = frozenset(
    {
        f"/{TRADES}/PlaceTrade",
        f"/{EXECUTION}/ClaimTrades",
        f"/{EXECUTION}/ListOpenCustomers",
        f"/{EXECUTION}/ApplyOutcomes",
    }
)

Seconds = Annotated[float, Meta(gt=0, le=3600)]
Found = TypeVar("Found")


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """Read from STOCKBROKER_<NAME>."""

    database_url: Annotated[str, Meta(description="The order service's own database.")]
    nats_url: Annotated[str, Meta(description="NATS servers, separated by commas.")]
    jwks_file: Annotated[str, Meta(description="Public keys that tokens verify with.")]
    service_token_file: Annotated[str, Meta(description="The order service's own token.")]
    gateway_address: Annotated[str, Meta(description="The exchange gateway, host:port.")]
    listen: Annotated[str, Meta(description="host:port to serve on; port 0: any.")] = "127.0.0.1:0"
    metrics_listen: Annotated[str, Meta(description="host:port of /metrics; empty: none.")] = ""
    nudge_stream: Annotated[str, Meta(description="JetStream stream of the nudges.")] = "EXECUTION"
    nudge_prefix: Annotated[str, Meta(description="First word of its subjects.")] = "execution"
    nudge_replicas: Annotated[
        int, Meta(ge=1, le=5, description="NATS nodes that keep a nudge.")
    ] = 1
    read_connections: Annotated[
        int, Meta(ge=1, le=100, description="Connections to PostgreSQL for reads.")
    ] = 4
    max_batch: Annotated[
        int, Meta(ge=1, le=10_000, description="Trades placed in one transaction at most.")
    ] = 500
    max_queued: Annotated[
        int, Meta(ge=1, description="Trades waiting to be placed; more are refused OVERLOADED.")
    ] = 10_000
    heartbeat_seconds: Annotated[
        Seconds, Meta(description="A quiet WatchTrades stream hears a heartbeat after this.")
    ] = 15.0
    instruments_refresh_seconds: Annotated[
        Seconds, Meta(description="The gateway is asked what can be traded this often.")
    ] = 60.0


@asynccontextmanager
async def house(settings: Settings) -> AsyncIterator[RpcServer]:
    """The order service, serving. Waits for its database for ever; needs nobody else to start."""
    clock = SystemClock()
    rpc = RpcServer(
        listen=settings.listen,
        allow=ALLOW,
        quiet=_QUIET,
        verifier=Verifier(settings.jwks_file, clock),
        clock=clock,
    )
    await migrate(settings.database_url, _MIGRATIONS)
    async with AsyncExitStack() as stack:
        pool = await _open_pool(settings, stack)
        watchers = Watchers()
        announcer = await _announcer(settings, stack, watchers)
        lanes = _lanes(settings, stack)
        office = BackOffice(
            applier=_applier(stack, Applier(lanes["apply"], announcer, clock)),
            claims=lanes["claim"],
            pool=pool,
            announcer=announcer,
            clock=clock,
        )
        desk = Desk(
            placer=_placer(settings, stack, Placer(lanes["place"], announcer, clock)),
            feed=Feed(pool, watchers, heartbeat_seconds=settings.heartbeat_seconds),
            instruments=await _instruments(settings, stack, pool, clock),
            pool=pool,
            page_tokens=PageTokens(await _patiently(lambda: _page_token_key(pool))),
            ids=SystemIds(clock),
        )
        add_OrderServiceServicer_to_server(TradesService(desk), rpc.server)
        add_OrderExecutionServiceServicer_to_server(ExecutionService(office), rpc.server)
        rpc.serves(TRADES, EXECUTION)
        await rpc.start()
        stack.push_async_callback(rpc.stop)
        stack.callback(watchers.close)
        stack.callback(asyncio.create_task(_tell_health(rpc, pool, clock)).cancel)
        yield rpc


async def _open_pool(settings: Settings, stack: AsyncExitStack) -> Pool:
    options = " ".join(f"-c {key}={value}" for key, value in READING_PLANS.items())
    dsn = make_conninfo(settings.database_url, options=options)
    pool = Pool(dsn, size=settings.read_connections, name="order-read")
    await pool.open()
    stack.push_async_callback(pool.close)
    return pool


def _lanes(settings: Settings, stack: AsyncExitStack) -> dict[str, Lane]:
    """A connection for each kind of change; closed with `stack`."""
    lanes = {
        name: Lane(settings.database_url, name=f"order-{name}", options=PLANS)
        for name in ("place", "claim", "apply")
    }
    for lane in lanes.values():
        stack.push_async_callback(lane.close)
    return lanes


async def _announcer(settings: Settings, stack: AsyncExitStack, watchers: Watchers) -> Announcer:
    """Connected to NATS as soon as that is there; closed with `stack`."""
    stream = NudgeStream(settings.nudge_stream, settings.nudge_prefix, settings.nudge_replicas)
    nudges = Nudges(settings.nats_url, stream=stream, name="order")
    sender = SystemIds(SystemClock()).new()
    await consumer.listen(nudges.broker, watchers, receiver=sender)
    nudges.start()
    stack.push_async_callback(nudges.close)
    announcer = Announcer(watchers, nudges, nudges.broker, sender=sender)
    stack.push_async_callback(announcer.close)
    return announcer


def _placer(settings: Settings, stack: AsyncExitStack, placer: Placer) -> Batcher[Placement, Trade]:
    batcher: Batcher[Placement, Trade] = Batcher(
        placer.place, max_items=settings.max_batch, max_queued=settings.max_queued
    )
    stack.push_async_callback(batcher.close)
    return batcher


def _applier(stack: AsyncExitStack, applier: Applier) -> Batcher[Told, Applied]:
    batcher: Batcher[Told, Applied] = Batcher(applier.apply, max_queued=100_000)
    stack.push_async_callback(batcher.close)
    return batcher


async def _instruments(
    settings: Settings, stack: AsyncExitStack, pool: Pool, clock: Clock
) -> Instruments:
    channel = connect(settings.gateway_address, settings.service_token_file)
    stack.push_async_callback(channel.close)
    refresh_seconds = settings.instruments_refresh_seconds
    instruments = Instruments(Gateway(channel), pool, clock, refresh_seconds=refresh_seconds)
    await _patiently(instruments.start)
    stack.push_async_callback(instruments.close)
    return instruments


async def _page_token_key(pool: Pool) -> bytes:
    async with pool.connection() as connection:
        return await page_token_key(connection)


async def _patiently(ask: Callable[[], Awaitable[Found]]) -> Found:
    """Ask until the database answers."""
    wait = wait_random_exponential(multiplier=0.1, max=2)
    return await retry(retry=retry_if_exception_type(Unavailable), wait=wait)(ask)()


async def _tell_health(rpc: RpcServer, pool: Pool, clock: Clock) -> None:
    """Ready whenever the database answers."""
    while True:
        try:
            async with pool.connection() as connection:
                await connection.execute("SELECT 1")
            await rpc.set_ready(True)
        except Unavailable:
            await rpc.set_ready(False)
        await clock.sleep(1.0)


if __name__ == "__main__":
    process.run("order", Settings, house)
