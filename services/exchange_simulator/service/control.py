"""ExchangeControlService: the hand of the simulator's operator."""

from collections.abc import AsyncIterator

from grpc.aio import ServicerContext

from services.exchange_simulator import amending_wire, wire
from services.exchange_simulator.amending import Amending
from services.exchange_simulator.batch import Rules
from services.exchange_simulator.desk import Desk, Player
from services.exchange_simulator.market import Market
from services.exchange_simulator.service.calendar import CalendarControl
from services.exchange_simulator.service.clock import ClockControl
from services.exchange_simulator.service.scripts import ScriptsControl
from services.exchange_simulator.trading import Trading
from services.exchange_simulator.turns import Turns
from stockbroker.exchange.v1 import exchange_control_service_pb2 as pb
from stockbroker.exchange.v1 import exchange_control_service_pb2_grpc as grpc_pb


class ExchangeControlService(
    ScriptsControl, ClockControl, CalendarControl, grpc_pb.ExchangeControlServiceServicer
):
    """Plays the other participants and sets what goes wrong."""

    def __init__(
        self, trading: Trading, turns: Turns, desk: Desk, rules: Rules, *, amending: Amending
    ) -> None:
        self._amending = amending
        self._trading = trading
        self._turns = turns
        self._desk = desk
        self._faults = rules.faults
        self._scripts = rules.scripts

    async def LoadBook(
        self,
        request: pb.LoadBookRequest,
        context: ServicerContext[pb.LoadBookRequest, pb.LoadBookResponse],
    ) -> pb.LoadBookResponse:
        symbol = self._market(request.symbol).instrument.symbol
        orders = [wire.resting_from(order) for order in request.orders]
        try:
            return pb.LoadBookResponse(orders=await self._desk.load(symbol, orders))
        except ValueError as error:
            raise wire.invalid("orders", str(error)) from error

    async def ResetBook(
        self,
        request: pb.ResetBookRequest,
        context: ServicerContext[pb.ResetBookRequest, pb.ResetBookResponse],
    ) -> pb.ResetBookResponse:
        symbol = self._market(request.symbol).instrument.symbol
        return pb.ResetBookResponse(orders=await self._desk.reset(symbol))

    async def PlayTape(
        self,
        request_iterator: AsyncIterator[pb.PlayTapeRequest],
        context: ServicerContext[pb.PlayTapeRequest, pb.PlayTapeResponse],
    ) -> pb.PlayTapeResponse:
        player: Player | None = None
        async for request in request_iterator:
            if player is None:
                player = self._player(request)
            await player.play(
                (command.at_nanos, wire.command_from(command)) for command in request.commands
            )
        if player is None:
            raise wire.invalid("symbol", "the tape has no message")
        return pb.PlayTapeResponse(
            commands=player.commands, missed=player.missed, volume=player.volume
        )

    async def SetFaults(
        self,
        request: pb.SetFaultsRequest,
        context: ServicerContext[pb.SetFaultsRequest, pb.SetFaultsResponse],
    ) -> pb.SetFaultsResponse:
        self._faults.begin(wire.script_from(request), seed=request.seed)
        return pb.SetFaultsResponse()

    async def SetHalt(
        self,
        request: pb.SetHaltRequest,
        context: ServicerContext[pb.SetHaltRequest, pb.SetHaltResponse],
    ) -> pb.SetHaltResponse:
        symbol = self._market(request.symbol).instrument.symbol
        await self._desk.halt(symbol, request.is_halted)
        return pb.SetHaltResponse()

    async def SetPhase(
        self,
        request: pb.SetPhaseRequest,
        context: ServicerContext[pb.SetPhaseRequest, pb.SetPhaseResponse],
    ) -> pb.SetPhaseResponse:
        phase, ends_day = wire.phase_from(request)
        await self._desk.set_phase(phase, ends_day=ends_day)
        return pb.SetPhaseResponse(is_open=self._trading.is_open())

    async def BustExecution(
        self,
        request: pb.BustExecutionRequest,
        context: ServicerContext[pb.BustExecutionRequest, pb.BustExecutionResponse],
    ) -> pb.BustExecutionResponse:
        return pb.BustExecutionResponse(
            report=await self._amending.amend(amending_wire.bust_from(request))
        )

    async def CorrectExecution(
        self,
        request: pb.CorrectExecutionRequest,
        context: ServicerContext[pb.CorrectExecutionRequest, pb.CorrectExecutionResponse],
    ) -> pb.CorrectExecutionResponse:
        report = await self._amending.amend(amending_wire.correction_from(request))
        return pb.CorrectExecutionResponse(report=report)

    def _player(self, request: pb.PlayTapeRequest) -> Player:
        if request.speed_millis < 0:
            raise wire.invalid("speed_millis", "speed_millis is negative")
        market = self._market(request.symbol)
        return Player(self._trading, self._turns, market, speed_millis=request.speed_millis)

    def _market(self, symbol: str) -> Market:
        market = self._trading.floor.markets.get(symbol)
        if market is None:
            raise wire.unknown_symbol(symbol)
        return market
