"""gRPC out: the two doors of the house, as a customer and as an operator."""

from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any, TypeVar

import grpc
from tenacity import AsyncRetrying, retry_if_exception, stop_after_delay, wait_random_exponential

from libs.auth import Role, Signer
from libs.rpc.status import reason_of
from services.house.demo.customers import Gift
from stockbroker.ledger.v1 import ledger_service_pb2 as ledger_pb
from stockbroker.ledger.v1 import portfolio_service_pb2 as portfolio_pb
from stockbroker.ledger.v1.ledger_service_pb2_grpc import LedgerServiceStub
from stockbroker.ledger.v1.portfolio_service_pb2_grpc import PortfolioServiceStub
from stockbroker.order.v1 import order_pb2
from stockbroker.order.v1 import order_service_pb2 as order_pb
from stockbroker.order.v1.order_service_pb2_grpc import OrderServiceStub

CASH = "USD"
_CALL_SECONDS = 5.0
_PATIENCE_SECONDS = 20.0
Answer = TypeVar("Answer")


class CallFailed(Exception):
    """A call came to nothing; the text is a sentence for a person."""


class Operator:
    """The operators' door."""

    def __init__(self, channel: grpc.aio.Channel, signer: Signer) -> None:
        self._ledger: Any = LedgerServiceStub(channel)
        self._metadata = _bearer(signer.mint("demo", Role.OPERATOR))

    async def give(self, gift: Gift) -> None:
        """Deposit; at most once, however often it is called. Raises CallFailed."""
        if gift.asset == CASH:
            cash = ledger_pb.DepositRequest(
                deposit_id=gift.deposit_id,
                customer_id=gift.customer,
                amount_micros=gift.amount,
                reference="demo",
            )
            await _insist(lambda: self._call(self._ledger.Deposit, cash))
        else:
            shares = ledger_pb.DepositSharesRequest(
                deposit_id=gift.deposit_id,
                customer_id=gift.customer,
                symbol=gift.asset,
                quantity=gift.amount,
                reference="demo",
            )
            await _insist(lambda: self._call(self._ledger.DepositShares, shares))

    async def _call(self, method: Any, request: Any) -> Any:
        return await method(request, metadata=self._metadata, timeout=_CALL_SECONDS)


class Customer:
    """The customers' door, as one of them."""

    def __init__(self, channel: grpc.aio.Channel, signer: Signer, name: str) -> None:
        self.name = name
        self._orders: Any = OrderServiceStub(channel)
        self._portfolios: Any = PortfolioServiceStub(channel)
        self._metadata = _bearer(signer.mint(name, Role.CUSTOMER))

    async def place(self, request: order_pb.PlaceTradeRequest) -> order_pb2.Trade:
        """The trade as recorded. Raises CallFailed."""
        answer = await _insist(
            lambda: self._orders.PlaceTrade(request, metadata=self._metadata, timeout=_CALL_SECONDS)
        )
        trade: order_pb2.Trade = answer.trade
        return trade

    async def watch(self, after_seq: int) -> AsyncIterator[order_pb2.TradeEvent]:
        """Events after `after_seq`. Raises CallFailed."""
        request = order_pb.WatchTradesRequest(after_seq=after_seq)
        call = self._orders.WatchTrades(request, metadata=self._metadata)
        try:
            async for message in call:
                if message.HasField("event"):
                    yield message.event
        except grpc.aio.AioRpcError as error:
            raise CallFailed(_sentence(error)) from None
        finally:
            call.cancel()

    async def portfolio(self) -> portfolio_pb.GetPortfolioResponse:
        """What the customer owns. Raises CallFailed."""
        request = portfolio_pb.GetPortfolioRequest()
        answer: portfolio_pb.GetPortfolioResponse = await _insist(
            lambda: self._portfolios.GetPortfolio(
                request, metadata=self._metadata, timeout=_CALL_SECONDS
            )
        )
        return answer


async def _insist(call: Callable[[], Awaitable[Answer]]) -> Answer:
    """Call until it is answered: everything here is safe to repeat. Raises CallFailed."""
    try:
        async for attempt in AsyncRetrying(
            retry=retry_if_exception(_may_pass),
            stop=stop_after_delay(_PATIENCE_SECONDS),
            wait=wait_random_exponential(multiplier=0.1, max=1.0),
            reraise=True,
        ):
            with attempt:
                return await call()
    except grpc.aio.AioRpcError as error:
        raise CallFailed(_sentence(error)) from None
    raise AssertionError("the loop above answers or raises")


def _may_pass(error: BaseException) -> bool:
    passing = (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED)
    return isinstance(error, grpc.aio.AioRpcError) and error.code() in passing


def _sentence(error: grpc.aio.AioRpcError) -> str:
    return f"{error.code().name} {reason_of(error)}: {error.details()}"


def _bearer(token: str) -> tuple[tuple[str, str], ...]:
    return (("authorization", f"Bearer {token}"),)
