"""The order service: settings and wiring."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Annotated

from msgspec import Meta

from libs import process
from libs.admission import Admission
from libs.auth import Role
from libs.batcher import Batcher
from libs.believed import Believed
from libs.clock import SystemClock
from libs.ids import SystemIds
from libs.nudges import Nudges, NudgeStream
from libs.postgres.lost import SILENT_SECONDS
from libs.refusals import Unavailable
from libs.rpc import RpcServer, connect
from services.order import consumer
from services.order.admitting import Admitting
from services.order.announcer import Announcer
from services.order.applying import Applier
from services.order.canceling import Canceler
from services.order.database import Database
from services.order.domain.backlog import Backlog
from services.order.domain.canceling import Cancellation
from services.order.domain.journal import Told
from services.order.domain.placing import Placement
from services.order.domain.replacing import Replacement
from services.order.domain.trade import Trade
from services.order.domain.turns import Applied
from services.order.feed import Feed
from services.order.guard import Guard
from services.order.instruments import Instruments
from services.order.lapsing import keep_lapsing
from services.order.neighbours import Gateway, Ledger, Neighbours
from services.order.placing import Placer
from services.order.prices import Prices
from services.order.replacing import Replacer
from services.order.service.controls import ControlsService
from services.order.service.desk import Desk
from services.order.service.execution import ExecutionService
from services.order.service.office import BackOffice
from services.order.service.trades import TradesService
from services.order.tidying import keep_tidy
from services.order.watchers import Watchers
from stockbroker.order.v1.order_control_service_pb2_grpc import (
    add_OrderControlServiceServicer_to_server,
)
from stockbroker.order.v1.order_execution_service_pb2_grpc import (
    add_OrderExecutionServiceServicer_to_server,
)
from stockbroker.order.v1.order_service_pb2_grpc import add_OrderServiceServicer_to_server

_TRADES = "stockbroker.order.v1.OrderService"
_EXECUTION = "stockbroker.order.v1.OrderExecutionService"
_CONTROLS = "stockbroker.order.v1.OrderControlService"
_CUSTOMERS = frozenset({Role.CUSTOMER})
_CUSTOMERS_AND_OPERATORS = frozenset({Role.CUSTOMER, Role.OPERATOR})
_SERVICES = frozenset({Role.SERVICE})
_OPERATORS = frozenset({Role.OPERATOR})
_SERVICES_AND_OPERATORS = frozenset({Role.SERVICE, Role.OPERATOR})
_ALLOW = {
    f"/{_TRADES}/PlaceTrade": _CUSTOMERS,
    f"/{_TRADES}/PlaceTrades": frozenset({Role.CUSTOMER, Role.BACK_END}),
    f"/{_TRADES}/GetTrade": _CUSTOMERS_AND_OPERATORS,
    f"/{_TRADES}/ListTrades": _CUSTOMERS,
    f"/{_TRADES}/CancelTrade": _CUSTOMERS_AND_OPERATORS,
    f"/{_TRADES}/ReplaceTrade": _CUSTOMERS,
    f"/{_TRADES}/CancelAllTrades": _CUSTOMERS,
    f"/{_TRADES}/WatchTrades": _CUSTOMERS,
    f"/{_TRADES}/ListTradeEvents": _CUSTOMERS_AND_OPERATORS,
    f"/{_TRADES}/PreviewTrade": _CUSTOMERS,
    f"/{_TRADES}/ExplainTrade": _CUSTOMERS_AND_OPERATORS,
    f"/{_CONTROLS}/SetControl": _OPERATORS,
    f"/{_CONTROLS}/ListControls": _OPERATORS,
    f"/{_EXECUTION}/LeadPartitions": _SERVICES,
    f"/{_EXECUTION}/ClaimTrades": _SERVICES,
    f"/{_EXECUTION}/ListOpenCustomers": _SERVICES,
    f"/{_EXECUTION}/ApplyOutcomes": _SERVICES,
    f"/{_EXECUTION}/GetReplaces": _SERVICES,
    f"/{_EXECUTION}/RecordFaults": _SERVICES,
    f"/{_EXECUTION}/ListParkedTrades": _SERVICES,
    f"/{_EXECUTION}/ReleaseParkedTrade": _SERVICES,
    f"/{_EXECUTION}/CondemnParkedTrade": _SERVICES,
    f"/{_EXECUTION}/ListTradesInDoubt": _SERVICES,
    f"/{_EXECUTION}/ListExecutions": _SERVICES_AND_OPERATORS,
}
# Their batches have a line each.
_QUIET = frozenset(
    {
        f"/{_TRADES}/PlaceTrade",
        f"/{_EXECUTION}/ClaimTrades",
        f"/{_EXECUTION}/ListOpenCustomers",
        f"/{_EXECUTION}/ApplyOutcomes",
        f"/{_EXECUTION}/ListExecutions",
    }
)

_ACCEPTORS = 4
_MAX_OUTCOMES = 100_000
_HEALTH_SECONDS = 1.0
_START_SECONDS = 0.1

Seconds = Annotated[float, Meta(gt=0, le=3600)]


class Settings(Believed, frozen=True, kw_only=True):
    """Read from STOCKBROKER_<NAME>."""

    database_url: Annotated[str, Meta(description="The order service's own database.")]
    nats_url: Annotated[str, Meta(description="NATS servers, separated by commas.")]
    service_token_file: Annotated[str, Meta(description="The order service's own token.")]
    gateway_address: Annotated[str, Meta(description="The exchange gateway, host:port.")]
    ledger_address: Annotated[str, Meta(description="The ledger, host:port.")]
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
    longest_wait_ms: Annotated[
        float, Meta(gt=0, description="A trade expected to be placed later is refused OVERLOADED.")
    ] = 90.0
    max_backlog: Annotated[
        int, Meta(ge=1, description="Open trades of all customers; more are refused OVERLOADED.")
    ] = 20_000
    linger_ms: Annotated[
        float, Meta(ge=0, le=1000, description="While many come, a batch of trades waits so long.")
    ] = 20.0
    heartbeat_seconds: Annotated[
        Seconds, Meta(description="A quiet WatchTrades stream hears a heartbeat after this.")
    ] = 15.0
    instruments_refresh_seconds: Annotated[
        Seconds, Meta(description="The gateway is asked what can be traded this often.")
    ] = 60.0
    quotes_refresh_seconds: Annotated[
        Seconds, Meta(description="Once a control needs them, last prices are asked this often.")
    ] = 1.0


@asynccontextmanager
async def house(settings: Settings) -> AsyncIterator[RpcServer]:
    """The order service, serving; ready when its database answers and symbols are known."""
    clock = SystemClock()
    database = Database(settings.database_url, read_connections=settings.read_connections)
    async with AsyncExitStack() as stack:
        stack.push_async_callback(database.close)
        watchers = Watchers()
        neighbours = _neighbours(settings, stack)
        prices = Prices(neighbours.gateway, clock, refresh_seconds=settings.quotes_refresh_seconds)
        stack.push_async_callback(prices.close)
        guard = Guard(clock, prices)
        announcer = await _announcer(settings, stack, watchers)
        instruments = _instruments(settings, stack, database, neighbours.gateway)
        placer: Batcher[Placement, Trade] = Batcher(
            Placer(database, announcer, clock, guard).place,
            max_items=settings.max_batch,
            max_queued=settings.max_queued,
            linger_seconds=settings.linger_ms / 1000,
            admission=Admission(
                longest_seconds=settings.longest_wait_ms / 1000, max_items=settings.max_batch
            ),
        )
        applier: Batcher[Told, Applied] = Batcher(
            Applier(database, announcer, clock).apply, max_queued=_MAX_OUTCOMES
        )
        canceler: Batcher[Cancellation, Trade] = Batcher(
            Canceler(database, announcer, clock).cancel,
            max_items=settings.max_batch,
            max_queued=settings.max_queued,
        )
        stack.push_async_callback(placer.close)
        replacer: Batcher[Replacement, Trade] = Batcher(
            Replacer(database, announcer, guard).replace,
            max_items=settings.max_batch,
            max_queued=settings.max_queued,
        )
        stack.push_async_callback(canceler.close)
        stack.push_async_callback(replacer.close)
        stack.push_async_callback(applier.close)
        desk = Desk(
            placer=Admitting(placer, Backlog(settings.max_backlog), clock),
            canceler=canceler,
            replacer=replacer,
            feed=Feed(database, watchers, heartbeat_seconds=settings.heartbeat_seconds),
            instruments=instruments,
            database=database,
            ids=SystemIds(clock),
            clock=clock,
            guard=guard,
            neighbours=neighbours,
        )
        office = BackOffice(applier=applier, database=database, announcer=announcer, clock=clock)
        rpc = await _serve(settings, stack, desk, office, guard)
        stack.callback(watchers.close)
        for name, work in (
            ("attend", _attend(desk, rpc)),
            ("months", database.keep_ahead(clock)),
            ("tidy", keep_tidy(database, clock)),
            ("lapse", keep_lapsing(database, announcer, clock)),
        ):
            task = asyncio.create_task(work, name=name)
            rpc.lives_by(task)
            stack.callback(task.cancel)
        yield rpc


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


def _neighbours(settings: Settings, stack: AsyncExitStack) -> Neighbours:
    """Their channels are closed with `stack`."""
    channels = [
        connect(address, settings.service_token_file)
        for address in (settings.gateway_address, settings.ledger_address)
    ]
    for channel in channels:
        stack.push_async_callback(channel.close)
    return Neighbours(Gateway(channels[0]), Ledger(channels[1]))


def _instruments(
    settings: Settings, stack: AsyncExitStack, database: Database, gateway: Gateway
) -> Instruments:
    """Not asked for yet; closed with `stack`."""
    instruments = Instruments(
        gateway,
        database,
        SystemClock(),
        refresh_seconds=settings.instruments_refresh_seconds,
    )
    stack.push_async_callback(instruments.close)
    return instruments


async def _serve(
    settings: Settings, stack: AsyncExitStack, desk: Desk, office: BackOffice, guard: Guard
) -> RpcServer:
    """Listening, not ready yet; stopped with `stack`."""
    clock = SystemClock()
    verifier = settings.verifier(clock)
    rpc = RpcServer(
        listen=settings.listen,
        allow=_ALLOW,
        quiet=_QUIET,
        verifier=verifier,
        clock=clock,
        acceptors=_ACCEPTORS,
    )
    controls = ControlsService(office.database, guard, clock)
    for server in rpc.servers:
        add_OrderServiceServicer_to_server(TradesService(desk), server)
        add_OrderExecutionServiceServicer_to_server(ExecutionService(office), server)
        add_OrderControlServiceServicer_to_server(controls, server)
    rpc.serves(_TRADES, _EXECUTION, _CONTROLS)
    await rpc.start()
    stack.push_async_callback(rpc.stop)
    return rpc


async def _attend(desk: Desk, rpc: RpcServer) -> None:
    """Everything that waits for the database, so that serving does not.

    What operators set is read all the time, and how many trades are open, which also tells whether
    the database answers.
    """
    await desk.database.open()
    await desk.instruments.start()
    while True:
        try:
            async with (
                asyncio.timeout(SILENT_SECONDS),
                desk.database.connection() as connection,
            ):
                await desk.guard.refresh(connection)
                await desk.placer.look(connection)
            await rpc.set_ready(desk.instruments.are_known)
        except (Unavailable, TimeoutError):
            await rpc.set_ready(False)
        await asyncio.sleep(_HEALTH_SECONDS if desk.instruments.are_known else _START_SECONDS)


if __name__ == "__main__":
    process.run("order", Settings, house)
