"""Records altered by hand in a running house: each is found, classed, and closes once repaired."""

import uuid

import pytest

from stockbroker.common.v1.terms_pb2 import SIDE_BUY
from stockbroker.exchange.v1.exchange_pb2 import ExecutionReport
from stockbroker.ledger.v1 import ledger_service_pb2 as ledger_pb
from stockbroker.reconciliation.v1 import break_pb2
from stockbroker.reconciliation.v1 import reconciliation_service_pb2 as pb
from tests.reconciliation.scene import USD, Scene, leg

pytestmark = [pytest.mark.xdist_group("reconciliation"), pytest.mark.timeout(300)]

CLEARING = "house/clearing"


@pytest.fixture
def scene(watched: Scene) -> Scene:
    """The house that the tests of this kind share."""
    return watched


_RECORDS = {
    "exchange_gateway": "SELECT raw FROM venue_report WHERE execution_id = %s",
    "exchange_simulator": "SELECT body FROM report WHERE exec_id = %s",
}


def told_of(scene: Scene, service: str, execution_id: str) -> tuple[bytes, ExecutionReport]:
    """The venue's words of a fill, as they are on record and to be changed."""
    ((body,),) = scene.change(service, _RECORDS[service], execution_id)
    return body, ExecutionReport.FromString(body)


def a_ghost() -> str:
    """The id of a fill that never was."""
    return f"ghost-{uuid.uuid4()}"


async def test_a_fill_missing_at_the_gateway_is_found_and_closes_when_it_is_there_again(
    scene: Scene,
) -> None:
    fill = await scene.a_fill("gail")
    ((session, seq, trade_id, raw),) = scene.change(
        "exchange_gateway",
        "DELETE FROM venue_report WHERE execution_id = %s RETURNING session_id, seq, trade_id, raw",
        fill.execution_id,
    )

    (found,) = await scene.opened(fill.execution_id, "MISSING_AT_GATEWAY")
    assert found.trade_id == fill.trade_id
    assert {each.source for each in found.told} == {
        break_pb2.SOURCE_VENUE,
        break_pb2.SOURCE_ORDER,
        break_pb2.SOURCE_LEDGER,
    }
    assert '"break_opened"' in scene.log()

    scene.change(
        "exchange_gateway",
        "INSERT INTO venue_report VALUES (%s, %s, %s, 2, %s, %s)",
        *(session, seq, trade_id, fill.execution_id, raw),
    )
    assert await scene.closed(fill.execution_id) == {"AGREED"}


async def test_a_fill_missing_at_the_order_service_is_found_and_closes_when_it_is_applied(
    scene: Scene,
) -> None:
    fill = await scene.a_fill("olga")
    (row,) = scene.change(
        "order",
        "DELETE FROM execution WHERE execution_id = %s"
        " RETURNING venue, execution_id, trade_id, quantity, price_micros, executed_at",
        fill.execution_id,
    )

    await scene.opened(fill.execution_id, "MISSING_AT_ORDER")

    scene.change(
        "order",
        "INSERT INTO execution (venue, execution_id, trade_id, quantity, price_micros, executed_at)"
        " VALUES (%s, %s, %s, %s, %s, %s)",
        *row,
    )
    assert await scene.closed(fill.execution_id) == {"AGREED"}


async def test_a_fill_missing_at_the_ledger_is_found_and_compensated_by_a_transfer(
    scene: Scene,
) -> None:
    fill = await scene.a_fill("lena")
    scene.change("ledger", "DELETE FROM transfer WHERE reference = %s", f"XSIM/{fill.execution_id}")

    await scene.opened(fill.execution_id, "MISSING_AT_LEDGER")

    await scene.transfer(
        f"break XSIM/{fill.execution_id} booked by hand",
        leg("customer/lena", CLEARING, "USD", fill.quantity * fill.price_micros),
        leg(CLEARING, "customer/lena", "KO", fill.quantity),
    )
    assert await scene.closed(fill.execution_id) == {"COMPENSATED"}


