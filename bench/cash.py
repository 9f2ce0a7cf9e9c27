"""Money for customers, by transfers in the ledger: so its chains and proofs are true."""

import asyncio
import uuid
from collections.abc import Iterator, Sequence

import grpc

from bench.premises import House
from stockbroker.ledger.v1 import posting_pb2 as posting
from stockbroker.ledger.v1.ledger_service_pb2_grpc import LedgerServiceStub

_BANK, _CASH_MICROS = "house/bench", 4 * 10**12  # a balance has room for two million of it
_CALLS, _CALL_ITEMS = 4, 500
_CALL_SECONDS = 600.0


async def endow(house: House, customers: Sequence[str]) -> None:
    """The same for each of these."""
    left = cash_calls(customers)
    async with grpc.aio.insecure_channel(house.services["ledger"]) as channel:
        ledger = LedgerServiceStub(channel)

        async def work() -> None:
            for request in left:
                answer = await ledger.PostTransfers(
                    request, metadata=house.operator(), timeout=_CALL_SECONDS
                )
                if refused := [result for result in answer.results if result.reason]:
                    raise RuntimeError(f"refused: {refused[0]}")

        await asyncio.gather(*(work() for _ in range(_CALLS)))


def cash_calls(customers: Sequence[str]) -> Iterator[posting.PostTransfersRequest]:
    """Calls of the ledger that give each of these the same amount."""
    for start in range(0, len(customers), _CALL_ITEMS):
        names = customers[start : start + _CALL_ITEMS]
        yield posting.PostTransfersRequest(transfers=map(_cash, names))


def _cash(customer: str) -> posting.PostedTransfer:
    leg = posting.TransferLeg(
        debit_account=_BANK,
        credit_account=f"customer/{customer}",
        asset="USD",
        amount=_CASH_MICROS,
    )
    return posting.PostedTransfer(
        transfer_id=str(uuid.uuid4()), legs=[leg], reference="for a measurement"
    )
