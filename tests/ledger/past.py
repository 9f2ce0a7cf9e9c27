"""Months in which a ledger traded, and who archives them later."""

from collections.abc import Awaitable
from datetime import datetime
from pathlib import Path
from typing import Any, NamedTuple

import grpc
import psycopg
import pytest

from libs.archive import Archiving, Manifest
from libs.months import Month
from libs.rpc.status import reason_of
from services.ledger.archive import Entries
from stockbroker.common.v1.reason_pb2 import Reason
from stockbroker.ledger.v1 import invariant_pb2
from tests.ledger.calendar import Calendar
from tests.ledger.desk import USD, Desk, a_fill, a_hold, new_id
from tests.ledger.proofs import sealed
from tests.support.archiving import archive
from tests.support.keys import bearer

DONE = Reason.REASON_UNSPECIFIED
GONE = (grpc.StatusCode.OUT_OF_RANGE, "HISTORY_ARCHIVED")
MONTHS = 3  # that have a history; the first two are old enough to go in the fourth


class Past(NamedTuple):
    """Three months in which alice bought ten shares each, at the desk of the fourth."""

    desk: Desk
    first: Month
    deposit: str  # of 10,000 dollars in the first month
    bobs: str  # deposit of 70 dollars in the first month, all that he ever did
    held: str  # 500 dollars for a trade in the first month, which is still open
    fills: list[str]  # one in each month
    seqs: list[int]  # the last transfer of each month
    ends: list[datetime]  # a moment after what happened in each

    @property
    def horizon(self) -> int:
        """The last transfer of the months that may go."""
        return self.seqs[1]


async def lived_by(desk: Desk, calendar: Calendar) -> Past:
    """The desk of a new ledger, three months later."""
    past = Past(desk, calendar.month, new_id(), new_id(), new_id(), [], [], [])
    await desk.deposit(10_000 * USD, deposit=past.deposit)
    await desk.deposit(70 * USD, customer="bob", deposit=past.bobs)
    await desk.hold(a_hold(trade=past.held, amount=500 * USD))
    for month in range(MONTHS):
        if month:  # what is recorded never goes back, also not to the middle of the first
            calendar.turn_to(past.first.plus(month))
        past.fills.append(await buy(desk))
        ((seq,),) = await desk.rows("SELECT transfer_seq FROM journal_head")
        past.seqs.append(seq)
        past.ends.append(calendar.now())
    calendar.turn_to(past.first.plus(MONTHS))
    await desk.deposit(1 * USD)
    await sealed(desk)
    return past


async def buy(desk: Desk) -> str:
    """Ten shares for 1,000 dollars; the execution."""
    trade, execution = new_id(), new_id()
    (held,) = await desk.hold(a_hold(trade=trade, amount=1_000 * USD))
    (filled,) = await desk.post(a_fill(trade, execution=execution, last=True))
    assert held.reason == filled.reason == DONE
    return execution


class At:
    """Who archives, in the month after the last one that has a history."""

    def __init__(self, past: Past, connection: psycopg.AsyncConnection, folder: Path) -> None:
        now = past.first.plus(MONTHS)
        self.archiving = Archiving(connection, Entries(), folder, now=now)
        self._before = past.first.plus(2)

    async def run(self) -> list[Manifest]:
        """What goes; the manifests."""
        await self.archiving.begin()
        return await archive(self.archiving, self._before)


async def assert_invariants_hold(desk: Desk) -> None:
    stream = desk.ledger.GetInvariants(
        invariant_pb2.GetInvariantsRequest(full=True), metadata=bearer(desk.keys.operator())
    )
    async for look in stream:
        assert {i.id: list(i.breaches) for i in look.invariants if not i.holds} == {}


async def refusal_of(call: Awaitable[Any]) -> tuple[grpc.StatusCode, str]:
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await call
    return caught.value.code(), str(reason_of(caught.value))
