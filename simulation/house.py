"""The services of a house as simulated processes, each started again when it dies."""

import asyncio
from collections.abc import Callable, Mapping
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Any

import services.exchange_gateway.main as gateway
import services.exchange_simulator.main as exchange
import services.execution.main as execution
import services.ledger.main as ledger
import services.order.main as order
from simulation.process import Process
from simulation.world import World

_RESTART_SECONDS = (0.1, 2.5)
_AFTER_TERMINATE_SECONDS = (0.0, 3.0)
ADDRESSES = {kind: f"{kind}:1" for kind in ("order", "ledger", "execution", "gateway", "exchange")}


class House:
    """Starts every service; `counts` says how many processes of each kind there are.

    `moves`: idle price moves of the market, per second.
    `holds_stops`: it holds stops itself.
    """

    def __init__(
        self,
        world: World,
        keys: Path,
        counts: Mapping[str, int],
        *,
        moves: float,
        holds_stops: bool,
    ) -> None:
        self._world = world
        self._keys = keys
        self._moves = moves
        self._holds_stops = holds_stops
        self._lives = 0
        self._stopping: dict[Process, asyncio.Event] = {}
        world.on_terminate = self.terminate
        for kind, count in sorted(counts.items()):
            for _ in range(count):
                self._start(kind)

    def living(self) -> list[Process]:
        """Every process that has not died."""
        return [process for process in self._stopping if not process.is_dead]

    def terminate(self, process: Process) -> None:
        """SIGTERM, and SIGKILL if it takes too long."""
        stopping = self._stopping.get(process)
        if stopping is not None and not stopping.is_set():
            stopping.set()
            self._world.later(*_AFTER_TERMINATE_SECONDS, self._kill, process)

    def _kill(self, process: Process) -> None:
        if not process.is_dead:
            self._world.note(process, "killed while it stopped")
            process.kill()

    def _start(self, kind: str) -> None:
        self._lives += 1
        process = self._world.new_process(f"{kind}-{self._lives}", kind)
        self._stopping[process] = asyncio.Event()
        process.at_death.append(lambda: self._world.later(*_RESTART_SECONDS, self._start, kind))
        self._world.note(process, "starts")
        self._world.spawn(process, self._run(process))

    async def _run(self, process: Process) -> None:
        await self._world.at("start")
        async with _HOUSES[process.kind](self._settings(process)):
            await self._stopping[process].wait()
        self._kill(process)

    def _settings(self, process: Process) -> Any:
        kind = process.kind
        folder = self._keys / _FOLDERS[kind]
        common: dict[str, Any] = {
            "database_url": f"dbname={_FOLDERS[kind]}",
            "jwks_file": str(folder / "jwks.json"),
            "listen": ADDRESSES[kind],
        }
        token: dict[str, Any] = {"service_token_file": str(folder / "service.token")}
        match kind:
            case "order":
                return order.Settings(
                    **common,
                    **token,
                    nats_url="bus",
                    gateway_address=ADDRESSES["gateway"],
                    ledger_address=ADDRESSES["ledger"],
                )
            case "ledger":
                return ledger.Settings(**common, signing_key_file=str(folder / "seal.pem"))
            case "execution":
                return execution.Settings(
                    **common,
                    **token,
                    nats_url="bus",
                    order_address=ADDRESSES["order"],
                    ledger_address=ADDRESSES["ledger"],
                    gateway_address=ADDRESSES["gateway"],
                    worker=process.name,
                    in_doubt_after_seconds=2.0,
                )
            case "gateway":
                return gateway.Settings(
                    **common,
                    **token,
                    exchange_address=ADDRESSES["exchange"],
                    execution_address=ADDRESSES["execution"],
                    holds_stops=self._holds_stops,
                )
            case _:
                return exchange.Settings(
                    **common, market_moves_per_second=self._moves, test_symbols=False
                )


_HOUSES: Mapping[str, Callable[[Any], AbstractAsyncContextManager[Any]]] = {
    "order": order.house,
    "ledger": ledger.house,
    "execution": execution.house,
    "gateway": gateway.house,
    "exchange": exchange.house,
}
_FOLDERS = {
    "order": "order",
    "ledger": "ledger",
    "execution": "execution",
    "gateway": "exchange_gateway",
    "exchange": "exchange_simulator",
}
MIGRATIONS = {
    folder: Path("services") / folder / "migrations" for folder in sorted(_FOLDERS.values())
}
