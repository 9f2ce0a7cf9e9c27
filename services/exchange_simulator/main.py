"""The exchange simulator as a process: settings and wiring."""

import asyncio
from collections.abc import AsyncIterator, Awaitable
from contextlib import asynccontextmanager
from datetime import timedelta
from itertools import count
from typing import Annotated

from msgspec import Meta

from libs import process
from libs.auth import Role
from libs.believed import Believed
from libs.clock import Clock, SystemClock
from libs.refusals import Unavailable
from libs.rpc import RpcServer
from libs.tasks import end
from services.exchange_simulator import tables
from services.exchange_simulator.amending import Amending
from services.exchange_simulator.bands import Rule
from services.exchange_simulator.batch import Rules
from services.exchange_simulator.database import Database
from services.exchange_simulator.desk import Desk
from services.exchange_simulator.faults import Faults
from services.exchange_simulator.floor import Floor
from services.exchange_simulator.hours import Hours
from services.exchange_simulator.roll import Roll
from services.exchange_simulator.scripts import TEST_INSTRUMENTS, USUAL_SCRIPTS, Scripts
from services.exchange_simulator.service.control import ExchangeControlService
from services.exchange_simulator.service.exchange import ExchangeService
from services.exchange_simulator.trading import Trading
from services.exchange_simulator.turns import Turns
from services.exchange_simulator.venue import Venue
from services.exchange_simulator.venue_clock import VenueClock
from stockbroker.exchange.v1.exchange_control_service_pb2_grpc import (
    add_ExchangeControlServiceServicer_to_server,
)
from stockbroker.exchange.v1.exchange_service_pb2_grpc import (
    add_ExchangeServiceServicer_to_server,
)

_EXCHANGE = "stockbroker.exchange.v1.ExchangeService"
_CONTROL = "stockbroker.exchange.v1.ExchangeControlService"
_MEMBERS = frozenset({Role.SERVICE})
_READERS = frozenset({Role.SERVICE, Role.OPERATOR, Role.CUSTOMER})
_OPERATORS = frozenset({Role.OPERATOR})
_ALLOW = {
    f"/{_EXCHANGE}/Session": _MEMBERS,
    f"/{_EXCHANGE}/GetOrder": _MEMBERS | _OPERATORS,
    f"/{_EXCHANGE}/ListExecutions": _MEMBERS | _OPERATORS,
    f"/{_EXCHANGE}/ListOrders": _MEMBERS | _OPERATORS,
    **{
        f"/{_EXCHANGE}/{method}": _READERS
        for method in (
            "ListInstruments",
            "ListQuotes",
            "WatchQuotes",
            "GetBook",
            "GetMarketStatus",
            "ListTradingDays",
        )
    },
    **{
        f"/{_CONTROL}/{method}": _OPERATORS
        for method in (
            "LoadBook",
            "ResetBook",
            "PlayTape",
            "SetFaults",
            "SetHalt",
            "SetPhase",
            "BustExecution",
            "CorrectExecution",
            "SetScripts",
            "ListScripts",
            "SetClock",
            "GetClock",
            "SetTradingDay",
        )
    },
}

_LOOK_SECONDS = 0.5

# Asked for every other second.
_QUIET = frozenset({f"/{_EXCHANGE}/ListExecutions"})


class Settings(Believed, frozen=True, kw_only=True):
    """Read from STOCKBROKER_<FIELD>."""

    database_url: Annotated[str, Meta(description="PostgreSQL database of the exchange alone.")]
    listen: Annotated[str, Meta(description="host:port of gRPC; port 0: a free one.")] = (
        "127.0.0.1:0"
    )
    metrics_listen: Annotated[str, Meta(description="host:port of /metrics; empty: none.")] = ""
    venue: Annotated[
        str, Meta(pattern="^[A-Z0-9]{1,8}$", description="The exchange's name, part of its ids.")
    ] = "XSIM"
    always_open: Annotated[
        bool, Meta(description="False: orders are taken in the hours of the NYSE only.")
    ] = True
    seed: Annotated[int, Meta(description="What the makers' quotes and moves are drawn from.")] = 1
    fault_seed: Annotated[int, Meta(description="What the script of faults is drawn from.")] = 1
    market_moves_per_second: Annotated[
        float, Meta(ge=0, le=1000, description="Idle price moves over all symbols; 0: none.")
    ] = 2.0
    test_symbols: Annotated[
        bool, Meta(description="Lists TEST.FILL and the others, whose orders go by script.")
    ] = True
    band_percent: Annotated[
        float,
        Meta(ge=0, le=90, description="No trade so far off the mean of late; 0: at any price."),
    ] = 0.0
    band_window_seconds: Annotated[
        float, Meta(gt=0, le=86_400, description="What is of late, for that mean.")
    ] = 300.0
    band_halt_seconds: Annotated[
        float, Meta(gt=0, le=86_400, description="How long a symbol is halted by its band.")
    ] = 300.0

    def rule(self) -> Rule | None:
        """The bands; None: there are none."""
        if not self.band_percent:
            return None
        window, halt = self.band_window_seconds, self.band_halt_seconds
        width = round(self.band_percent * 10_000)
        return Rule(width, timedelta(seconds=window), timedelta(seconds=halt))


