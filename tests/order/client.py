"""Calls to the order service as its callers make them."""

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from typing import Any

import grpc
from grpc_health.v1.health_pb2 import HealthCheckRequest, HealthCheckResponse
from grpc_health.v1.health_pb2_grpc import HealthStub

from libs.partition import partition_of
from libs.rpc.status import reason_of
from stockbroker.common.v1.reason_pb2 import Reason
from stockbroker.common.v1.terms_pb2 import Side
from stockbroker.order.v1 import control_pb2, order_pb2
from stockbroker.order.v1 import order_control_service_pb2 as control_service_pb
from stockbroker.order.v1 import order_execution_service_pb2 as execution_pb
from stockbroker.order.v1 import order_service_pb2 as pb
from stockbroker.order.v1.order_control_service_pb2_grpc import OrderControlServiceStub
from stockbroker.order.v1.order_execution_service_pb2_grpc import OrderExecutionServiceStub
from stockbroker.order.v1.order_service_pb2_grpc import OrderServiceStub
from tests.support.keys import Keys, bearer

Outcome = execution_pb.Outcome
_SECONDS = 30.0


def an_order(**changes: Any) -> pb.PlaceTradeRequest:
    """A request to buy 100 AAPL at the market."""
    terms: dict[str, Any] = {"symbol": "AAPL", "side": Side.SIDE_BUY, "quantity": 100}
    return pb.PlaceTradeRequest(**{**terms, **changes})


def accepted(trade_id: str, exchange_order_id: str = "X-1") -> Outcome:
    """The exchange took it."""
    return Outcome(
        trade_id=trade_id, accepted=Outcome.Accepted(exchange_order_id=exchange_order_id)
    )


def filled(
    trade_id: str, quantity: int = 100, price_micros: int = 10_000_000, *, execution_id: str = ""
) -> Outcome:
    """A fill; its id is the trade's unless given."""
    execution = order_pb2.Execution(
        execution_id=execution_id or f"E-{trade_id}",
        trade_id=trade_id,
        quantity=quantity,
        price_micros=price_micros,
        venue="XSIM",
    )
    execution.executed_at.FromDatetime(datetime(2026, 11, 20, 15, 30, 0, 123456, tzinfo=UTC))
    return Outcome(trade_id=trade_id, execution=execution)


def rejected(
    trade_id: str,
    reason: Reason.ValueType = Reason.REASON_INSUFFICIENT_FUNDS,
    cause: str = "house",
) -> Outcome:
    """Refused."""
    words = Outcome.Rejected(reason=reason, reason_text="no", cause=cause)
    return Outcome(trade_id=trade_id, rejected=words)


def canceled(
    trade_id: str,
    *,
    expired: bool = False,
    reason: Reason.ValueType = Reason.REASON_NO_LIQUIDITY,
) -> Outcome:
    """The rest will not be filled."""
    reason = Reason.REASON_EXPIRED if expired else reason
    return Outcome(trade_id=trade_id, canceled=Outcome.Canceled(reason=reason, expired=expired))


def cancel_rejected(trade_id: str) -> Outcome:
    """It was too late."""
    words = Outcome.CancelRejected(reason=Reason.REASON_TOO_LATE_TO_CANCEL)
    return Outcome(trade_id=trade_id, cancel_rejected=words)


def in_doubt(trade_id: str) -> Outcome:
    """No answer came."""
    return Outcome(trade_id=trade_id, in_doubt=Outcome.InDoubt(reason_text="no answer in 3 s"))


