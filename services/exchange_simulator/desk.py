"""The operator's and the other participants' side: books, tapes, halts, idle moves."""

from collections.abc import Iterable, Sequence

from services.exchange_simulator import store
from services.exchange_simulator.batch import Batch
from services.exchange_simulator.database import Database
from services.exchange_simulator.hours import Phase
from services.exchange_simulator.market import Market, TapeCommand
from services.exchange_simulator.trading import Trading
from services.exchange_simulator.turns import Turns

_MAX_STEPS = 200  # of a tape in one turn, so that members' orders get theirs


class Desk:
    """Changes books from outside, in turn with the members. Symbols given here are listed."""

    def __init__(self, trading: Trading, turns: Turns, database: Database) -> None:
        self._trading = trading
        self._turns = turns
        self._database = database

    async def load(self, symbol: str, orders: Sequence[TapeCommand]) -> int:
        """Replace a book; how many orders rest. ValueError when the orders cannot rest together."""
        async with self._trading.turn:
            resting = self._trading.floor.load(symbol, orders)
            self._trading.publish([symbol])
        return resting

    async def reset(self, symbol: str) -> int:
        """Give a book back to the market maker; how many orders rest."""
        async with self._trading.turn:
            resting = self._trading.floor.reset(symbol)
            self._trading.publish([symbol])
        return resting

    async def halt(self, symbol: str, is_halted: bool) -> None:
        """Halt or resume trading, durably. Raises Unavailable."""
        async with self._trading.turn:
            await self._database.run(lambda c, epoch: store.keep_halt(c, epoch, symbol, is_halted))
            self._trading.floor.markets[symbol].is_halted = is_halted
            self._trading.publish([symbol])

    async def resume(self) -> None:
        """Trade again where a pause is over. Raises Unavailable."""
        trading = self._trading
        symbols = trading.floor.resumable(trading.clock.now())

        def act(batch: Batch) -> None:
            for symbol in symbols:
                batch.resume(symbol)

        if symbols:
            await self._turns.run(act)

    async def set_phase(self, phase: Phase, *, ends_day: bool) -> None:
        """Open or close the exchange, durably, and perhaps end its day. Raises Unavailable."""
        await self._turns.set_phase(phase, ends_day=ends_day)

    async def drift(self) -> None:
        """One idle move of one symbol, while the exchange is open. Raises Unavailable."""
        trading = self._trading
        symbol = trading.floor.movable() if trading.is_open() else None

        def act(batch: Batch) -> None:
            if symbol is not None and trading.is_open():
                batch.drift(symbol)

        if symbol is not None:
            await self._turns.run(act)

    async def end_day(self) -> None:
        """Expire what ends with a day that is over. Raises Unavailable."""
        if self._trading.day_to_end(self._trading.phase) is not None:
            await self._turns.run(lambda _: None)


class Player:
    """Plays a tape into one symbol's book and counts what came of it. Its maker leaves.

    `speed_millis` is in thousandths of real time; 0 is as fast as possible. Time on the tape is in
    nanoseconds, and counts from the first command on.
    """

    def __init__(
        self, trading: Trading, turns: Turns, market: Market, *, speed_millis: int
    ) -> None:
        self._trading = trading
        self._turns = turns
        self._market = market
        self._speed_millis = speed_millis
        self._began: tuple[int, float] | None = None
        self.commands = 0
        self.missed = 0
        self.volume = 0
        market.maker = None

    async def play(self, steps: Iterable[tuple[int, TapeCommand]]) -> None:
        """Play (time, command) in order, each when it is due. Raises Unavailable."""
        due: list[TapeCommand] = []
        for at_nanos, command in steps:
            early = self._early_seconds(at_nanos)
            if due and (early > 0 or len(due) >= _MAX_STEPS):
                await self._play(due)
                due = []
                early = self._early_seconds(at_nanos)
            if early > 0:
                await self._trading.clock.sleep(early)
            due.append(command)
        await self._play(due)

    def _early_seconds(self, at_nanos: int) -> float:
        """How long until that time on the tape; not positive: it is due."""
        if not self._speed_millis:
            return 0.0
        now = self._trading.clock.monotonic()
        if self._began is None:
            self._began = at_nanos, now
        first_nanos, began = self._began
        return (at_nanos - first_nanos) / 1e6 / self._speed_millis - (now - began)

    async def _play(self, commands: list[TapeCommand]) -> None:
        """Play these in one turn. Raises Unavailable, and none of them was played."""
        symbol = self._market.instrument.symbol
        traded: list[int | None] = []

        def act(batch: Batch) -> None:
            is_open = self._trading.is_open()
            traded.extend(batch.play(symbol, command, is_open=is_open) for command in commands)

        await self._turns.run(act)
        self.commands += len(traded)
        self.missed += traded.count(None)
        self.volume += sum(shares for shares in traded if shares is not None)
        await self._trading.clock.sleep(0)
