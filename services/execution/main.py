"""Wires one execution worker and runs it."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Annotated

import msgspec

from libs import process
from libs.auth import Role
from libs.believed import Believed
from libs.clock import Clock, SystemClock
from libs.nudges import Nudges, NudgeStream
from libs.postgres import Pool, migrate
from libs.rpc import RpcServer
from libs.tasks import end
from services.execution.cases import Cases
from services.execution.consumer import Consumer, NudgeBell
from services.execution.domain.attention import Attention
from services.execution.enquiry import Enquiry
from services.execution.halts import HaltBoard
from services.execution.lanes import Lanes
from services.execution.neighbours import Gateway, Insistence, Ledger, Neighbours, Order
from services.execution.pipeline import Pipeline
from services.execution.presence import BEAT_SECONDS, Presence
from services.execution.reports import Books
from services.execution.rhythm import every
from services.execution.ring import Ring
from services.execution.service import ExecutionService
from services.execution.store import MIGRATIONS, Store
from services.execution.sweep import Sweeper
from services.execution.worker import Worker, default_name
from stockbroker.execution.v1 import execution_service_pb2_grpc as pb_grpc

SERVICE = "stockbroker.execution.v1.ExecutionService"
_APPLY_REPORTS = f"/{SERVICE}/ApplyReports"
ALLOW = {
    _APPLY_REPORTS: frozenset({Role.SERVICE}),
    f"/{SERVICE}/GetStatus": frozenset({Role.OPERATOR}),
    f"/{SERVICE}/Halt": frozenset({Role.OPERATOR}),
    f"/{SERVICE}/Resume": frozenset({Role.OPERATOR}),
    f"/{SERVICE}/ListHalts": frozenset({Role.OPERATOR}),
    f"/{SERVICE}/ListHaltEvents": frozenset({Role.OPERATOR}),
    f"/{SERVICE}/ListParkedTrades": frozenset({Role.OPERATOR}),
    f"/{SERVICE}/ReleaseParkedTrade": frozenset({Role.OPERATOR}),
    f"/{SERVICE}/RejectParkedTrade": frozenset({Role.OPERATOR}),
    f"/{SERVICE}/ListInDoubt": frozenset({Role.OPERATOR}),
    f"/{SERVICE}/QueryInDoubt": frozenset({Role.OPERATOR}),
}
_TICK_SECONDS = 0.1
_HALTS_SECONDS = 0.5
_REAP_SECONDS = 5.0
_GRACE_SECONDS = 2.0


class Settings(Believed, frozen=True, kw_only=True):
    """Settings of one worker."""

    listen: Annotated[str, msgspec.Meta(description="host:port to serve on")] = "127.0.0.1:0"
    database_url: Annotated[str, msgspec.Meta(description="database of this service alone")]
    nats_url: Annotated[str, msgspec.Meta(description="NATS servers, comma-separated")]
    service_token_file: Annotated[str, msgspec.Meta(description="this service's own token")]
    order_address: Annotated[str, msgspec.Meta(description="host:port of the order service")]
    ledger_address: Annotated[str, msgspec.Meta(description="host:port of the ledger")]
    gateway_address: Annotated[str, msgspec.Meta(description="host:port of the exchange gateway")]
    metrics_listen: Annotated[
        str, msgspec.Meta(description="host:port of /metrics; empty: none")
    ] = ""
    worker: Annotated[
        str,
        msgspec.Meta(
            description="name of this worker, unlike any other's; empty: host name and process id"
        ),
    ] = ""
    in_doubt_after_seconds: Annotated[
        float,
        msgspec.Meta(ge=0.1, description="an order unanswered for this long is in doubt"),
    ] = 5.0
    park_after_faults: Annotated[
        int,
        msgspec.Meta(ge=1, le=1000, description="a trade that failed so often is parked"),
    ] = 10
    nudge_stream: Annotated[str, msgspec.Meta(description="name of the JetStream stream")] = (
        "EXECUTION"
    )
    nudge_prefix: Annotated[str, msgspec.Meta(description="first word of its subjects")] = (
        "execution"
    )
    nudge_replicas: Annotated[
        int, msgspec.Meta(ge=1, le=5, description="copies of the stream; 3 where NATS has 3 nodes")
    ] = 1


class Rooms:
    """The rooms of one worker, wired."""

    def __init__(self, settings: Settings, clock: Clock) -> None:
        stream = NudgeStream(settings.nudge_stream, settings.nudge_prefix, settings.nudge_replicas)
        token_file = settings.service_token_file
        self.pool = Pool(settings.database_url, name="execution")
        self.nudges = Nudges(settings.nats_url, stream=stream, name="execution")
        self.neighbours = Neighbours(
            Order(settings.order_address, token_file, clock),
            Ledger(settings.ledger_address, token_file, clock),
            Gateway(settings.gateway_address, token_file, clock),
        )
        store, broker, bell = Store(self.pool), self.nudges.broker, NudgeBell(self.nudges)
        doubt = settings.in_doubt_after_seconds
        name = settings.worker or default_name()
        attention, board = Attention(ask_after_seconds=doubt), HaltBoard(store, clock)
        self.worker = Worker(name, clock, attention, board, started_at=clock.now())
        self.lanes = Lanes(
            self.worker,
            self.neighbours,
            in_doubt_after_seconds=doubt,
            park_after_faults=settings.park_after_faults,
        )
        self.pipeline = Pipeline(self.worker, self.lanes, bell)
        self.consumer = Consumer(self.worker, self.nudges, self.pipeline)
        enquiry = Enquiry(self.neighbours.gateway, self.lanes, self.pipeline)
        order = self.neighbours.order
        self.sweeper = Sweeper(self.worker, order, self.pipeline, enquiry, self.consumer)
        self.presence = Presence(name, broker, store, clock, prefix=stream.prefix)
        self.ring = Ring(self.worker, order, self.presence, self.consumer, self.sweeper.hurry)
        books = Books(self.neighbours, self.pipeline.go_on)
        cases = Cases(self.neighbours, enquiry, clock)
        self.service = ExecutionService(self.worker, books, broker, cases)

    async def open(self) -> None:
        """Wait for the halts: nothing is taken up before they are known. Then begin."""
        await self.pool.open()
        await Insistence(self.worker.clock)(self.worker.board.refresh)
        await self.presence.open()
        await self.consumer.open()
        self.nudges.start()

    @asynccontextmanager
    async def rounds(self) -> AsyncIterator[None]:
        """Everything that is done again and again."""
        steps: dict[str, tuple[float, Callable[[], Awaitable[None]]]] = {
            "beat": (_TICK_SECONDS, self.ring.beat),
            "sign": (BEAT_SECONDS, self.ring.sign),
            "tend": (_TICK_SECONDS, self.ring.tend),
            "pull": (_TICK_SECONDS, self.consumer.tend),
            "sweep": (_TICK_SECONDS, self.sweeper.sweep),
            "reap": (_REAP_SECONDS, self.sweeper.reap),
            "halts": (_HALTS_SECONDS, self.worker.board.refresh),
        }
        clock = self.worker.clock
        tasks = [
            asyncio.create_task(every(seconds, do, clock=clock, name=name), name=name)
            for name, (seconds, do) in steps.items()
        ]
        try:
            yield
        finally:
            await end(*tasks)

    async def close(self) -> None:
        """End everything; after `ring.leave`."""
        await self.sweeper.close()
        await self.neighbours.close()
        await self.lanes.settle()
        await self.nudges.close()
        await self.pool.close()


@asynccontextmanager
async def house(settings: Settings, clock: Clock | None = None) -> AsyncIterator[RpcServer]:
    """A running worker. It starts without NATS and its neighbours, and waits for its database."""
    clock = clock or SystemClock()
    rooms = Rooms(settings, clock)
    rpc = RpcServer(
        listen=settings.listen,
        allow=ALLOW,
        verifier=settings.verifier(clock),
        quiet=frozenset({_APPLY_REPORTS}),
        clock=clock,
    )
    pb_grpc.add_ExecutionServiceServicer_to_server(rooms.service, rpc.server)
    rpc.serves(SERVICE)
    await rpc.start()
    try:
        await migrate(settings.database_url, MIGRATIONS)
        await rooms.open()
        async with rooms.rounds():
            await rpc.set_ready(True)
            try:
                yield rpc
            finally:
                await rooms.pipeline.close(grace_seconds=_GRACE_SECONDS)
    finally:
        await rooms.ring.leave()
        await rpc.stop(_GRACE_SECONDS)
        await rooms.close()


if __name__ == "__main__":
    process.run("execution", Settings, house)
