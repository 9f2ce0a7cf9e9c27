"""The calendar: for everybody to read, and an operator's word on single days."""

from grpc.aio import ServicerContext

from services.exchange_simulator import calendar_wire
from services.exchange_simulator.trading import Trading
from services.exchange_simulator.turns import Turns
from stockbroker.exchange.v1 import calendar_pb2 as pb


class CalendarReading:
    """What everybody may ask."""

    _trading: Trading

    async def ListTradingDays(
        self,
        request: pb.ListTradingDaysRequest,
        context: ServicerContext[pb.ListTradingDaysRequest, pb.ListTradingDaysResponse],
    ) -> pb.ListTradingDaysResponse:
        first, limit = calendar_wire.page_from(request, self._trading.clock.now())
        days = self._trading.calendar.days(first, limit)
        return pb.ListTradingDaysResponse(days=map(calendar_wire.day_to, days))


class CalendarControl:
    """What operators may change."""

    _trading: Trading
    _turns: Turns

    async def SetTradingDay(
        self,
        request: pb.SetTradingDayRequest,
        context: ServicerContext[pb.SetTradingDayRequest, pb.SetTradingDayResponse],
    ) -> pb.SetTradingDayResponse:
        day, change = calendar_wire.date_from(request.date), calendar_wire.change_from(request)
        await self._turns.set_day(day, change)
        found = self._trading.calendar.day(day)
        is_known = found.session is not None or found.change is not None
        return pb.SetTradingDayResponse(day=calendar_wire.day_to(found) if is_known else None)
