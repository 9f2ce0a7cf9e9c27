"""Bookings that are archived are told as what they are, without what they moved."""

from pathlib import Path

import psycopg

from libs.archive import Archiving
from services.ledger.archive import Entries
from stockbroker.ledger.v1 import booked_execution_pb2 as pb
from stockbroker.ledger.v1 import posting_pb2
from tests.ledger.calendar import Calendar
from tests.ledger.desk import USD, Desk, a_bust, new_id
from tests.ledger.past import DONE, MONTHS, Past, buy
from tests.ledger.proofs import sealed
from tests.support.archiving import archive
from tests.support.keys import bearer


async def told(desk: Desk, *, limit: int, in_columns: bool = False) -> list[pb.BookedExecution]:
    """All bookings, page by page."""
    metadata = bearer(desk.keys.service("reconciliation"))
    found: list[pb.BookedExecution] = []
    request = pb.ListBookedExecutionsRequest(limit=limit, with_archived=True)
    request.in_columns = in_columns
    while True:
        page = await desk.ledger.ListBookedExecutions(request, metadata=metadata)
        assert request.after_seq < page.next_after_seq <= request.after_seq + limit
        found += page.executions
        request.after_seq = page.next_after_seq
        if page.reaches_end:
            return found


async def test_they_are_told_in_their_places_with_all_their_names(
    past: Past, calendar: Calendar, postgres_url: str, tmp_path: Path
) -> None:
    """Fills, a bust, and an entry of an operator; only the last fill is not archived."""
    desk = past.desk
    leg = posting_pb2.TransferLeg(
        debit_account="house/clearing", credit_account="customer/alice", asset="USD", amount=USD
    )
    entry = posting_pb2.PostedTransfer(
        transfer_id=new_id(), legs=[leg], reference=f"break XSIM/{past.fills[1]} too dear"
    )
    (busted,), (entered,) = await desk.correct(a_bust(past.fills[0])), await desk.transfer(entry)
    assert busted.reason == entered.reason == DONE
    now = past.first.plus(MONTHS + 2)
    calendar.turn_to(now)
    past.fills.append(await buy(desk))
    await sealed(desk)
    before = await told(desk, limit=1_000)
    async with await psycopg.AsyncConnection.connect(postgres_url, autocommit=True) as connection:
        archiving = Archiving(connection, Entries(), tmp_path, now=now)
        await archiving.begin()
        assert len(await archive(archiving, now.plus(-1))) == MONTHS + 1

    for limit in (1, 3, 1_000):
        after = await told(desk, limit=limit)
        assert [each.is_archived for each in after] == [True] * (MONTHS + 2) + [False]
        for each, was in zip(after, before, strict=True):
            if each.is_archived:
                assert not each.movements
                was.ClearField("movements")
                was.is_archived = True
            assert each == was
    in_columns = await told(desk, limit=1_000, in_columns=True)
    assert in_columns == after[:-1], "what is not archived is in the columns"