async def test_a_fill_that_only_the_venue_has_is_missing_everywhere(scene: Scene) -> None:
    fill = await scene.a_fill("vera")
    _, report = told_of(scene, "exchange_simulator", fill.execution_id)
    report.exec_id = ghost = a_ghost()
    # The acceptance of the order becomes a fill that was never told.
    ((seq, old_id, old_body),) = scene.change(
        "exchange_simulator",
        "SELECT report_seq, exec_id, body FROM report WHERE client_order_id = %s AND exec_type = 1",
        fill.trade_id,
    )
    report.seq = seq
    put = "UPDATE report SET exec_type = %s, exec_id = %s, last_quantity = %s,"
    put += " last_price_micros = %s, body = %s WHERE report_seq = %s"
    told = report.SerializeToString()
    scene.change("exchange_simulator", put, 2, ghost, 10, fill.price_micros, told, seq)

    await scene.opened(ghost, "MISSING_AT_GATEWAY", "MISSING_AT_ORDER", "MISSING_AT_LEDGER")

    scene.change("exchange_simulator", put, 1, old_id, 0, 0, old_body, seq)
    assert await scene.closed(ghost) == {"AGREED"}


async def test_a_fill_that_only_the_gateway_has_is_unknown_to_the_venue(scene: Scene) -> None:
    fill = await scene.a_fill("gus")
    _, report = told_of(scene, "exchange_gateway", fill.execution_id)
    report.exec_id = ghost = a_ghost()
    ((seq, old),) = scene.change(
        "exchange_gateway",
        "SELECT seq, raw FROM venue_report WHERE trade_id = %s::uuid AND kind = 1",
        fill.trade_id,
    )
    put = "UPDATE venue_report SET kind = %s, execution_id = %s, raw = %s WHERE seq = %s"
    scene.change("exchange_gateway", put, 2, ghost, report.SerializeToString(), seq)

    await scene.opened(ghost, "UNKNOWN_TO_VENUE")

    scene.change("exchange_gateway", put, 1, "old", old, seq)
    assert await scene.closed(ghost) == {"AGREED"}


async def test_a_fill_that_only_the_order_service_has_is_settled_by_an_entry_of_the_ledger(
    scene: Scene,
) -> None:
    fill = await scene.a_fill("otto")
    ghost = a_ghost()
    scene.change(
        "order",
        "INSERT INTO execution (venue, execution_id, trade_id, quantity, price_micros, executed_at)"
        " SELECT venue, %s, trade_id, 1, 1, executed_at FROM execution WHERE execution_id = %s",
        *(ghost, fill.execution_id),
    )

    (found,) = await scene.opened(ghost, "UNKNOWN_TO_VENUE")
    assert (found.trade_id, [each.quantity for each in found.told]) == (fill.trade_id, [1])

    # Nothing was booked for it: the entry is for the record and moves nothing of a customer.
    entry = leg("house/suspense", "house/suspense/settled", "USD", 1)
    reference = f"break XSIM/{ghost} never was"
    await scene.transfer(reference, entry)
    assert await scene.closed(ghost) == {"COMPENSATED"}


async def test_a_fill_that_only_the_ledger_booked_is_closed_by_its_reversal(scene: Scene) -> None:
    await scene.a_fill("lars")
    ghost, hold = a_ghost(), str(uuid.uuid4())
    holds = [ledger_pb.Hold(hold_id=hold, customer_id="lars", asset="USD", amount=100 * USD)]
    await scene.as_execution("PlaceHolds", ledger_pb.PlaceHoldsRequest(holds=holds))
    posting = ledger_pb.ExecutionPosting(
        execution_id=ghost,
        venue="XSIM",
        trade_id=hold,
        customer_id="lars",
        side=SIDE_BUY,
        symbol="KO",
        quantity=1,
        price_micros=70 * USD,
        releases_rest=True,
    )
    request = ledger_pb.PostExecutionsRequest(executions=[posting])
    await scene.as_execution("PostExecutions", request)

    await scene.opened(ghost, "UNKNOWN_TO_VENUE")

    ((transfer_id,),) = scene.change(
        "ledger", "SELECT id::text FROM transfer WHERE reference = %s", f"XSIM/{ghost}"
    )
    await scene.reverse(transfer_id)
    assert await scene.closed(ghost) == {"COMPENSATED"}


