"""The operator's clock of the exchange."""

from grpc.aio import ServicerContext

from services.exchange_simulator import clock_wire
from services.exchange_simulator.trading import Trading
from services.exchange_simulator.turns import Turns
from stockbroker.exchange.v1 import clock_pb2 as pb


class ClockControl:
    """Sets the time on the floor, durably, and tells it."""

    _turns: Turns
    _trading: Trading

    async def SetClock(
        self,
        request: pb.SetClockRequest,
        context: ServicerContext[pb.SetClockRequest, pb.SetClockResponse],
    ) -> pb.SetClockResponse:
        await self._turns.set_clock(clock_wire.reckoning_from(request, self._trading))
        return pb.SetClockResponse(clock=clock_wire.clock_to(self._trading))

    async def GetClock(
        self,
        request: pb.GetClockRequest,
        context: ServicerContext[pb.GetClockRequest, pb.GetClockResponse],
    ) -> pb.GetClockResponse:
        return pb.GetClockResponse(clock=clock_wire.clock_to(self._trading))
