"""What the exchange takes back of fills: the ledger first, then the trade; a refusal is told."""

from stockbroker.common.v1.reason_pb2 import Reason
from stockbroker.execution.v1 import execution_service_pb2 as pb
from stockbroker.ledger.v1 import correction_pb2 as ledger_pb
from tests.execution.desk import PRICE_MICROS, Desk
from tests.execution.test_reports import APPLIED, IMPOSSIBLE, codes, submitted


def busted(desk: Desk, fill: pb.Report) -> pb.Report:
    """That fill never was."""
    return desk.report(
        fill.trade_id,
        busted=pb.Report.Busted(
            execution_id=fill.filled.execution_id,
            bust_id="XSIM-1-9",
            quantity=fill.filled.quantity,
            price_micros=PRICE_MICROS,
            reason_text="a clear error",
        ),
    )


async def test_a_bust_is_booked_at_the_ledger_and_then_told_of_the_trade(desk: Desk) -> None:
    worker = await desk.start_leader(hears_nudges=False)
    trade_id = await submitted(desk, worker)
    fill = desk.fill(trade_id)
    bust = busted(desk, fill)

    answers = [await desk.deliver(worker, fill, bust) for _ in range(2)]

    assert [codes(answer) for answer in answers] == [[APPLIED, APPLIED]] * 2
    assert desk.ledger.log == [("posted", trade_id), ("corrected", trade_id)]
    [correction] = desk.ledger.corrected.values()
    assert correction.kind == ledger_pb.CORRECTION_KIND_BUST
    names = correction.correction_id, correction.execution_id, correction.venue
    assert names == ("XSIM-1-9", fill.filled.execution_id, "XSIM")
    assert (correction.quantity, correction.price_micros) == (0, 0)
    amended = desk.order.rows[trade_id].amended[0]
    assert (amended.amendment_id, amended.quantity) == ("XSIM-1-9", 0)
    assert amended.execution_id == fill.filled.execution_id
    assert amended.reason_text == "a clear error"


async def test_a_correction_has_the_terms_of_now(desk: Desk) -> None:
    worker = await desk.start_leader(hears_nudges=False)
    trade_id = await submitted(desk, worker)
    fill = desk.fill(trade_id)
    corrected = pb.Report.Corrected(
        execution_id=fill.filled.execution_id,
        correction_id="XSIM-1-9",
        quantity=60,
        price_micros=PRICE_MICROS - 1,
        old_quantity=100,
        old_price_micros=PRICE_MICROS,
    )

    await desk.deliver(worker, fill, desk.report(trade_id, corrected=corrected))

    [correction] = desk.ledger.corrected.values()
    assert correction.kind == ledger_pb.CORRECTION_KIND_CORRECT
    assert (correction.quantity, correction.price_micros) == (60, PRICE_MICROS - 1)
    assert desk.order.rows[trade_id].amended[0].quantity == 60


async def test_what_amends_an_amendment_names_it_at_the_ledger_and_of_the_trade(
    desk: Desk,
) -> None:
    worker = await desk.start_leader(hears_nudges=False)
    trade_id = await submitted(desk, worker)
    fill = desk.fill(trade_id)
    corrected = pb.Report.Corrected(
        execution_id=fill.filled.execution_id,
        correction_id="XSIM-1-10",
        quantity=60,
        price_micros=PRICE_MICROS,
        previous_amendment_id="XSIM-1-9",
    )
    bust = busted(desk, fill)
    bust.busted.bust_id, bust.busted.previous_amendment_id = "XSIM-1-11", "XSIM-1-10"

    await desk.deliver(worker, fill, desk.report(trade_id, corrected=corrected), bust)

    names = ["XSIM-1-9", "XSIM-1-10"]
    booked = desk.ledger.corrected.values()
    assert [each.previous_correction_id for each in booked] == names
    told = desk.order.rows[trade_id].amended
    assert [each.previous_amendment_id for each in told] == names


async def test_what_the_ledger_refuses_is_not_told_of_the_trade_and_asked_anew_at_a_retry(
    desk: Desk,
) -> None:
    worker = await desk.start_leader(hears_nudges=False)
    trade_id = await submitted(desk, worker)
    fill = desk.fill(trade_id)
    bust = busted(desk, fill)
    desk.ledger.refuses_corrections = Reason.REASON_INSUFFICIENT_SHARES

    answer = await desk.deliver(worker, fill, bust)

    assert codes(answer) == [APPLIED, IMPOSSIBLE]
    assert "INSUFFICIENT_SHARES" in answer.results[1].detail
    assert desk.order.rows[trade_id].amended == []
    desk.ledger.refuses_corrections = Reason.REASON_UNSPECIFIED
    bust.retries = 2
    assert codes(await desk.deliver(worker, bust)) == [APPLIED]
    assert list(desk.ledger.corrected) == [("XSIM-1-9", 2)]


async def test_a_bust_that_names_no_fill_is_impossible(desk: Desk) -> None:
    worker = await desk.start_leader(hears_nudges=False)
    trade_id = await submitted(desk, worker)
    bust = busted(desk, desk.fill(trade_id))
    bust.busted.ClearField("execution_id")
    assert codes(await desk.deliver(worker, bust)) == [IMPOSSIBLE]
    assert desk.ledger.corrected == {}
