"""Old months leave a whole house while it trades, and what comes late for them is settled."""

import asyncio
import contextlib
import os
from collections.abc import AsyncIterator
from contextlib import aclosing, asynccontextmanager
from pathlib import Path
from typing import Any

import grpc
import psycopg
from psycopg.conninfo import conninfo_to_dict
from typer.testing import CliRunner

from libs.embedded import Postgres
from libs.embedded.child import script
from libs.money import format_dollars
from services.cli.main import app
from stockbroker.exchange.v1.exchange_control_service_pb2 import RestingOrder
from stockbroker.exchange_gateway.v1 import operators_pb2 as ops
from stockbroker.order.v1 import order_pb2
from tests.e2e.test_amending import BUSTED, Amends
from tests.e2e.test_resting import CASH, CENT, FILLED, SHARES, SYMBOL, Scene
from tests.reconciliation import scene as reconciliation
from tests.support.app import BUY, TERMINAL
from tests.support.house import House
from tests.support.later import Calendar, later_house
from tests.support.wait import until

MISSING = ("AMENDMENT_MISSING_AT_LEDGER", "AMENDMENT_MISSING_AT_ORDER")
WAITS = 60.0


class Past:
    """Alice's trades of a month that is over, and operators."""

    def __init__(self, house: House, calendar: Calendar, amends: Amends, files: Path) -> None:
        self.house = house
        self.calendar = calendar
        self.amends = amends
        self.eyes = reconciliation.Scene(house)
        self._files = files

    async def command(self, *arguments: str) -> str:
        """What `stockbroker` says, which must succeed."""
        # In this process: starting one anew would take longer than all they do.
        result = await asyncio.to_thread(
            CliRunner().invoke, app, arguments, env=self.house.environment()
        )
        assert result.exit_code == 0, result.output
        return result.stdout

    async def archive(self, service: str) -> str:
        """Archive all that may go, by the operators' command; what it says."""
        before = ("--before", str(self.calendar.month.plus(-1)))
        options = (*before, "--into", str(self._files / service))
        process = await asyncio.create_subprocess_exec(
            *(script("stockbroker", wheel="stockbroker"), "archive", service, *options),
            env={**os.environ, **self.house.environment(), **self.calendar.environment()},
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
        told, _ = await process.communicate()
        assert process.returncode == 0, told.decode()
        return " ".join(told.decode().split())

    async def parked(self, fill: order_pb2.TradeEvent) -> ops.ParkedReport:
        """The report of its trade that waits for an operator, once there is one."""
        found: list[ops.ParkedReport] = []

        async def is_parked() -> bool:
            found[:] = await self.amends.parked(fill)
            return bool(found)

        await until(is_parked, seconds=WAITS, what="the report is parked")
        (report,) = found
        return report

    async def settle(self, fill: order_pb2.TradeEvent, shares: int) -> None:
        """An operator moves so many shares of a fill back, and what they cost."""
        execution = fill.execution
        await self.command(
            *("transfers", "post", "alice", "house/clearing", SYMBOL, str(shares)),
            *("--for", format_dollars(shares * execution.price_micros)),
            "--reason",
            f"break {execution.venue}/{execution.execution_id} as the exchange told",
        )
        report = await self.parked(fill)
        await self.command(
            *("reports", "dismiss", str(report.report_seq), "--reason", "posted by hand")
        )


@asynccontextmanager
async def a_past(folder: Path) -> AsyncIterator[Past]:
    with later_house(folder, INTERVAL_SECONDS="0.2", GRACE_SECONDS="0.6") as (house, calendar):
        await house.endow("alice", cash=CASH, shares={SYMBOL: SHARES})
        async with house.operator() as operator, house.app("alice") as hers:
            book = [
                RestingOrder(order_id=1, is_bid=False, price_micros=2000 * CENT, quantity=100),
                RestingOrder(order_id=2, is_bid=True, price_micros=1800 * CENT, quantity=100),
            ]
            await operator.load_book(SYMBOL, book)
            past = Past(house, calendar, Amends(Scene(hers, operator), operator), folder)
            yield past
            await past.eyes.channel.close()


@asynccontextmanager
async def trading(past: Past, symbol: str = "KO") -> AsyncIterator[list[order_pb2.Trade]]:
    """Bob trades all the while; his trades, all of them filled."""
    done: list[order_pb2.Trade] = []
    await past.house.endow("bob", cash=CASH)

    async def trade() -> None:
        async with past.house.app("bob") as his, aclosing(his.events()) as events:
            while True:
                trade = await his.place(BUY, 1, symbol)
                async for event in events:
                    if event.trade.trade_id == trade.trade_id and event.trade.status in TERMINAL:
                        done.append(event.trade)
                        break

    at_work = asyncio.create_task(trade())
    try:
        yield done
        count = len(done)
        await until(lambda: _has_more(done, count), seconds=WAITS, what="trades go on")
    finally:
        at_work.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await at_work
    assert {trade.status for trade in done} == {FILLED}


async def _has_more(done: list[Any], count: int) -> bool:
    return len(done) > count


async def sealed(house: House) -> None:
    """Wait until a checkpoint covers what was written so far."""
    async with await psycopg.AsyncConnection.connect(
        house.database_url("ledger"), autocommit=True
    ) as connection:
        cursor = await connection.execute("SELECT transfer_seq FROM journal_head")
        ((seq,),) = await cursor.fetchall()

        async def is_sealed() -> bool:
            cursor = await connection.execute("SELECT max(last_transfer_seq) FROM checkpoint")
            ((last,),) = await cursor.fetchall()
            return bool(last is not None and last >= seq)

        await until(is_sealed, seconds=WAITS, what="a checkpoint")


async def partly_filled(past: Past) -> order_pb2.TradeEvent:
    """The first fill, four of ten shares, of an order that goes on working."""
    scene = past.amends.scene
    trade_id = await scene.bid(10, 1900)
    await scene.others(is_bid=False, cents=1850, quantity=4)
    async with asyncio.timeout(WAITS):
        async for event in scene.app.events():
            if event.trade.trade_id == trade_id and event.HasField("execution"):
                return event
    raise AssertionError("the stream ended")


def forget_everything(house: House) -> None:
    """Reconciliation loses its database, and its process with it."""
    found = conninfo_to_dict(house.database_url("reconciliation"))
    server = Postgres(house.folder / "postgres", port=int(str(found["port"])))
    name = str(found["dbname"])
    tables = "reading, sighting, agreed_execution, suspect, break, explanation, day"
    with psycopg.connect(server.url(name, "postgres"), autocommit=True) as connection:
        # None but a superuser gets in meanwhile: what is begun again must not read what is to go,
        # and to lock the tables against it one by one could end in a deadlock.
        connection.execute(f"ALTER DATABASE {name} CONNECTION LIMIT 0".encode())
        house.kill("reconciliation")
        connection.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE datname = current_database() AND pid <> pg_backend_pid()"
        )
        connection.execute("SET session_replication_role = replica")
        with connection.transaction():
            connection.execute(f"TRUNCATE {tables}".encode())
            connection.execute("INSERT INTO reading (source) SELECT generate_series(1, 4)")
        connection.execute(f"ALTER DATABASE {name} CONNECTION LIMIT -1".encode())


