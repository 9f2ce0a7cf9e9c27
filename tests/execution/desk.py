"""A test's own floor: workers, an exchange that fills what it gets, and a customers' app."""

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from contextlib import AsyncExitStack, suppress
from pathlib import Path
from types import TracebackType
from typing import Any

import grpc
import msgspec

from libs.broker import BrokerAway
from libs.nudges import Nudges, NudgeStream
from libs.partition import partition_of
from libs.rpc import connect
from libs.settings import PREFIX
from services.execution.main import Settings, house
from stockbroker.common.v1.terms_pb2 import Side
from stockbroker.exchange_gateway.v1 import exchange_gateway_service_pb2 as gateway_pb
from stockbroker.execution.v1 import execution_service_pb2 as pb
from stockbroker.execution.v1 import execution_service_pb2_grpc as pb_grpc
from tests.execution.fakes import Street
from tests.support.keys import Keys, bearer
from tests.support.wait import until

PRICE_MICROS = 10_000_000


async def eventually(look: Callable[[], Any], *, seconds: float = 40.0) -> Any:
    """Wait for it; generously, since processes start slowly on a busy machine."""
    return await until(look, seconds=seconds)


class WorkerDouble:
    """A worker in this process: its door, and a way to end it gracefully."""

    def __init__(self, name: str, address: str, stack: AsyncExitStack, keys: Keys) -> None:
        self.name = name
        self.address = address
        self._stack = stack
        self._operator = bearer(keys.operator())
        self.channel = grpc.aio.insecure_channel(address)
        self.stub = pb_grpc.ExecutionServiceStub(self.channel)

    async def status(self) -> pb.GetStatusResponse:
        """What an operator is told."""
        return await self.stub.GetStatus(pb.GetStatusRequest(), metadata=self._operator)

    async def leads(self) -> int:
        """How many partitions it says it leads."""
        return len((await self.status()).leads)

    async def end(self) -> None:
        """Gracefully, as SIGTERM does."""
        await self.channel.close()
        await self._stack.aclose()


class WorkerProcess:
    """A worker as a process of its own, to be killed, stopped and terminated."""

    def __init__(self, settings: Settings, log: Path) -> None:
        told = {
            f"{PREFIX}{name.upper()}": str(value)
            for name, value in msgspec.structs.asdict(settings).items()
        }
        root = Path(__file__).parents[2]
        path = os.pathsep.join([str(root), str(root / "build" / "stubs")])
        environment = {**os.environ, "PYTHONPATH": path, **told}
        with log.open("ab") as out:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "services.execution.main"],
                env=environment,
                stdout=out,
                stderr=subprocess.STDOUT,
            )

    def signal(self, number: signal.Signals) -> None:
        """Send a signal."""
        self._process.send_signal(number)

    async def wait(self) -> int:
        """Its exit code, once it has ended."""
        return await asyncio.to_thread(self._process.wait, 10)

    def end(self) -> None:
        """kill -9, if it still runs."""
        self._process.kill()
        self._process.wait()


