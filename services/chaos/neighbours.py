"""gRPC out: the two doors of the house, through Envoy, as apps and operators use them."""

import asyncio
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any, TypeVar

import grpc

from libs.auth import Role, Signer
from libs.direct import DIRECT
from services.chaos import wire
from services.chaos.domain.history import CASH, Event, Fill, Journal, Order, Terms
from services.chaos.domain.nemesis import Misbehaviour
from stockbroker.exchange.v1.exchange_control_service_pb2_grpc import ExchangeControlServiceStub
from stockbroker.exchange_gateway.v1.exchange_gateway_service_pb2_grpc import (
    ExchangeGatewayServiceStub,
)
from stockbroker.ledger.v1 import invariant_pb2
from stockbroker.ledger.v1 import journal_pb2 as journal_pb
from stockbroker.ledger.v1 import ledger_service_pb2 as ledger_pb
from stockbroker.ledger.v1.ledger_service_pb2_grpc import LedgerServiceStub
from stockbroker.order.v1 import order_service_pb2 as order_pb
from stockbroker.order.v1.order_service_pb2_grpc import OrderServiceStub
from stockbroker.reconciliation.v1 import reconciliation_service_pb2 as reconciliation_pb
from stockbroker.reconciliation.v1.reconciliation_service_pb2_grpc import ReconciliationServiceStub

CALL_SECONDS = 5.0
_JOURNAL_SECONDS = 120.0
_TOKEN_SECONDS = 86_400
_PAUSE_SECONDS = 0.1
OPTIONS = [
    ("grpc.keepalive_time_ms", 10_000),
    ("grpc.keepalive_timeout_ms", 5_000),
    ("grpc.max_receive_message_length", 16 << 20),
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.min_reconnect_backoff_ms", 100),
    ("grpc.max_reconnect_backoff_ms", 500),
    # A connection for each caller, as apps have.
    ("grpc.use_local_subchannel_pool", 1),
    DIRECT,
]
# What passes by itself: the call is safe to repeat.
_PASSING = {
    grpc.StatusCode.UNAVAILABLE,
    grpc.StatusCode.DEADLINE_EXCEEDED,
    grpc.StatusCode.RESOURCE_EXHAUSTED,
    grpc.StatusCode.ABORTED,
    grpc.StatusCode.CANCELLED,
    grpc.StatusCode.UNKNOWN,
    grpc.StatusCode.INTERNAL,
}
Answer = TypeVar("Answer")


class Away(Exception):
    """A call got no answer, for now; the text is the code and the words it ended with."""


class Refused(Exception):
    """The house said no; the text is the code and says why."""

    @property
    def is_passed(self) -> bool:
        """Whether it would have been right at another time: it came too late, or too early."""
        return str(self).startswith(grpc.StatusCode.FAILED_PRECONDITION.name)


class Door:
    """One of Envoy's listeners, entered with one caller's token."""

    def __init__(self, address: str, token: str) -> None:
        self.channel = grpc.aio.insecure_channel(address, options=OPTIONS)
        self._metadata = (("authorization", f"Bearer {token}"),)

    async def __aenter__(self) -> "Door":
        return self

    async def __aexit__(self, *error: object) -> None:
        await self.channel.close()

    async def call(self, method: Any, request: Any, *, seconds: float = CALL_SECONDS) -> Any:
        """One attempt. Raises Away or Refused."""
        try:
            return await method(request, metadata=self._metadata, timeout=seconds)
        except grpc.aio.AioRpcError as error:
            raise _meaning(error) from None

    async def stream(
        self, method: Any, request: Any, *, seconds: float | None = None
    ) -> AsyncIterator[Any]:
        """The messages of a stream as they come. Raises Away or Refused."""
        call = method(request, metadata=self._metadata, timeout=seconds)
        try:
            async for message in call:
                yield message
        except grpc.aio.AioRpcError as error:
            raise _meaning(error) from None
        finally:
            call.cancel()