async def test_old_months_leave_a_trading_house_and_what_comes_late_for_them_is_settled(
    tmp_path: Path,
) -> None:
    async with a_past(tmp_path) as past:
        amends, old = past.amends, past.calendar.month
        scene = amends.scene
        bought, partly = await amends.fill(BUY, 10), await partly_filled(past)
        past.calendar.turn_to(old.plus(2))
        await amends.fill(BUY, 1)
        await sealed(past.house)

        async with trading(past):
            assert f"ledger-entry-{old}.csv.gz" in await past.archive("ledger")
        await scene.others(is_bid=False, cents=1900, quantity=6)
        *_, whole = await scene.app.story({partly.trade.trade_id})
        assert whole.trade.filled_quantity == whole.trade.quantity

        # Both fills are in files: what the exchange takes back of them waits for an operator.
        await amends.bust(bought)
        await amends.correct(partly, 3, 1900)
        for fill in (bought, partly):
            report = await past.parked(fill)
            assert report.breach == "REFUSED_BY_EXECUTION"
            assert "HISTORY_ARCHIVED" in report.detail
            await past.eyes.opened(fill.execution.execution_id, *MISSING)
        await amends.retry(await past.parked(bought))
        assert "HISTORY_ARCHIVED" in (await past.parked(bought)).detail

        # What comes after it goes on: of that trade, and of others of hers.
        await amends.bust(whole)
        await amends.told(whole, BUSTED)
        await amends.fill(BUY, 1)

        await past.settle(bought, 10)
        await past.settle(partly, 1)
        for fill in (bought, partly):
            assert await past.eyes.closed(fill.execution.execution_id) == {"COMPENSATED"}
            assert await amends.parked(fill) == []
        assert await amends.owns() == (CASH // CENT - 2 * 2000 - 3 * 1900, SHARES + 2 + 3)

        async with trading(past):
            assert f"order-trade_event-{old}.csv.gz" in await past.archive("order")
        forget_everything(past.house)
        await until(lambda: is_read_anew(past), seconds=WAITS, what="all is read anew")
        assert await amends.stands(bought) == ("FILLED", 10, 10 * 2000)
        assert "no breaks" in await past.command("breaks")
        await past.command("invariants", "--full")


async def is_read_anew(past: Past) -> bool:
    """Whether reconciliation has compared all there is."""
    with contextlib.suppress(grpc.aio.AioRpcError):  # it has only just begun again
        status = await past.eyes.status()
        return not status.pending and all(each.HasField("reread_at") for each in status.sources)
    return False
