"""The exchange simulator as a process: settings and wiring."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from itertools import count
from pathlib import Path
from typing import Annotated

import msgspec
from msgspec import Meta

from libs import process
from libs.auth import Role, Verifier
from libs.clock import Clock, SystemClock
from libs.postgres import Lane, Pool, migrate
from libs.rpc import RpcServer
from services.exchange_simulator import store, tables
from services.exchange_simulator.desk import Desk
from services.exchange_simulator.faults import Faults
from services.exchange_simulator.floor import Floor
from services.exchange_simulator.hours import Hours
from services.exchange_simulator.service.control import ExchangeControlService
from services.exchange_simulator.service.exchange import ExchangeService
from services.exchange_simulator.trading import Trading
from services.exchange_simulator.venue import Venue
from stockbroker.exchange.v1 import (
    exchange_control_service_pb2_grpc,
    exchange_service_pb2_grpc,
)

EXCHANGE = "stockbroker.exchange.v1.ExchangeService"
CONTROL = "stockbroker.exchange.v1.ExchangeControlService"
_MEMBERS = frozenset({Role.SERVICE})
_READERS = frozenset({Role.SERVICE, Role.OPERATOR, Role.CUSTOMER})
_OPERATORS = frozenset({Role.OPERATOR})
ALLOW = {
    f"/{EXCHANGE}/Session": _MEMBERS,
    f"/{EXCHANGE}/GetOrder": _MEMBERS | _OPERATORS,
    **{
        f"/{EXCHANGE}/{method}": _READERS
        for method in (
            "ListInstruments",
            "ListQuotes",
            "WatchQuotes",
            "GetBook",
            "GetMarketStatus",
        )
    },
    **{
        f"/{CONTROL}/{method}": _OPERATORS
        for method in ("LoadBook", "ResetBook", "PlayTape", "SetFaults", "SetHalt")
    },
}


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """Read from STOCKBROKER_<FIELD>."""

    database_url: Annotated[str, Meta(description="PostgreSQL database of the exchange alone")]
    jwks_file: Annotated[str, Meta(description="public keys that tokens are verified with")]
    listen: Annotated[str, Meta(description="host:port of gRPC; port 0: a free one")] = (
        "127.0.0.1:0"
    )
    metrics_listen: Annotated[str, Meta(description="host:port of /metrics; empty: none")] = ""
    venue: Annotated[
        str, Meta(pattern="^[A-Z0-9]{1,8}$", description="the exchange's name, part of its ids")
    ] = "XSIM"
    always_open: Annotated[
        bool, Meta(description="false: orders are taken in the hours of the NYSE only")
    ] = True
    seed: Annotated[int, Meta(description="what the makers' quotes and moves are drawn from")] = 1
    fault_seed: Annotated[int, Meta(description="what the script of faults is drawn from")] = 1
    market_moves_per_second: Annotated[
        float, Meta(ge=0, le=1000, description="idle price moves over all symbols; 0: none")
    ] = 2.0


@asynccontextmanager
async def house(settings: Settings, clock: Clock | None = None) -> AsyncIterator[RpcServer]:
    """The running exchange. Waits for its database for ever."""
    clock = clock or SystemClock()
    await migrate(settings.database_url, Path(__file__).parent / "migrations")
    lane = Lane(settings.database_url, name="exchange-keep", options={"enable_seqscan": "off"})
    pool = Pool(settings.database_url, size=2, name="exchange-read")
    await pool.open()
    database = store.Database(lane, pool, epoch=await lane.run(store.raise_epoch))
    hours = Hours(None if settings.always_open else tables.read_sessions())
    floor = Floor(tables.read_instruments(), seed=settings.seed, opened_at=clock.now())
    for symbol in await lane.run(store.read_halts):
        if symbol in floor.markets:
            floor.markets[symbol].is_halted = True
    trading, faults = Trading(floor, hours, clock), Faults(settings.fault_seed)
    next_id = (f"{settings.venue}-{database.epoch}-{number}" for number in count(1)).__next__
    venue = Venue(trading, database, faults=faults, next_id=next_id)
    desk = Desk(trading, database)
    rpc = RpcServer(
        listen=settings.listen,
        allow=ALLOW,
        verifier=Verifier(settings.jwks_file, clock),
        clock=clock,
    )
    exchange_service_pb2_grpc.add_ExchangeServiceServicer_to_server(
        ExchangeService(trading, venue, name=settings.venue), rpc.server
    )
    exchange_control_service_pb2_grpc.add_ExchangeControlServiceServicer_to_server(
        ExchangeControlService(trading, desk, faults), rpc.server
    )
    rpc.serves(EXCHANGE, CONTROL)
    await rpc.start()
    moves = asyncio.create_task(_move(desk, clock, settings.market_moves_per_second))
    try:
        await rpc.set_ready(True)
        yield rpc
    finally:
        moves.cancel()
        with suppress(asyncio.CancelledError):
            await moves
        await venue.close()
        await rpc.stop()
        await lane.close()
        await pool.close()


async def _move(desk: Desk, clock: Clock, moves_per_second: float) -> None:
    """Idle moves of the market, for as long as the exchange runs."""
    while moves_per_second:
        await clock.sleep(1 / moves_per_second)
        await desk.drift()


if __name__ == "__main__":
    process.run("exchange_simulator", Settings, house)
