"""Months of history that left the database: trades stay for ever, and no gap is told as none."""

import asyncio
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import psycopg
import pytest

from libs.archive import Archiving, check
from libs.postgres.partitions import take_out
from services.order.archive import TradeEvents
from stockbroker.order.v1 import order_service_pb2 as pb
from stockbroker.order.v1.order_pb2 import TradeEventKind as Kind
from stockbroker.order.v1.order_pb2 import TradeStatus as Status
from stockbroker.order.v1.recorded_execution_pb2 import ListExecutionsRequest
from tests.order.client import Order, accepted, canceled, events_of, filled, refused, seqs
from tests.order.months import (
    ARCHIVED,
    FOURTH,
    LASTING,
    SECOND,
    THIRD,
    THIS,
    archive,
    archived_through,
    make_older,
    place_in,
    trade_in,
    value,
)
from tests.order.test_amending import busted
from tests.support.wait import until


async def partial(order: Order, trade_id: str) -> pb.ListTradeEventsResponse:
    """What is left of alice's trade's story."""
    request = pb.ListTradeEventsRequest(trade_id=trade_id, partial=True)
    return await order.trades.ListTradeEvents(request, **order.as_customer("alice"))  # type: ignore[no-any-return]


async def test_of_an_archived_trade_all_is_there_but_its_steps(
    order: Order, connection: psycopg.AsyncConnection, tmp_path: Path
) -> None:
    trade_id = await trade_in(order, connection, THIS)
    before = await order.get("alice", trade_id)
    explained = await order.explain("alice", trade_id)

    (manifest,) = await archive(connection, tmp_path, SECOND)

    assert (manifest.rows, manifest.facts["trades"], manifest.facts["customers"]) == (4, 1, 1)
    assert manifest.last == {"customer_id": "alice", "seq": "4"}
    assert await order.get("alice", trade_id) == before
    assert list((await order.page("alice")).trades) == [before]
    assert await order.explain("alice", trade_id) == explained
    repeated = await order.place(client_order_id=before.client_order_id)
    assert (repeated.trade_id, repeated.status) == (trade_id, Status.TRADE_STATUS_PLACED)
    request = ListExecutionsRequest()
    executions = await order.execution.ListExecutions(request, **order.as_service())
    assert [each.execution.trade_id for each in executions.executions] == [trade_id]

    assert await refused(order.events("alice", trade_id)) == ARCHIVED
    assert await archived_through(order.events("alice", trade_id)) == "4"
    left = await partial(order, trade_id)
    assert (list(left.events), left.archived_through_seq) == ([], 4)
    assert await refused(order.events("bob", trade_id)) == ("NOT_FOUND", "TRADE_NOT_FOUND")


async def test_a_fill_is_busted_long_after_its_month_was_archived(
    order: Order, connection: psycopg.AsyncConnection, tmp_path: Path
) -> None:
    trade_id = await trade_in(order, connection, THIS)
    await archive(connection, tmp_path, SECOND)
    stream = order.watch("alice", 4)
    await order.apply(busted(trade_id, execution_id=f"E-{trade_id}"))

    (event,) = await events_of(stream, 1)
    stream.cancel()
    assert (event.seq, event.kind) == (5, Kind.TRADE_EVENT_KIND_EXECUTION_BUSTED)
    assert (await order.get("alice", trade_id)).filled_quantity == 0
    assert await value(connection, "SELECT count(*) FROM trade_event_before") == 1

    await trade_in(order, connection, SECOND, "bob")
    await archive(connection, tmp_path, THIRD)
    left = await partial(order, trade_id)
    assert (seqs(left.events), left.archived_through_seq) == ([5], 4)
    assert await refused(order.events("alice", trade_id)) == ARCHIVED
    stream = order.watch("alice", 4)
    assert seqs(await events_of(stream, 1)) == [5]
    stream.cancel()


async def test_a_month_goes_only_once_its_trades_are_over(
    order: Order, connection: psycopg.AsyncConnection, tmp_path: Path
) -> None:
    (waits,) = await place_in(connection, THIS, ["alice"])
    await trade_in(order, connection, SECOND, "bob")
    assert await archive(connection, tmp_path, THIRD) == []
    await order.claim_as_leader("alice")
    assert await archive(connection, tmp_path, THIRD) == []
    await order.apply(accepted(waits), canceled(waits))
    assert [each.rows for each in await archive(connection, tmp_path, THIRD)] == [4, 4]


async def test_a_month_stays_while_an_order_of_it_rests(
    order: Order, connection: psycopg.AsyncConnection, tmp_path: Path
) -> None:
    (rests,) = await place_in(connection, THIS, ["alice"], LASTING)
    await order.claim_as_leader("alice")
    await order.apply(accepted(rests))
    assert await value(connection, "SELECT count(*) FROM resting_trade") == 1
    assert await archive(connection, tmp_path, SECOND) == []
    await order.apply(filled(rests))
    assert [each.rows for each in await archive(connection, tmp_path, SECOND)] == [4]