class Order:
    """One running order service."""

    def __init__(self, channel: grpc.aio.Channel, keys: Keys) -> None:
        self.keys = keys
        self.trades: Any = OrderServiceStub(channel)
        self.execution: Any = OrderExecutionServiceStub(channel)
        self.controls: Any = OrderControlServiceStub(channel)
        self._health: Any = HealthStub(channel)
        self._tokens: dict[str, str] = {}

    async def is_ready(self) -> bool:
        """What a probe would hear."""
        request = HealthCheckRequest(service="stockbroker.order.v1.OrderService")
        answer = await self._health.Check(request, timeout=_SECONDS)
        return bool(answer.status == HealthCheckResponse.SERVING)

    def as_customer(self, customer: str) -> dict[str, Any]:
        """What a customer's app adds to a call."""
        if customer not in self._tokens:
            self._tokens[customer] = self.keys.customer(customer)
        return {"metadata": bearer(self._tokens[customer]), "timeout": _SECONDS}

    def as_operator(self) -> dict[str, Any]:
        """What an operator adds to a call."""
        return {"metadata": bearer(self.keys.operator()), "timeout": _SECONDS}

    def as_service(self) -> dict[str, Any]:
        """What execution adds to a call."""
        return {"metadata": bearer(self.keys.service("execution")), "timeout": _SECONDS}

    async def place(self, customer: str = "alice", **changes: Any) -> order_pb2.Trade:
        """Place a trade."""
        answer = await self.trades.PlaceTrade(an_order(**changes), **self.as_customer(customer))
        return answer.trade  # type: ignore[no-any-return]

    async def get(self, customer: str, trade_id: str) -> order_pb2.Trade:
        """A trade as it stands."""
        request = pb.GetTradeRequest(trade_id=trade_id)
        return (await self.trades.GetTrade(request, **self.as_customer(customer))).trade  # type: ignore[no-any-return]

    async def events(self, customer: str, trade_id: str) -> list[order_pb2.TradeEvent]:
        """A trade's story."""
        request = pb.ListTradeEventsRequest(trade_id=trade_id)
        answer = await self.trades.ListTradeEvents(request, **self.as_customer(customer))
        return list(answer.events)

    async def set_control(
        self, control: control_pb2.Control.ValueType, **terms: Any
    ) -> control_pb2.ControlSetting:
        """Set a control as an operator; the setting."""
        scope = control_pb2.ControlScope(
            customer_id=terms.pop("customer_id", ""), symbol=terms.pop("symbol", "")
        )
        terms = {"reason_text": "a test", **terms}
        request = control_service_pb.SetControlRequest(control=control, scope=scope, **terms)
        answer = await self.controls.SetControl(request, **self.as_operator())
        return answer.setting  # type: ignore[no-any-return]

    async def list_controls(self, **changes: Any) -> control_service_pb.ListControlsResponse:
        """The settings as an operator sees them."""
        request = control_service_pb.ListControlsRequest(**changes)
        return await self.controls.ListControls(request, **self.as_operator())  # type: ignore[no-any-return]

    async def preview(self, customer: str = "alice", **changes: Any) -> pb.PreviewTradeResponse:
        """What would become of a trade."""
        request = pb.PreviewTradeRequest(trade=an_order(**changes))
        return await self.trades.PreviewTrade(request, **self.as_customer(customer))  # type: ignore[no-any-return]

    async def explain(self, customer: str, trade_id: str) -> pb.ExplainTradeResponse:
        """What the trade was decided by."""
        request = pb.ExplainTradeRequest(trade_id=trade_id)
        return await self.trades.ExplainTrade(request, **self.as_customer(customer))  # type: ignore[no-any-return]

    async def page(self, customer: str, **changes: Any) -> pb.ListTradesResponse:
        """One page of trades."""
        request = pb.ListTradesRequest(**changes)
        return await self.trades.ListTrades(request, **self.as_customer(customer))  # type: ignore[no-any-return]

    def watch(self, customer: str, after_seq: int = 0) -> Any:
        """A stream; cancel() ends it."""
        call = self.as_customer(customer) | {"timeout": None}
        return self.trades.WatchTrades(pb.WatchTradesRequest(after_seq=after_seq), **call)

    async def lead(self, partitions: Iterable[int], worker: str = "w1") -> dict[int, int]:
        """Become leader; the epochs."""
        request = execution_pb.LeadPartitionsRequest(worker=worker, partitions=partitions)
        answer = await self.execution.LeadPartitions(request, **self.as_service())
        return {grant.partition: grant.epoch for grant in answer.grants}

    async def claim(
        self, epochs: dict[int, int], *customers: str
    ) -> execution_pb.ClaimTradesResponse:
        """Take up the customers' trades under the epochs given."""
        claims = [
            execution_pb.ClaimTradesRequest.Claim(
                grant=execution_pb.PartitionGrant(partition=partition, epoch=epoch),
                customer_ids=[each for each in customers if partition_of(each) == partition],
            )
            for partition, epoch in epochs.items()
        ]
        request = execution_pb.ClaimTradesRequest(claims=claims)
        return await self.execution.ClaimTrades(request, **self.as_service())  # type: ignore[no-any-return]

    async def claim_as_leader(self, *customers: str) -> list[execution_pb.ClaimedTrade]:
        """Lead the customers' partitions anew and take up their trades."""
        epochs = await self.lead(sorted({partition_of(each) for each in customers}))
        return list((await self.claim(epochs, *customers)).trades)

    async def apply(self, *outcomes: Outcome) -> execution_pb.ApplyOutcomesResponse:
        """Tell what became of trades."""
        request = execution_pb.ApplyOutcomesRequest(outcomes=outcomes)
        return await self.execution.ApplyOutcomes(request, **self.as_service())  # type: ignore[no-any-return]

    async def waiting(self, **changes: Any) -> list[execution_pb.OpenCustomer]:
        """What a sweep finds."""
        request = execution_pb.ListOpenCustomersRequest(**changes)
        answer = await self.execution.ListOpenCustomers(request, **self.as_service())
        return list(answer.customers)


async def refused(call: Any) -> tuple[str, str]:
    """(code, reason) a call is refused with."""
    try:
        if isinstance(call, grpc.aio.UnaryStreamCall):
            await call.read()
        else:
            await call
    except grpc.aio.AioRpcError as error:
        return error.code().name, reason_of(error)
    raise AssertionError("the call was not refused")


async def events_of(stream: Any, count: int) -> list[order_pb2.TradeEvent]:
    """The next `count` events of a stream, heartbeats left out."""
    events: list[order_pb2.TradeEvent] = []
    while len(events) < count:
        message = await stream.read()
        assert message is not grpc.aio.EOF, f"the stream ended after {len(events)} events"
        if message.HasField("event"):
            events.append(message.event)
    return events


def seqs(events: Sequence[order_pb2.TradeEvent]) -> list[int]:
    """Their sequence numbers."""
    return [event.seq for event in events]
