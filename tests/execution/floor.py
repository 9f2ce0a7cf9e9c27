"""Workers as processes of their own on the real order service, its PostgreSQL and real NATS.

Ledger and gateway are stand-ins; the exchange fills whatever reaches it and reports to any worker.
"""

import asyncio
import itertools
from collections import Counter, defaultdict
from collections.abc import Callable, Collection
from contextlib import AsyncExitStack
from pathlib import Path
from types import TracebackType
from typing import Any

import grpc
import psycopg
from grpc_health.v1.health_pb2 import HealthCheckRequest, HealthCheckResponse
from grpc_health.v1.health_pb2_grpc import HealthStub

from libs.embedded import free_port
from libs.rpc import connect
from libs.tasks import end
from services.execution.main import Settings
from services.order.main import Settings as OrderSettings
from services.order.main import house as order_house
from stockbroker.common.v1.terms_pb2 import Side
from stockbroker.execution.v1 import execution_service_pb2 as pb
from stockbroker.execution.v1 import execution_service_pb2_grpc as pb_grpc
from stockbroker.order.v1 import order_service_pb2 as order_pb
from stockbroker.order.v1 import order_service_pb2_grpc as order_grpc
from tests.execution.desk import PRICE_MICROS, WorkerProcess, eventually
from tests.execution.fakes import Street
from tests.support.keys import Keys, bearer


