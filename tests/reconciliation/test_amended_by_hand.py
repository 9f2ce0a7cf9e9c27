"""Busts and corrections altered by hand in a running house: each is found, classed, and closes."""

import asyncio
import uuid
from dataclasses import dataclass
from typing import Any

import pytest

from stockbroker.exchange.v1.exchange_pb2 import ExecutionReport
from stockbroker.ledger.v1 import correction_pb2, ledger_service_pb2
from stockbroker.order.v1 import order_pb2
from stockbroker.reconciliation.v1 import break_pb2
from tests.reconciliation.scene import USD, Scene, leg

pytestmark = [pytest.mark.xdist_group("reconciliation"), pytest.mark.timeout(300)]

CLEARING = "house/clearing"


@dataclass(frozen=True, slots=True)
class Fills:
    """Of three customers' trades of 10 KO: `busted` by `bust_id`, `corrected`, and left alone."""

    busted: order_pb2.Execution
    bust_id: str
    corrected: order_pb2.Execution
    correction_id: str
    plain: order_pb2.Execution


@pytest.fixture
async def fills(watched: Scene) -> Fills:
    """Fills of this test alone: all sources have them and their amendments, no break is open."""
    names = [f"{kind}-{uuid.uuid4().hex[:8]}" for kind in ("bea", "cora", "paul")]
    busted, corrected, plain = await asyncio.gather(*map(watched.a_fill, names))
    bust_id = await watched.bust(busted.execution_id)
    correction_id = await watched.correct(corrected.execution_id, 4)
    await watched.compared()
    for fill in (busted, corrected, plain):
        await watched.opened(fill.execution_id)
    return Fills(busted, bust_id, corrected, correction_id, plain)


async def found(scene: Scene, fills: Fills, source: str) -> None:
    """Wait for the breaks of a bust taken away, a correction altered and a bust that never was."""
    for fill, kind in ((fills.busted, "MISSING"), (fills.corrected, "ALTERED")):
        await scene.opened(fill.execution_id, f"AMENDMENT_{kind}_AT_{source}")
    breaks = await scene.opened(fills.plain.execution_id, f"AMENDMENT_EXTRA_AT_{source}")
    (extra,) = (each for each in breaks if not each.HasField("closed_at"))
    assert extra.trade_id == fills.plain.trade_id
    (told,) = (each for each in extra.told if each.amendment_id)
    assert break_pb2.Source.Name(told.source) == f"SOURCE_{source}"


def customer_of(scene: Scene, fill: order_pb2.Execution) -> str:
    """Whose the fill is."""
    query = "SELECT customer_id FROM trade WHERE trade_id = %s::uuid"
    ((customer,),) = scene.change("order", query, fill.trade_id)
    return str(customer)


async def test_amendments_altered_at_the_gateway_are_found(watched: Scene, fills: Fills) -> None:
    (lost,) = watched.change(
        "exchange_gateway",
        "DELETE FROM venue_report WHERE execution_id = %s"
        " RETURNING session_id, seq, trade_id, kind, execution_id, raw",
        fills.bust_id,
    )
    ((raw,),) = watched.change(
        "exchange_gateway",
        "SELECT raw FROM venue_report WHERE execution_id = %s",
        fills.correction_id,
    )
    corrected = ExecutionReport.FromString(raw)
    corrected.last_quantity += 1
    alter = "UPDATE venue_report SET raw = %s WHERE execution_id = %s"
    altered = corrected.SerializeToString()
    watched.change("exchange_gateway", alter, altered, fills.correction_id)
    # The acceptance of an order becomes a bust that was never told.
    ((seq, *accepted, fill),) = watched.change(
        "exchange_gateway",
        "SELECT n.seq, n.kind, n.execution_id, n.raw, f.raw FROM venue_report n, venue_report f"
        " WHERE n.trade_id = %s::uuid AND n.kind = 1 AND f.execution_id = %s",
        *(fills.plain.trade_id, fills.plain.execution_id),
    )
    bust = ExecutionReport.FromString(fill)
    bust.exec_type = ExecutionReport.EXEC_TYPE_TRADE_CANCEL
    bust.exec_id, bust.exec_ref_id = "ghost", fills.plain.execution_id
    put = "UPDATE venue_report SET kind = %s, execution_id = %s, raw = %s WHERE seq = %s"
    watched.change("exchange_gateway", put, 9, "ghost", bust.SerializeToString(), seq)

    await found(watched, fills, "GATEWAY")

    watched.change(
        "exchange_gateway",
        "INSERT INTO venue_report (session_id, seq, trade_id, kind, execution_id, raw)"
        " VALUES (%s, %s, %s, %s, %s, %s)",
        *lost,
    )
    watched.change("exchange_gateway", alter, raw, fills.correction_id)
    watched.change("exchange_gateway", put, *accepted, seq)
    for fill in (fills.busted, fills.corrected, fills.plain):
        assert await watched.closed(fill.execution_id) == {"AGREED"}