class Desk:
    """Workers and what is around them."""

    def __init__(
        self, keys: Keys, street: Street, nats_url: str, new_settings: Callable[..., Settings]
    ) -> None:
        self.keys = keys
        self.street = street
        self.order, self.ledger, self.gateway = street.order, street.ledger, street.gateway
        self._nats_url = nats_url
        self._new_settings = new_settings
        self._workers: list[WorkerDouble] = []
        self._processes: list[WorkerProcess] = []
        settings = new_settings(nats_url)
        self.stream = NudgeStream(
            settings.nudge_stream, settings.nudge_prefix, settings.nudge_replicas
        )
        self.nudges = Nudges(nats_url, stream=self.stream, name="app")
        self._gateway_channel: grpc.aio.Channel | None = None
        self._exchange: asyncio.Task[None] | None = None
        self.report_seq = 0

    async def __aenter__(self) -> "Desk":
        self.nudges.start()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._exchange is not None:
            self._exchange.cancel()
            with suppress(asyncio.CancelledError):
                await self._exchange
        for process in self._processes:
            process.end()
        for worker in self._workers:
            await worker.end()
        if self._gateway_channel is not None:
            await self._gateway_channel.close()
        with suppress(BrokerAway):
            await self.nudges.broker.request(
                f"$JS.API.STREAM.PURGE.{self.stream.name}", timeout_seconds=5
            )
        await self.nudges.close()

    def settings(self, **more: object) -> Settings:
        """Settings of a worker here."""
        return self._new_settings(self._nats_url, **more)

    async def start_worker(self, name: str = "one", **more: object) -> WorkerDouble:
        """A worker, serving; it may lead nothing yet."""
        stack = AsyncExitStack()
        rpc = await stack.enter_async_context(house(self.settings(worker=name, **more)))
        worker = WorkerDouble(name, rpc.address, stack, self.keys)
        self._workers.append(worker)
        return worker

    async def start_leader(
        self, name: str = "one", *, hears_nudges: bool = True, **more: object
    ) -> WorkerDouble:
        """A worker that leads everything, has swept it once, and hears nudges if there is NATS."""
        worker = await self.start_worker(name, **more)
        await eventually(lambda: self.leads_all(worker))
        await eventually(lambda: len(self.order.swept_whole) == 128)
        if hears_nudges:  # it sweeps at leisure then
            await eventually(lambda: 1_000 in self.order.sweep_ages)
        return worker

    def start_process(self, name: str, log: Path, **more: object) -> WorkerProcess:
        """A worker as a process of its own."""
        process = WorkerProcess(self.settings(worker=name, **more), log)
        self._processes.append(process)
        return process

    def leader_of(self, customer_id: str) -> str:
        """Who was made leader of the customer's partition last, '' if nobody was."""
        return self.order.leaders.get(partition_of(customer_id), "")

    async def leads_all(self, *workers: WorkerDouble) -> bool:
        """Whether these workers lead every partition between them, each once."""
        leads = [partition for worker in workers for partition in (await worker.status()).leads]
        return sorted(leads) == list(range(128))

    async def share(self, one: WorkerDouble, two: WorkerDouble) -> bool:
        """Whether both lead a fair part of all partitions."""
        return 32 < await one.leads() < 96 and await self.leads_all(one, two)

    async def place(self, customer_id: str, **terms: object) -> str:
        """Record a trade and nudge, as the order service does."""
        trade_id = self.order.place(customer_id, **terms)  # type: ignore[arg-type]
        await self.nudges.publish([customer_id])
        return trade_id

    def report(self, trade_id: str, **news: object) -> pb.Report:
        """A report of a trade, with what it says: accepted=, filled= or ended=."""
        self.report_seq += 1
        trade = self.order.trade(trade_id)
        return pb.Report(
            report_seq=self.report_seq,
            trade_id=trade_id,
            customer_id=trade.customer_id,
            side=trade.side,
            symbol=trade.symbol,
            venue="XSIM",
            **news,  # type: ignore[arg-type]
        )

    def fill(self, trade_id: str, quantity: int = 0) -> pb.Report:
        """A fill of all, or of part."""
        ordered = self.order.trade(trade_id).quantity
        quantity = quantity or ordered
        filled = pb.Report.Filled(
            execution_id=f"{trade_id}/{self.report_seq + 1}",
            quantity=quantity,
            price_micros=PRICE_MICROS,
            is_last=self.order.trade(trade_id).filled_quantity + quantity >= ordered,
        )
        return self.report(trade_id, filled=filled)

    async def deliver(self, worker: WorkerDouble, *reports: pb.Report) -> pb.ApplyReportsResponse:
        """Bring reports as the gateway does, until they are answered."""
        if self._gateway_channel is None:
            self._gateway_channel = connect(
                worker.address, self.keys.token_file("exchange_gateway")
            )
        stub = pb_grpc.ExecutionServiceStub(self._gateway_channel)
        while True:
            try:
                return await stub.ApplyReports(pb.ApplyReportsRequest(reports=reports), timeout=60)
            except grpc.aio.AioRpcError as error:
                if error.code() is not grpc.StatusCode.UNAVAILABLE:
                    raise
                await asyncio.sleep(0.02)

    async def deliver_whole(self, worker: WorkerDouble, *reports: pb.Report) -> None:
        """Bring them again until all are booked."""
        left = list(reports)
        while left:
            answer = await self.deliver(worker, *left)
            codes = [result.code for result in answer.results]
            assert set(codes) <= {pb.ReportResult.CODE_APPLIED, pb.ReportResult.CODE_LATER}
            later = pb.ReportResult.CODE_LATER
            left = [report for report, code in zip(left, codes, strict=True) if code == later]
            await asyncio.sleep(0.02 if left else 0)

    def open_exchange(self, worker: WorkerDouble) -> None:
        """From now on every order is accepted and filled whole, and reported to `worker`."""
        self._exchange = asyncio.create_task(self._trade(worker))

    async def _trade(self, worker: WorkerDouble) -> None:
        while True:
            trade_ids = [await self.gateway.news.get()]
            while not self.gateway.news.empty():
                trade_ids.append(self.gateway.news.get_nowait())
            reports = []
            for trade_id in trade_ids:
                self.gateway.states[trade_id] = gateway_pb.ORDER_STATE_DONE
                accepted = pb.Report.Accepted(exchange_order_id=f"X{trade_id}")
                reports += [self.report(trade_id, accepted=accepted), self.fill(trade_id)]
            await self.deliver_whole(worker, *reports)


BUY, SELL = Side.SIDE_BUY, Side.SIDE_SELL
