"""A house under the eyes of reconciliation, and whatever can be done to its records by hand."""

import uuid
from pathlib import Path
from typing import Any

import grpc
import psycopg
from psycopg.conninfo import conninfo_to_dict

from libs.embedded import Postgres
from stockbroker.exchange.v1 import exchange_control_service_pb2 as control_pb
from stockbroker.exchange.v1.exchange_control_service_pb2_grpc import ExchangeControlServiceStub
from stockbroker.ledger.v1 import ledger_service_pb2 as ledger_pb
from stockbroker.ledger.v1 import posting_pb2
from stockbroker.ledger.v1.ledger_service_pb2_grpc import LedgerServiceStub
from stockbroker.order.v1 import order_pb2
from stockbroker.reconciliation.v1 import break_pb2
from stockbroker.reconciliation.v1 import reconciliation_service_pb2 as pb
from stockbroker.reconciliation.v1.reconciliation_service_pb2_grpc import ReconciliationServiceStub
from tests.support.app import BUY
from tests.support.house import House
from tests.support.keys import bearer
from tests.support.wait import until

USD = 1_000_000
EVERY_STATE = [
    break_pb2.BREAK_STATE_OPEN,
    break_pb2.BREAK_STATE_EXPLAINED,
    break_pb2.BREAK_STATE_CLOSED,
]


class Scene:
    """Operators' view of reconciliation, and a superuser's hand in every database."""

    def __init__(self, house: House) -> None:
        self.house = house
        self.channel = grpc.aio.insecure_channel(house.operators_address)
        self.service = ReconciliationServiceStub(self.channel)
        self.ledger = LedgerServiceStub(self.channel)
        self.exchange: Any = ExchangeControlServiceStub(self.channel)
        self.olivia = bearer(house.operator_token("olivia"))
        self.oscar = bearer(house.operator_token("oscar"))

    def change(self, service: str, query: str, *values: Any) -> list[Any]:
        """Do in a service's database what no service would do; what it returns."""
        url = self.house.database_url(service)
        found = conninfo_to_dict(url)
        server = Postgres(self.house.folder / "postgres", port=int(str(found["port"])))
        with psycopg.connect(server.url(str(found["dbname"]), "postgres")) as connection:
            connection.execute("SET session_replication_role = replica")  # no trigger stops us
            cursor = connection.execute(query.encode(), values)
            return cursor.fetchall() if cursor.description else []

    async def a_fill(self, customer: str) -> order_pb2.Execution:
        """A fill of a new customer's first trade, an honest one."""
        await self.house.endow(customer, cash=100_000 * USD)
        async with self.house.app(customer) as app:
            trade = await app.place(BUY, 10, "KO")
            story = await app.story({trade.trade_id})
        return next(event.execution for event in story if event.HasField("execution"))

    async def bust(self, execution_id: str) -> str:
        """The exchange takes a fill back; its id of the bust."""
        request = control_pb.BustExecutionRequest(exec_id=execution_id, reason_text="an error")
        told = await self.exchange.BustExecution(request, metadata=self.olivia, timeout=30)
        return str(told.report.exec_id)

    async def correct(self, execution_id: str, quantity: int) -> str:
        """The exchange says that a fill was of fewer shares; its id of the correction."""
        request = control_pb.CorrectExecutionRequest(
            exec_id=execution_id, quantity=quantity, reason_text="a typo"
        )
        told = await self.exchange.CorrectExecution(request, metadata=self.olivia, timeout=30)
        return str(told.report.exec_id)

    async def breaks(self, execution_id: str) -> list[break_pb2.Break]:
        """Every break of an execution, those that are over too."""
        request = pb.ListBreaksRequest(states=EVERY_STATE, page_size=1000)
        found = await self.service.ListBreaks(request, metadata=self.olivia, timeout=10)
        return [each for each in found.breaks if each.execution_id == execution_id]

    async def open_classes(self, execution_id: str) -> set[str]:
        """How the sources differ in an execution."""
        return {
            class_of(each)
            for each in await self.breaks(execution_id)
            if each.state != break_pb2.BREAK_STATE_CLOSED
        }

    async def opened(self, execution_id: str, *classes: str) -> list[break_pb2.Break]:
        """Wait until these breaks are open, and no others."""

        async def are_open() -> bool:
            return await self.open_classes(execution_id) == set(classes)

        await until(are_open, seconds=60, what=f"{classes} open for {execution_id}")
        return await self.breaks(execution_id)

    async def closed(self, execution_id: str) -> set[str]:
        """Wait until none is open; how they ended."""

        async def are_closed() -> bool:
            found = await self.breaks(execution_id)
            return bool(found) and all(each.HasField("closed_at") for each in found)

        await until(are_closed, seconds=60, what=f"breaks of {execution_id} closed")
        return {
            break_pb2.BreakEnd.Name(each.end).removeprefix("BREAK_END_")
            for each in await self.breaks(execution_id)
        }

    async def status(self) -> pb.GetReconciliationResponse:
        """How far everything is read."""
        request = pb.GetReconciliationRequest()
        return await self.service.GetReconciliation(request, metadata=self.olivia, timeout=10)

    async def compared(self) -> None:
        """Wait until everything that happened so far is read and nothing is pending."""
        asked_at = (await self.status()).last_round_at.ToNanoseconds()

        async def is_read() -> bool:
            status = await self.status()
            return status.pending == 0 and all(
                each.read_at.ToNanoseconds() > asked_at for each in status.sources
            )

        await until(is_read, seconds=60, what="everything is compared")

    async def transfer(self, reference: str, *legs: posting_pb2.TransferLeg) -> None:
        """An operator's compensating transfer."""
        transfer = posting_pb2.PostedTransfer(
            transfer_id=str(uuid.uuid4()),
            legs=legs,
            reference=reference,
        )
        done = await self.ledger.PostTransfers(
            posting_pb2.PostTransfersRequest(transfers=[transfer]), metadata=self.olivia
        )
        assert [each.reason for each in done.results] == [0]

    async def reverse(self, transfer_id: str) -> None:
        """One operator asks, another approves."""
        ask = ledger_pb.RequestReversalRequest(
            request_id=str(uuid.uuid4()), transfer_id=transfer_id, reference="the venue has it not"
        )
        await self.ledger.RequestReversal(ask, metadata=self.olivia)
        approve = ledger_pb.ApproveReversalRequest(request_id=ask.request_id, reference="so it is")
        await self.ledger.ApproveReversal(approve, metadata=self.oscar)

    async def as_execution(self, method: str, request: Any) -> None:
        """What only the execution service does."""
        address = self.house.service_address("ledger")
        async with grpc.aio.insecure_channel(address) as channel:
            call = getattr(LedgerServiceStub(channel), method)
            done = await call(request, metadata=bearer(self.house.service_token("execution")))
        assert [each.reason for each in done.results] == [0]

    def log(self) -> str:
        """What reconciliation wrote so far."""
        return Path(self.house.folder / "logs" / "reconciliation.log").read_text()


def class_of(found: break_pb2.Break) -> str:
    """For example MISSING_AT_ORDER."""
    return break_pb2.BreakClass.Name(found.break_class).removeprefix("BREAK_CLASS_")


def leg(source: str, target: str, asset: str, amount: int) -> posting_pb2.TransferLeg:
    """What goes from where to where."""
    return posting_pb2.TransferLeg(
        debit_account=source, credit_account=target, asset=asset, amount=amount
    )
