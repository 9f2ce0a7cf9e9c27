"""A trade survives whatever dies at whatever moment: each kill point alone, and with a fault more.

`nth` is which passing of the point is struck, so that a trade is on its way there.
"""

import pytest

from simulation.coverage import KILL_POINTS
from simulation.faults import Strike
from simulation.plan import Plan
from simulation.run import Tools, run
from simulation.scenario import steady_customers

ALSO = {
    "alone": {},
    "with_lost_reply": {"reply_lost": 0.1},
}
also = pytest.mark.parametrize("also", ALSO)
_MOST_SEEDS = 8
COUNTS = {"order": 1, "ledger": 1, "execution": 2, "gateway": 1, "exchange": 1}


def survives(simulated: Tools, number: int, also: str, *, nth: int = 1, kind: str = "") -> None:
    """Every promise is kept though the fault struck at each of the kill point's places.

    Not every seed comes by all of them.
    """
    name = next(name for name in KILL_POINTS if name.startswith(f"K{number} "))
    places = [place for place in KILL_POINTS[name] if kind in ("", place[1])]
    for seed in range(_MOST_SEEDS):
        plan = Plan(
            f"{name} {kind} {also} {seed}",
            rates=ALSO[also],
            script=[Strike(*place, nth) for place in places],
            counts=COUNTS,
            customers=steady_customers(),
            calm_after_seconds=30.0,
        )
        verdict = run(plan, simulated)
        assert verdict.violation is None
        if verdict.coverage.kill_points[name] >= len(places):
            return
    pytest.fail(f"not all of {places} were struck")


@also
def test_k1_order_recorded_before_the_hold(simulated: Tools, also: str) -> None:
    survives(simulated, 1, also, nth=2)


@also
def test_k2_hold_committed_reply_not_sent(simulated: Tools, also: str) -> None:
    survives(simulated, 2, also)


@also
def test_k3_trade_recorded_before_the_nudge(simulated: Tools, also: str) -> None:
    survives(simulated, 3, also)


@also
def test_k4_nudge_published_its_acknowledgement_lost(simulated: Tools, also: str) -> None:
    survives(simulated, 4, also)


@also
def test_k5_order_sent_no_answer(simulated: Tools, also: str) -> None:
    survives(simulated, 5, also, nth=2)


@also
def test_k6_exchange_accepted_gateway_has_not_stored_it(simulated: Tools, also: str) -> None:
    survives(simulated, 6, also)


@also
def test_k7_report_stored_before_it_is_delivered(simulated: Tools, also: str) -> None:
    survives(simulated, 7, also)


@also
def test_k8_report_delivered_before_that_is_recorded(simulated: Tools, also: str) -> None:
    survives(simulated, 8, also)


@also
def test_k9_execution_has_the_report_before_the_ledger_call(simulated: Tools, also: str) -> None:
    survives(simulated, 9, also)


@also
def test_k10_ledger_committed_its_reply_lost(simulated: Tools, also: str) -> None:
    survives(simulated, 10, also)


@also
def test_k11_fill_recorded_on_the_trade_before_it_is_answered(simulated: Tools, also: str) -> None:
    survives(simulated, 11, also)


@also
def test_k12_acknowledgement_of_a_delivery_lost(simulated: Tools, also: str) -> None:
    survives(simulated, 12, also)


@also
def test_k13_last_report_heard_before_the_release(simulated: Tools, also: str) -> None:
    survives(simulated, 13, also)


@also
def test_k14_release_committed_before_the_trade_is_over(simulated: Tools, also: str) -> None:
    survives(simulated, 14, also)


@also
def test_k15_sealer_between_reading_and_sealing(simulated: Tools, also: str) -> None:
    survives(simulated, 15, also)


@also
@pytest.mark.parametrize("kind", ["order", "ledger", "execution", "gateway", "exchange"])
def test_k16_while_starting(simulated: Tools, also: str, kind: str) -> None:
    survives(simulated, 16, also, kind=kind)


@also
@pytest.mark.parametrize("kind", ["order", "ledger", "execution", "gateway", "exchange"])
def test_k16_while_stopping(simulated: Tools, also: str, kind: str) -> None:
    plan = Plan(
        f"stopping {kind} {also}",
        rates=ALSO[also],
        script=[Strike("terminate", kind, _AT_WORK[kind], 3)],
        counts=COUNTS,
        customers=steady_customers(),
        calm_after_seconds=30.0,
    )
    verdict = run(plan, simulated)
    assert verdict.violation is None
    assert verdict.injected["terminate"] == 1


_AT_WORK = {
    "order": "db.committed:order-claim",
    "ledger": "db.committed:ledger-writer",
    "execution": "rpc.answered:ClaimTrades",
    "gateway": "db.committed:gateway-submit",
    "exchange": "db.committed:exchange-keep",
}