async def test_amendments_altered_at_the_order_service_are_found(
    watched: Scene, fills: Fills
) -> None:
    columns = "venue, execution_id, amendment_id, trade_id, quantity, price_micros, amended_at"
    columns += ", reason_text"
    (lost,) = watched.change(
        "order",
        f"DELETE FROM execution_amendment WHERE execution_id = %s RETURNING {columns}",
        fills.busted.execution_id,
    )
    alter = "UPDATE execution_amendment SET quantity = quantity + %s WHERE execution_id = %s"
    watched.change("order", alter, 1, fills.corrected.execution_id)
    put = f"INSERT INTO execution_amendment ({columns}) VALUES (%s, %s, %s, %s, %s, %s, %s, %s)"
    never = "XSIM", fills.plain.execution_id, "ghost", fills.plain.trade_id, 0, 0, lost[6], "never"
    watched.change("order", put, *never)

    await found(watched, fills, "ORDER")

    watched.change("order", put, *lost)
    watched.change("order", alter, -1, fills.corrected.execution_id)
    for fill in (fills.busted, fills.corrected):
        assert await watched.closed(fill.execution_id) == {"AGREED"}
    # What stays as it is at the order service is settled by an entry that moves nothing of a
    # customer: the books are right.
    entry = leg("house/suspense", "house/suspense/settled", "USD", 1)
    await watched.transfer(f"break XSIM/{fills.plain.execution_id} was no bust", entry)
    assert "COMPENSATED" in await watched.closed(fills.plain.execution_id)


async def test_amendments_altered_at_the_ledger_are_found(watched: Scene, fills: Fills) -> None:
    who = {fill.execution_id: customer_of(watched, fill) for fill in _all(fills)}
    bea, cora, paul = (f"customer/{each}" for each in who.values())
    await watched.house.endow(who[fills.busted.execution_id], cash=USD, shares={"KO": 10})
    watched.change("ledger", "DELETE FROM transfer WHERE reference = %s", f"XSIM/{fills.bust_id}")
    watched.change(
        "ledger",
        "UPDATE entry SET amount = amount - 5 WHERE (account_id, version) ="
        " (SELECT e.account_id, max(e.version) FROM entry e"
        " JOIN transfer t ON t.seq = e.transfer_seq JOIN account a ON a.id = e.account_id"
        " WHERE t.reference = %s AND a.name = %s AND a.asset = 'USD' GROUP BY e.account_id)",
        *(f"XSIM/{fills.correction_id}", cora),
    )
    bust = correction_pb2.ExecutionCorrection(
        correction_id=f"ghost-{uuid.uuid4()}",
        execution_id=fills.plain.execution_id,
        venue="XSIM",
        kind=correction_pb2.CORRECTION_KIND_BUST,
    )
    request: Any = ledger_service_pb2.CorrectExecutionsRequest(corrections=[bust])
    await watched.as_execution("CorrectExecutions", request)

    await found(watched, fills, "LEDGER")

    price = fills.plain.price_micros
    await watched.transfer(
        f"break XSIM/{fills.busted.execution_id} busted by hand",
        leg(bea, CLEARING, "KO", 10),
        leg(CLEARING, bea, "USD", 10 * fills.busted.price_micros),
    )
    await watched.transfer(
        f"break XSIM/{fills.corrected.execution_id} five micros back",
        leg(CLEARING, cora, "USD", 5),
    )
    await watched.transfer(
        f"break XSIM/{fills.plain.execution_id} it was",
        leg(CLEARING, paul, "KO", 10),
        leg(paul, CLEARING, "USD", 10 * price),
    )
    for fill in _all(fills):
        assert "COMPENSATED" in await watched.closed(fill.execution_id)


def _all(fills: Fills) -> tuple[order_pb2.Execution, ...]:
    return fills.busted, fills.corrected, fills.plain