async def test_terms_altered_at_the_gateway_are_found(scene: Scene) -> None:
    fill = await scene.a_fill("gwen")
    raw, report = told_of(scene, "exchange_gateway", fill.execution_id)
    report.last_quantity += 1
    put = "UPDATE venue_report SET raw = %s WHERE execution_id = %s"
    scene.change("exchange_gateway", put, report.SerializeToString(), fill.execution_id)

    (found,) = await scene.opened(fill.execution_id, "ALTERED_AT_GATEWAY")
    told = {each.source: each.quantity for each in found.told}
    assert told[break_pb2.SOURCE_GATEWAY] == told[break_pb2.SOURCE_VENUE] + 1

    scene.change("exchange_gateway", put, raw, fill.execution_id)
    assert await scene.closed(fill.execution_id) == {"AGREED"}


async def test_terms_altered_at_the_order_service_are_found_and_explained(scene: Scene) -> None:
    fill = await scene.a_fill("oona")
    put = "UPDATE execution SET price_micros = price_micros + %s WHERE execution_id = %s"
    scene.change("order", put, 1, fill.execution_id)

    (found,) = await scene.opened(fill.execution_id, "ALTERED_AT_ORDER")

    ask = pb.ExplainBreakRequest(break_id=found.break_id, reason_text="a slip of the hand")
    for _ in range(2):
        answer = await scene.service.ExplainBreak(ask, metadata=scene.olivia)
    explained = answer.found_break
    assert explained.state == break_pb2.BREAK_STATE_EXPLAINED
    assert [(e.operator, e.reason_text) for e in explained.explanations] == [
        ("olivia", "a slip of the hand")
    ]

    scene.change("order", put, -1, fill.execution_id)
    assert await scene.closed(fill.execution_id) == {"AGREED"}


async def test_terms_altered_at_the_ledger_are_found_and_compensated(scene: Scene) -> None:
    fill = await scene.a_fill("lucy")
    scene.change(
        "ledger",
        "UPDATE entry SET amount = amount - 5 WHERE transfer_seq ="
        " (SELECT seq FROM transfer WHERE reference = %s) AND account_id ="
        " (SELECT id FROM account WHERE name = 'customer/lucy' AND asset = 'USD')",
        f"XSIM/{fill.execution_id}",
    )

    await scene.opened(fill.execution_id, "ALTERED_AT_LEDGER")

    entry = leg(CLEARING, "customer/lucy", "USD", 5)
    await scene.transfer(f"break XSIM/{fill.execution_id} five micros back", entry)
    assert await scene.closed(fill.execution_id) == {"COMPENSATED"}


async def test_terms_that_the_venue_alone_has_otherwise_are_its_own_class_and_compensated(
    scene: Scene,
) -> None:
    fill = await scene.a_fill("vito")
    _, report = told_of(scene, "exchange_simulator", fill.execution_id)
    report.last_price_micros -= USD
    scene.change(
        "exchange_simulator",
        "UPDATE report SET body = %s WHERE exec_id = %s",
        *(report.SerializeToString(), fill.execution_id),
    )

    await scene.opened(fill.execution_id, "ALTERED_AT_VENUE")

    cheaper = leg(CLEARING, "customer/vito", "USD", fill.quantity * USD)
    await scene.transfer(f"break XSIM/{fill.execution_id} price corrected", cheaper)
    assert await scene.closed(fill.execution_id) == {"COMPENSATED"}


async def test_a_fill_that_stands_twice_at_the_gateway_is_a_duplicate(scene: Scene) -> None:
    fill = await scene.a_fill("dora")
    ((seq, kind, name, old, raw),) = scene.change(
        "exchange_gateway",
        "SELECT n.seq, n.kind, n.execution_id, n.raw, f.raw FROM venue_report n, venue_report f"
        " WHERE n.trade_id = %s::uuid AND n.kind = 1 AND f.execution_id = %s",
        *(fill.trade_id, fill.execution_id),
    )
    put = "UPDATE venue_report SET kind = %s, execution_id = %s, raw = %s WHERE seq = %s"
    scene.change("exchange_gateway", put, 2, fill.execution_id, raw, seq)

    await scene.opened(fill.execution_id, "DUPLICATE")

    scene.change("exchange_gateway", put, kind, name, old, seq)
    assert await scene.closed(fill.execution_id) == {"AGREED"}
