"""An operator at work: calls through the operators' door."""

import uuid
from collections.abc import Iterable
from types import TracebackType

import grpc
from tenacity import retry, retry_if_exception_type, stop_after_delay, wait_fixed

from libs import tape
from stockbroker.exchange.v1 import exchange_control_service_pb2 as control_pb
from stockbroker.exchange.v1 import exchange_control_service_pb2_grpc as control_grpc
from stockbroker.ledger.v1 import ledger_service_pb2 as ledger_pb
from stockbroker.ledger.v1 import ledger_service_pb2_grpc as ledger_grpc
from tests.support.keys import bearer

_CALL_SECONDS = 30.0
# Deposits bear ids of their own: they may be repeated while a service is being restarted.
_insist = retry(
    retry=retry_if_exception_type(grpc.aio.AioRpcError),
    stop=stop_after_delay(60),
    wait=wait_fixed(0.2),
    reraise=True,
)


class Operator:
    """One operator's connection to the house."""

    def __init__(self, address: str, token: str) -> None:
        self.channel = grpc.aio.insecure_channel(address)
        self.metadata = bearer(token)
        self._control = control_grpc.ExchangeControlServiceStub(self.channel)
        self._ledger = ledger_grpc.LedgerServiceStub(self.channel)

    async def __aenter__(self) -> "Operator":
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.channel.close()

    async def deposit(self, customer: str, amount_micros: int) -> None:
        """Bring cash in."""
        request = ledger_pb.DepositRequest(
            deposit_id=str(uuid.uuid4()),
            customer_id=customer,
            amount_micros=amount_micros,
            reference="for a test",
        )
        await self._send_deposit(request)

    async def deposit_shares(self, customer: str, symbol: str, quantity: int) -> None:
        """Bring shares in that cost nothing."""
        request = ledger_pb.DepositSharesRequest(
            deposit_id=str(uuid.uuid4()),
            customer_id=customer,
            symbol=symbol,
            quantity=quantity,
            reference="for a test",
        )
        await self._send_deposit_of_shares(request)

    @_insist
    async def _send_deposit(self, request: ledger_pb.DepositRequest) -> None:
        await self._ledger.Deposit(request, metadata=self.metadata, timeout=_CALL_SECONDS)

    @_insist
    async def _send_deposit_of_shares(self, request: ledger_pb.DepositSharesRequest) -> None:
        await self._ledger.DepositShares(request, metadata=self.metadata, timeout=_CALL_SECONDS)

    async def load_book(self, symbol: str, orders: Iterable[control_pb.RestingOrder]) -> int:
        """Make these the book of `symbol`; how many rest now."""
        request = control_pb.LoadBookRequest(symbol=symbol, orders=orders)
        response = await self._control.LoadBook(
            request, metadata=self.metadata, timeout=_CALL_SECONDS
        )
        return response.orders

    async def set_phase(self, phase: control_pb.SetPhaseRequest.Phase.ValueType) -> None:
        """Open or close the exchange, or end its day."""
        request = control_pb.SetPhaseRequest(phase=phase)
        await self._control.SetPhase(request, metadata=self.metadata, timeout=_CALL_SECONDS)

    async def trade(self, symbol: str, order: control_pb.RestingOrder) -> None:
        """Another participant's order comes into the book."""
        kind = control_pb.TapeCommand.KIND_NEW
        command = control_pb.TapeCommand(kind=kind, order=order)
        played = await self.play(symbol, [command], speed_millis=0)
        assert played.commands == 1

    async def play(
        self, symbol: str, commands: Iterable[control_pb.TapeCommand], *, speed_millis: int
    ) -> control_pb.PlayTapeResponse:
        """Play others' commands to the end; a speed of 0 is as fast as possible."""
        requests = tape.requests(commands, symbol=symbol, speed_millis=speed_millis)
        return await self._control.PlayTape(requests, metadata=self.metadata)