class Floor:
    """Everything around the workers."""

    def __init__(
        self,
        keys: Keys,
        street: Street,
        nats_url: str,
        database_url: str,
        new_settings: Callable[..., Settings],
    ) -> None:
        self.keys = keys
        self.gateway, self.ledger = street.gateway, street.ledger
        self._nats_url = nats_url
        self._database_url = database_url
        self._gateway_address = street.addresses["gateway"]
        self._new_settings = new_settings
        self._workers: dict[str, WorkerProcess] = {}
        self._stubs: dict[str, Any] = {}
        self._stack = AsyncExitStack()
        self._seqs = itertools.count(1)
        self._exchange: asyncio.Task[None] | None = None
        self.placed: dict[str, list[str]] = defaultdict(list)

    async def __aenter__(self) -> "Floor":
        settings = self._new_settings(self._nats_url)
        rpc = await self._stack.enter_async_context(
            order_house(
                OrderSettings(
                    database_url=self._database_url,
                    nats_url=self._nats_url,
                    jwks_file=str(self.keys.jwks_file),
                    service_token_file=str(self.keys.token_file("order")),
                    gateway_address=self._gateway_address,
                    ledger_address="127.0.0.1:1",
                    nudge_stream=settings.nudge_stream,
                    nudge_prefix=settings.nudge_prefix,
                )
            )
        )
        self._order_address = rpc.address
        channel = await self._stack.enter_async_context(grpc.aio.insecure_channel(rpc.address))
        self._orders = order_grpc.OrderServiceStub(channel)
        await eventually(lambda: _is_ready(channel))
        self._exchange = asyncio.create_task(self._trade())
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await end(self._exchange)
        for worker in self._workers.values():
            worker.end()
        await self._stack.aclose()

    async def start(self, name: str, log: Path) -> WorkerProcess:
        """A worker, started; it leads nothing yet."""
        address = f"127.0.0.1:{free_port()}"
        settings = self._new_settings(
            self._nats_url, worker=name, listen=address, order_address=self._order_address
        )
        worker = self._workers[name] = WorkerProcess(settings, log)
        channel = connect(address, self.keys.token_file("exchange_gateway"))
        self._stack.push_async_callback(channel.close)
        self._stubs[name] = pb_grpc.ExecutionServiceStub(channel)
        return worker

    async def rows(self, query: str) -> list[tuple[Any, ...]]:
        """What the order database answers."""
        async with await psycopg.AsyncConnection.connect(self._database_url) as connection:
            return await (await connection.execute(query.encode())).fetchall()

    async def spread(self) -> Counter[str]:
        """How many partitions each worker was made leader of last."""
        leaders = await self.rows("SELECT worker FROM execution_partition WHERE worker <> ''")
        return Counter(str(row[0]) for row in leaders)

    async def is_shared(
        self, names: Collection[str], *, within: tuple[int, int] = (1, 128)
    ) -> bool:
        """Whether these workers and nobody else lead all partitions, each as many as given."""
        spread = await self.spread()
        least, most = within
        return (
            spread.keys() == set(names)
            and spread.total() == 128
            and all(least <= led <= most for led in spread.values())
        )

    async def place(self, customer: str) -> None:
        """A trade, placed by the customer's app."""
        request = order_pb.PlaceTradeRequest(symbol="AAPL", side=Side.SIDE_BUY, quantity=1)
        metadata = bearer(self.keys.customer(customer))
        answer = await self._orders.PlaceTrade(request, metadata=metadata, timeout=30)
        self.placed[customer].append(answer.trade.trade_id)

    async def all_filled(self) -> bool:
        """Whether every trade is FILLED."""
        placed = sum(len(trades) for trades in self.placed.values())
        rows = await self.rows("SELECT count(*) FROM trade WHERE status = 4")
        return bool(rows[0][0] == placed)

    async def check(self) -> None:
        """Every trade was sent once; each customer's in the order placed, one at a time."""
        await eventually(self.all_filled, seconds=60)
        sent = [trade_id for trade_id in self.gateway.sent if trade_id in self._all()]
        assert len(sent) == len(set(sent)) == len(self._all())
        for customer, trades in self.placed.items():
            of_customer = set(trades)
            assert [trade_id for trade_id in sent if trade_id in of_customer] == trades, customer
        story = await self.rows(
            "SELECT customer_id, trade_id::text FROM trade_event WHERE kind = 2"
            " ORDER BY customer_id, seq"
        )
        started = defaultdict(list)
        for customer, trade_id in story:
            started[str(customer)].append(trade_id)
        assert started == self.placed
        overlaps = await self.rows(
            "SELECT s.trade_id FROM trade_event AS s JOIN trade_event AS other"
            " ON other.customer_id = s.customer_id AND other.trade_id <> s.trade_id"
            " AND other.kind = 2 AND other.seq < s.seq WHERE s.kind = 2 AND NOT EXISTS ("
            "   SELECT FROM trade_event AS ending WHERE ending.trade_id = other.trade_id"
            "   AND ending.status = 4 AND ending.customer_id = s.customer_id"
            "   AND ending.seq < s.seq)"
        )
        assert overlaps == []

    def _all(self) -> set[str]:
        return {trade_id for trades in self.placed.values() for trade_id in trades}

    async def _trade(self) -> None:
        """The exchange: everything is filled at once; reports go to whichever worker answers."""
        while True:
            trade_ids = [await self.gateway.news.get()]
            while not self.gateway.news.empty():
                trade_ids.append(self.gateway.news.get_nowait())
            reports = [self._report(trade_id) for trade_id in trade_ids]
            await self._deliver(reports)

    def _report(self, trade_id: str) -> pb.Report:
        order = self.gateway.orders[trade_id]
        filled = pb.Report.Filled(
            execution_id=f"fill-{trade_id}",
            quantity=order.quantity,
            price_micros=PRICE_MICROS,
            is_last=True,
        )
        filled.executed_at.GetCurrentTime()
        return pb.Report(
            report_seq=next(self._seqs),
            trade_id=trade_id,
            customer_id=order.customer_id,
            side=order.side,
            symbol=order.symbol,
            venue="XSIM",
            filled=filled,
        )

    async def _deliver(self, reports: list[pb.Report]) -> None:
        request = pb.ApplyReportsRequest(reports=reports)
        for stub in itertools.cycle(list(self._stubs.values())):
            try:
                answer: pb.ApplyReportsResponse = await stub.ApplyReports(request, timeout=3)
            except grpc.aio.AioRpcError:
                await asyncio.sleep(0.05)
                continue
            codes = {result.code for result in answer.results}
            assert pb.ReportResult.CODE_IMPOSSIBLE not in codes, answer
            if pb.ReportResult.CODE_LATER not in codes:
                return


async def _is_ready(channel: grpc.aio.Channel) -> bool:
    """Whether the order service takes trades."""
    stub: Any = HealthStub(channel)
    request = HealthCheckRequest(service="stockbroker.order.v1.OrderService")
    answer = await stub.Check(request, timeout=10)
    return bool(answer.status == HealthCheckResponse.SERVING)
