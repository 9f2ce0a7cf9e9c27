"""More calls than a part can answer: each part by the way it takes calls in."""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from typing import Any

import nats
import psycopg

from libs.auth import Role, Signer
from libs.tasks import end, is_cancelled
from services.chaos.domain.history import Order
from services.chaos.house import Told
from services.chaos.neighbours import Away, Customer, Door, Refused
from stockbroker.exchange.v1 import exchange_service_pb2 as exchange_pb
from stockbroker.exchange.v1.exchange_service_pb2_grpc import ExchangeServiceStub
from stockbroker.exchange_gateway.v1 import exchange_gateway_service_pb2 as gateway_pb
from stockbroker.exchange_gateway.v1.exchange_gateway_service_pb2_grpc import (
    ExchangeGatewayServiceStub,
)
from stockbroker.execution.v1 import execution_service_pb2 as execution_pb
from stockbroker.execution.v1.execution_service_pb2_grpc import ExecutionServiceStub
from stockbroker.ledger.v1 import posting_pb2 as ledger_pb
from stockbroker.ledger.v1.ledger_service_pb2_grpc import LedgerServiceStub

_CALLERS = 64
_CONNECTIONS = 300
_DATABASE_CONNECTIONS = 150
_TOKEN_SECONDS = 86_400


class Flood:
    """Floods the parts of one house."""

    def __init__(self, told: Callable[[], Told], signer: Signer) -> None:
        self._told = told
        self._signer = signer
        self._orders = 0
        self._floods: dict[str, Callable[[], Awaitable[None]]] = {
            "order": self._order,
            "ledger": self._ledger,
            "exchange_gateway": self._gateway,
            "exchange_simulator": self._exchange,
            "edge": self._edge,
            "postgres": self._postgres,
            "nats": self._nats,
        }

    async def flood(self, target: str, seconds: float) -> None:
        """For so long. A worker of execution is flooded with operators' questions."""
        pour = self._floods.get(target, self._execution)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await pour()

    async def _order(self) -> None:
        """Orders of customers who own nothing: each is recorded, taken up and refused."""
        address = self._told().public

        async def place(number: int) -> None:
            customer = Customer(address, self._signer, f"flooder-{number}")
            async with customer.door:
                while True:
                    self._orders += 1
                    name = f"flood-{self._orders}"
                    order = Order(client_order_id=name, side="BUY", symbol="KO", quantity=1)
                    with contextlib.suppress(Away, Refused):
                        await customer.place(order)

        await asyncio.gather(*(place(number) for number in range(_CALLERS)))

    async def _ledger(self) -> None:
        """Questions for a balance."""
        request = ledger_pb.GetBalanceRequest(account="house/clearing", asset="USD")
        await self._ask(lambda door: LedgerServiceStub(door.channel).GetBalance, request)

    async def _execution(self) -> None:
        request = execution_pb.GetStatusRequest()
        await self._ask(lambda door: ExecutionServiceStub(door.channel).GetStatus, request)

    async def _gateway(self) -> None:
        request = gateway_pb.GetSessionRequest()
        await self._ask(lambda door: ExchangeGatewayServiceStub(door.channel).GetSession, request)

    async def _exchange(self) -> None:
        request = exchange_pb.ListQuotesRequest()
        await self._ask(lambda door: ExchangeServiceStub(door.channel).ListQuotes, request)

    async def _ask(self, method: Callable[[Door], Any], request: Any) -> None:
        """An operator's question, from many callers at once."""
        token = self._signer.mint("chaos", Role.OPERATOR, _TOKEN_SECONDS)
        async with Door(self._told().operators, token) as door:
            stub = method(door)
            await _many(lambda: door.call(stub, request))

    async def _edge(self) -> None:
        """Connections that say nothing."""
        host, _, port = self._told().public.rpartition(":")
        async with contextlib.AsyncExitStack() as stack:
            for _ in range(_CONNECTIONS):
                with contextlib.suppress(OSError):
                    _, writer = await asyncio.open_connection(host, int(port))
                    stack.callback(writer.transport.abort)
            await asyncio.Event().wait()

    async def _postgres(self) -> None:
        """Most of the connections it has to give."""
        url = self._told().databases["order"]
        async with contextlib.AsyncExitStack() as stack:
            for _ in range(_DATABASE_CONNECTIONS):
                with contextlib.suppress(psycopg.OperationalError):
                    connecting = psycopg.AsyncConnection.connect(url, connect_timeout=3)
                    await stack.enter_async_context(await connecting)
            await asyncio.Event().wait()

    async def _nats(self) -> None:
        """Nudges for customers who do not exist."""
        client = await nats.connect(self._told().nats_url, allow_reconnect=False)
        try:
            while not is_cancelled():  # a publish that waits for the server forgets it
                for number in range(2_000):
                    await client.publish(f"execution.{number % 128}.nobody{number}")
                await client.flush()
                await asyncio.sleep(0.01)
        finally:
            await client.close()


async def _many(call: Callable[[], Awaitable[Any]]) -> None:
    """From many callers at once, each again and again, for ever."""

    async def insist() -> None:
        while True:
            with contextlib.suppress(Away, Refused):
                await call()

    callers = [asyncio.create_task(insist()) for _ in range(_CALLERS)]
    try:
        await asyncio.wait(callers)
    finally:
        await end(*callers)