@asynccontextmanager
async def house(settings: Settings, clock: Clock | None = None) -> AsyncIterator[RpcServer]:
    """The exchange, serving; ready once its database is. `clock` is the real time."""
    clock = VenueClock(clock or SystemClock())
    database = Database(settings.database_url, clock)
    calendar = Hours(tables.read_sessions())
    hours = Hours(None) if settings.always_open else calendar
    listed = [*tables.read_instruments(), *(TEST_INSTRUMENTS if settings.test_symbols else ())]
    floor = Floor(listed, seed=settings.seed, opened_at=clock.now(), rule=settings.rule())
    trading, faults = Trading(floor, hours, calendar, clock), Faults(settings.fault_seed)
    rules = Rules(faults, Scripts(USUAL_SCRIPTS if settings.test_symbols else ()))
    numbers = count(1)
    roll = Roll(faults, clock)
    turns = Turns(
        trading,
        database,
        roll,
        rules,
        next_id=lambda: f"{settings.venue}-{database.epoch}-{next(numbers)}",
    )
    venue = Venue(trading, turns, roll, database, faults)
    desk = Desk(trading, turns, database)
    # Tokens go by the real time, whatever time it is on the floor.
    verifier = settings.verifier()
    rpc = RpcServer(listen=settings.listen, allow=_ALLOW, quiet=_QUIET, verifier=verifier)
    add_ExchangeServiceServicer_to_server(
        ExchangeService(trading, venue, name=settings.venue), rpc.server
    )
    add_ExchangeControlServiceServicer_to_server(
        ExchangeControlService(trading, turns, desk, rules, amending=Amending(turns, roll)),
        rpc.server,
    )
    rpc.serves(_EXCHANGE, _CONTROL)
    await rpc.start()
    tasks = [
        asyncio.create_task(_attend(database, turns, trading, rpc), name="attend"),
        asyncio.create_task(_move(desk, clock, settings.market_moves_per_second), name="move"),
        asyncio.create_task(_keep_time(desk, clock), name="keep_time"),
    ]
    for task in tasks:
        rpc.lives_by(task)
    try:
        yield rpc
    finally:
        await end(*tasks)
        trading.board.close()
        await turns.close()
        await venue.close()
        await rpc.stop()
        await database.close()


async def _attend(database: Database, turns: Turns, trading: Trading, rpc: RpcServer) -> None:
    """Everything that waits for the database, so that serving does not."""
    for symbol in await database.open():
        if symbol in trading.floor.markets:
            trading.floor.markets[symbol].is_halted = True
            trading.publish([symbol])
    while True:
        await database.recover()
        if await _is_done(turns.open()):
            break
    while True:
        await rpc.set_ready(True)
        await database.trouble()
        await rpc.set_ready(False)
        await database.recover()


async def _move(desk: Desk, clock: Clock, moves_per_second: float) -> None:
    """Idle moves of the market, for as long as the exchange runs."""
    while moves_per_second:
        await clock.sleep(1 / moves_per_second)
        await _is_done(desk.drift())


async def _keep_time(desk: Desk, clock: Clock) -> None:
    """The closes, and the ends of pauses, for as long as the exchange runs."""
    while True:
        await clock.sleep(_LOOK_SECONDS)
        await _is_done(desk.end_day())
        await _is_done(desk.resume())


async def _is_done(turn: Awaitable[None]) -> bool:
    """Whether it was done: the database may be away."""
    try:
        await turn
    except Unavailable:
        return False
    return True


if __name__ == "__main__":
    process.run("exchange_simulator", Settings, house)