class Customer:
    """The customers' door, as one of them."""

    def __init__(self, address: str, signer: Signer, name: str) -> None:
        self.name = name
        self.door = Door(address, signer.mint(name, Role.CUSTOMER, _TOKEN_SECONDS))
        self._orders: Any = OrderServiceStub(self.door.channel)

    async def place(self, order: Order) -> str:
        """The id of the trade as recorded. Raises Away or Refused."""
        response = await self.door.call(self._orders.PlaceTrade, wire.order_to(order))
        return str(response.trade.trade_id)

    async def cancel(self, trade_id: str) -> None:
        """Ask for a trade to be canceled. Raises Away, or Refused when it is too late."""
        request = order_pb.CancelTradeRequest(trade_id=trade_id)
        await self.door.call(self._orders.CancelTrade, request)

    async def replace(self, trade_id: str, client_order_id: str, asked: Terms) -> None:
        """Ask for other terms. Raises Away, or Refused when nothing of it is recorded."""
        request = wire.replace_to(trade_id, client_order_id, asked)
        await self.door.call(self._orders.ReplaceTrade, request)

    async def watch(self, after_seq: int) -> AsyncIterator[Event | None]:
        """Events as they come, and None where all is told. Raises Away or Refused."""
        request = order_pb.WatchTradesRequest(after_seq=after_seq)
        async for message in self.door.stream(self._orders.WatchTrades, request):
            yield wire.event_from(message.event) if message.HasField("event") else None

    async def whole_story(self) -> list[Event]:
        """Every event from the first to now. Raises Away or Refused."""
        story: list[Event] = []
        async with asyncio.timeout(_JOURNAL_SECONDS):
            async for event in self.watch(0):
                if event is None:
                    break
                story.append(event)
        return story


class Operator:
    """The operators' door."""

    def __init__(self, address: str, signer: Signer) -> None:
        self.door = Door(address, signer.mint("chaos", Role.OPERATOR, _TOKEN_SECONDS))
        self._ledger: Any = LedgerServiceStub(self.door.channel)
        self._gateway: Any = ExchangeGatewayServiceStub(self.door.channel)
        self._exchange: Any = ExchangeControlServiceStub(self.door.channel)
        self._reconciliation: Any = ReconciliationServiceStub(self.door.channel)

    async def endow(self, customer: str, asset: str, amount: int) -> None:
        """Give cash (USD, micros) or shares. Raises Away or Refused."""
        terms: dict[str, Any] = {
            "deposit_id": str(uuid.uuid5(uuid.NAMESPACE_OID, f"{customer}/{asset}")),
            "customer_id": customer,
            "reference": "for a drill",
        }
        if asset == CASH:
            cash = ledger_pb.DepositRequest(amount_micros=amount, **terms)
            await self.door.call(self._ledger.Deposit, cash)
        else:
            shares = ledger_pb.DepositSharesRequest(symbol=asset, quantity=amount, **terms)
            await self.door.call(self._ledger.DepositShares, shares)

    async def set_misbehaviour(self, script: Misbehaviour) -> None:
        """What the exchange does wrong from now on. Raises Away or Refused."""
        await self.door.call(self._exchange.SetFaults, wire.faults_to(script))

    async def close_exchange(self) -> None:
        """Its day ends: DAY orders expire. Raises Away or Refused."""
        await self.door.call(self._exchange.SetPhase, wire.close_to())

    async def amend(self, fill: Fill) -> str:
        """Have the exchange say that a fill was that; 0 shares: it never was. The amendment's id.

        Raises Away or Refused.
        """
        if fill.quantity:
            correction = wire.correction_to(fill)
            response = await self.door.call(self._exchange.CorrectExecution, correction)
        else:
            response = await self.door.call(self._exchange.BustExecution, wire.bust_to(fill))
        return str(response.report.exec_id)

    async def resolve(self, trade_id: str) -> None:
        """Say of an order in doubt that the exchange never had it. Raises Away or Refused."""
        await self.door.call(self._gateway.ResolveOrder, wire.not_known_to(trade_id))

    async def journal(self) -> Journal:
        """All of the books, and what the ledger finds broken in them. Raises Away or Refused."""
        request = journal_pb.ListJournalRequest()
        transfers, entries = [], []
        async for message in self.door.stream(
            self._ledger.ListJournal, request, seconds=_JOURNAL_SECONDS
        ):
            for record in message.records:
                if record.HasField("transfer"):
                    transfers.append(wire.transfer_from(record.transfer))
                elif record.HasField("entry"):
                    entries.append(wire.entry_from(record.entry))
        look = invariant_pb2.GetInvariantsRequest(full=True)
        broken: list[str] = []
        async for message in self.door.stream(
            self._ledger.GetInvariants, look, seconds=_JOURNAL_SECONDS
        ):
            broken = wire.broken_from(message.invariants)
        return Journal(transfers, entries, broken)

    async def complaints(self) -> list[str]:
        """What the house itself finds not in order, in words. Raises Away or Refused."""
        request = reconciliation_pb.GetReconciliationRequest()
        found = await self.door.call(self._reconciliation.GetReconciliation, request)
        return wire.complaints_from(found)


async def insist(call: Callable[[], Awaitable[Answer]]) -> Answer:
    """Call until there is an answer: everything here is safe to repeat. Raises Refused."""
    while True:
        try:
            return await call()
        except Away:
            await asyncio.sleep(_PAUSE_SECONDS)


def _meaning(error: grpc.aio.AioRpcError) -> Exception:
    words = f"{error.code().name}: {error.details()}"
    return Away(words) if error.code() in _PASSING else Refused(words)
