"""Execution out of memory, as small as the command line needs."""

from typing import Any

from libs.auth import caller
from libs.refusals import Refused
from stockbroker.common.v1.reason_pb2 import Reason
from stockbroker.exchange_gateway.v1 import exchange_gateway_service_pb2 as gateway
from stockbroker.execution.v1 import execution_service_pb2 as execution
from stockbroker.execution.v1.execution_service_pb2_grpc import ExecutionServiceServicer
from stockbroker.order.v1 import order_execution_service_pb2 as order_execution
from stockbroker.order.v1 import order_pb2 as order


class SmallExecution(ExecutionServiceServicer):
    """Keeps halts by what they cover."""

    def __init__(self) -> None:
        self._halts: dict[str, execution.TradingHalt] = {}
        self.queried: list[str] = []
        self._parked: dict[str, order_execution.ParkedTrade] = {}
        self.park(2)

    def park(self, trades: int) -> None:
        """So many are parked."""
        for number in range(1, trades + 1):
            trade = order.Trade(trade_id=f"t-{number}", symbol="KO", quantity=5)
            self._parked[trade.trade_id] = order_execution.ParkedTrade(
                trade=trade, faults=10, fault_text="the ledger says REASON_INTERNAL"
            )

    async def GetStatus(self, request: execution.GetStatusRequest, context: Any) -> Any:
        return execution.GetStatusResponse(
            worker="w1", leads=[0, 1, 2, 5], is_broker_connected=True
        )

    async def Halt(self, request: execution.HaltRequest, context: Any) -> Any:
        halt = execution.TradingHalt(
            scope=request.scope, reason_text=request.reason_text, actor=caller().subject
        )
        self._halts[str(request.scope)] = halt
        return execution.HaltResponse(halt=halt)

    async def Resume(self, request: execution.ResumeRequest, context: Any) -> Any:
        was_halted = self._halts.pop(str(request.scope), None) is not None
        return execution.ResumeResponse(resumed=was_halted)

    async def ListHalts(self, request: execution.ListHaltsRequest, context: Any) -> Any:
        return execution.ListHaltsResponse(halts=self._halts.values())

    async def ListHaltEvents(self, request: execution.ListHaltEventsRequest, context: Any) -> Any:
        newest = request.before_id - 1 if request.before_id else 7
        events = [
            execution.HaltEvent(
                id=number,
                action=execution.HaltEvent.ACTION_HALT,
                scope=execution.HaltScope(firm=True),
                reason_text="a drill",
                actor="olivia",
                took_effect=True,
            )
            for number in range(newest, max(newest - 3, 0), -1)
        ]
        return execution.ListHaltEventsResponse(events=events)

    async def ListParkedTrades(
        self, request: execution.ListParkedTradesRequest, context: Any
    ) -> Any:
        first = list(self._parked.values())[: request.page_size or 100]
        return execution.ListParkedTradesResponse(trades=first)

    async def ReleaseParkedTrade(
        self, request: execution.ReleaseParkedTradeRequest, context: Any
    ) -> Any:
        parked = self._take(request.trade_id)
        return execution.ReleaseParkedTradeResponse(trade=parked.trade)

    async def RejectParkedTrade(
        self, request: execution.RejectParkedTradeRequest, context: Any
    ) -> Any:
        parked = self._take(request.trade_id)
        return execution.RejectParkedTradeResponse(trade=parked.trade)

    async def ListInDoubt(self, request: execution.ListInDoubtRequest, context: Any) -> Any:
        state = gateway.ORDER_STATE_ACCEPTED if self.queried else gateway.ORDER_STATE_PENDING
        case = execution.InDoubtTrade(
            trade=order.Trade(trade_id="t-9", customer_id="bob", symbol="KO", quantity=5),
            age_ms=61_500,
            order=gateway.OrderStatus(trade_id="t-9", state=state),
        )
        return execution.ListInDoubtResponse(trades=[case])

    async def QueryInDoubt(self, request: execution.QueryInDoubtRequest, context: Any) -> Any:
        self.queried += request.trade_ids
        return execution.QueryInDoubtResponse()

    def _take(self, trade_id: str) -> order_execution.ParkedTrade:
        if trade_id not in self._parked:
            raise Refused(Reason.REASON_TRADE_NOT_PARKED, "the trade is not parked")
        return self._parked.pop(trade_id)
