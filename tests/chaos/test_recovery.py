"""How long customers waited until their trades filled again."""

from services.chaos.domain.nemesis import Fault, Kind
from services.chaos.domain.recovery import Struck, Timing, recovery, summaries

KILL = Fault(10.0, Kind.KILL, "ledger")
STOP = Fault(10.0, Kind.STOP, "ledger", 5.0)
TIMINGS = [
    Timing("alice", 9.0, 10.5),  # placed before
    Timing("alice", 10.1, 12.0),
    Timing("alice", 10.2, 11.0),
    Timing("bob", 11.0, 14.0),
    Timing("bob", 15.0, 15.1),
]


def test_a_recovery_is_the_first_fill_of_a_trade_placed_after_the_fault() -> None:
    found = recovery(Struck(KILL, 10.0, 10.0, 11.5), TIMINGS)
    assert (found.first, found.last, found.back) == (1.0, 4.0, 1.5)


def test_only_customers_whom_the_fault_could_touch_count() -> None:
    found = recovery(Struck(KILL, 10.0, 10.0, None, frozenset({"bob"})), TIMINGS)
    assert (found.first, found.last, found.back) == (4.0, 4.0, None)


def test_what_filled_before_the_fault_ended_did_not_have_to_wait() -> None:
    found = recovery(Struck(STOP, 10.0, 13.0), TIMINGS)
    assert (found.first, found.last) == (0.0, 1.0)


def test_a_fault_after_which_nobody_traded_is_unseen() -> None:
    found = recovery(Struck(KILL, 20.0, 20.0), TIMINGS)
    (summary,) = summaries([found])
    assert (found.first, summary.median, summary.unseen) == (None, None, 1)


def test_recoveries_are_summed_up_by_target_and_kind() -> None:
    struck = [
        Struck(KILL, 10.0, 10.0, 12.0),
        Struck(KILL, 10.1, 10.1, 13.0),
        Struck(STOP, 10.0, 12.0),
    ]
    kills, stops = summaries([recovery(one, TIMINGS) for one in struck])
    assert (kills.kind, kills.count, kills.longest, kills.last) == ("kill", 2, 1.0, 4.0)
    assert (stops.kind, stops.count, stops.median) == ("stop", 1, 0.0)
