"""What the sources tell of amendments of amendments: all of them are of the fill."""

from datetime import UTC, datetime

from services.reconciliation import wire
from services.reconciliation.domain.sighting import ORIGIN, Page, Place, Source, changes
from stockbroker.exchange.v1.exchange_pb2 import ExecutionReport
from stockbroker.order.v1.recorded_execution_pb2 import RecordedAmendment


def test_amendments_that_the_order_service_recorded_at_once_are_told_apart() -> None:
    told = [
        RecordedAmendment(
            venue="XSIM", execution_id="e-1", amendment_id=f"c-{n}", transaction_id=7, number=n
        )
        for n in (1, 2)
    ]
    page = Page(
        source=Source.ORDER,
        after=ORIGIN,
        next=Place(7, "XSIM", "e-1"),
        reaches_end=True,
        began_at=datetime(2026, 11, 20, tzinfo=UTC),
        sightings=tuple(map(wire.from_order_amendment, told)),
    )
    known = list(page.sightings)
    assert [each.amendment_id for each in known] == ["c-1", "c-2"]
    assert changes(page, known[:1], is_reread=False).fresh == known[1:]
    assert changes(page, known, is_reread=True) == changes(page, known, is_reread=False)


def test_the_drop_copy_names_the_fill_of_a_correction_of_a_correction() -> None:
    first = ExecutionReport(exec_id="c-1", exec_ref_id="e-1")
    second = ExecutionReport(exec_id="c-2", exec_ref_id="c-1", first_exec_id="e-1")
    told = [wire.from_venue_correction(each, "XSIM") for each in (first, second)]
    assert [(each.execution_id, each.amendment_id) for each in told] == [
        ("e-1", "c-1"),
        ("e-1", "c-2"),
    ]