async def test_an_event_that_comes_while_its_month_goes_is_archived_with_it(
    order: Order,
    connection: psycopg.AsyncConnection,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The file was written, and it was said up to where events are archived."""
    trade_id = await trade_in(order, connection, THIS)

    async def bust_and_take_out(*args: Any, **named: Any) -> None:
        await order.apply(busted(trade_id, execution_id=f"E-{trade_id}"))
        await take_out(*args, **named)

    monkeypatch.setattr("libs.archive.archiving.take_out", bust_and_take_out)
    assert [each.rows for each in await archive(connection, tmp_path, SECOND)] == [5]
    assert await value(connection, "SELECT through_seq FROM archived_history") == 5


async def test_events_of_one_customer_in_many_months_are_told_in_sequence(
    order: Order, connection: psycopg.AsyncConnection
) -> None:
    trade_ids = [
        await trade_in(order, connection, month) for month in (THIRD, THIS, FOURTH, SECOND)
    ]
    stream = order.watch("alice")
    events = await events_of(stream, 16)
    stream.cancel()
    assert seqs(events) == list(range(1, 17))
    assert [event.trade.trade_id for event in events[::4]] == trade_ids
    for trade_id in trade_ids:
        assert len(await order.events("alice", trade_id)) == 4
    assert await value(connection, "SELECT count(*) FROM trade_event_default") == 0


async def test_a_trade_whose_month_has_no_partition_lives_all_the_same(
    order: Order, connection: psycopg.AsyncConnection, tmp_path: Path
) -> None:
    far = FOURTH.plus(5)
    trade_id = await trade_in(order, connection, far)
    assert len(await order.events("alice", trade_id)) == 4
    assert await value(connection, "SELECT count(*) FROM trade_event_default") == 4
    manifests = await archive(connection, tmp_path, far.plus(1))
    assert (manifests[-1].month, manifests[-1].rows) == (str(far), 4)
    assert await value(connection, "SELECT count(*) FROM trade_event_default") == 0


async def test_a_month_without_a_partition_stays_like_any_other(
    order: Order, connection: psycopg.AsyncConnection, tmp_path: Path
) -> None:
    far = FOURTH.plus(5)
    (waits,) = await place_in(connection, far, ["alice"])
    manifests = await archive(connection, tmp_path, far.plus(1))
    assert manifests[-1].month == str(far.plus(-1))
    assert len(await order.events("alice", waits)) == 1


async def test_trading_goes_on_while_months_are_taken_out(
    order: Order, connection: psycopg.AsyncConnection, tmp_path: Path
) -> None:
    for month in (THIS, SECOND, THIRD):
        await trade_in(order, connection, month, "bob")
    stream = order.watch("alice")
    is_over = asyncio.Event()

    async def trade_on() -> int:
        count = 0
        while not is_over.is_set() or not count:
            (trade_id,) = await place_in(connection, FOURTH, ["alice"])
            await order.claim_as_leader("alice")
            await order.apply(accepted(trade_id), filled(trade_id))
            count += 1
        return count

    trading = asyncio.create_task(trade_on())
    async with await psycopg.AsyncConnection.connect(
        connection.info.dsn, password=connection.info.password, autocommit=True
    ) as other:
        assert [each.rows for each in await archive(other, tmp_path, FOURTH)] == [4, 4, 4]
    is_over.set()
    count = 4 * await asyncio.wait_for(trading, 60)
    assert seqs(await events_of(stream, count)) == list(range(1, count + 1))
    stream.cancel()
    assert await refused(order.watch("bob")) == ARCHIVED


async def test_an_archive_that_is_killed_in_the_middle_is_finished_by_the_next(
    order: Order, connection: psycopg.AsyncConnection, postgres_url: str, tmp_path: Path
) -> None:
    """By the operator's command."""
    old = THIS.plus(-3)
    await make_older(connection, old)
    trade_id = await trade_in(order, connection, old)
    files = tmp_path / "files"
    command = [sys.executable, "-m", "services.cli.main", "archive", "order"]
    command += ["--into", str(files), "--before", str(THIS), "--drop"]
    data = a_house_file(tmp_path / "house", postgres_url)
    environment = {**os.environ, "STOCKBROKER_DATA_FOLDER": str(data), "COLUMNS": "200"}

    async with connection.transaction():  # whoever takes the month out waits for its end
        await connection.execute("LOCK TABLE trade_event IN ACCESS SHARE MODE")
        process = await asyncio.create_subprocess_exec(*command, env=environment)
        await until(lambda: any(files.glob("*.json")), what="the file is whole")
        process.kill()
        await process.wait()
    assert seqs(await order.events("alice", trade_id)) == [1, 2, 3, 4]

    done = await asyncio.to_thread(
        subprocess.run, command, env=environment, capture_output=True, text=True, check=True
    )
    assert done.stdout.count("dropped") == 2, done.stdout
    assert check(files / f"order-trade_event-{old}.json").rows == 4
    assert await archived_through(order.events("alice", trade_id)) == "4"


async def test_a_month_that_was_taken_out_is_written_once_more_into_another_folder(
    order: Order, connection: psycopg.AsyncConnection, tmp_path: Path
) -> None:
    await trade_in(order, connection, THIS)
    (first,) = await archive(connection, tmp_path, SECOND)
    (tmp_path / "other").mkdir()
    archiving = Archiving(connection, TradeEvents(), tmp_path / "other", now=FOURTH)

    (partition,) = await archiving.taken_out()

    assert archiving.checked(partition) is None
    assert await archiving.complete(partition, None, lambda rows: None) == first


def a_house_file(folder: Path, order_url: str) -> Path:
    """What a running house leaves for the command line."""
    folder.mkdir()
    words = {"public": "", "operators": "", "signing_key_file": ""}
    house = json.dumps({**words, "databases": {"order": order_url}})
    (folder / "house.json").write_text(house)
    return folder
