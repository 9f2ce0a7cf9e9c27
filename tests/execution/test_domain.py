"""The rules of execution, without anything around them."""

import pytest
from msgspec.structs import replace

from libs.partition import PARTITIONS
from services.execution.domain.attention import Attention, Resting
from services.execution.domain.halts import Scope, ScopeKind
from services.execution.domain.report import Accepted, Ended, EndKind, Fill, Report, flaw_of, runs
from services.execution.domain.ring import (
    PATIENCE_SECONDS,
    RING_SIZE,
    SETTLE_SECONDS,
    Leads,
    Peer,
    View,
    move,
    ring_of,
)
from services.execution.domain.trade import (
    ALL_AVAILABLE,
    Held,
    Hold,
    OrderType,
    Side,
    Trade,
    hold_for,
    max_notional_micros,
    rejects,
)

ALL = frozenset(range(PARTITIONS))
NOTHING: frozenset[int] = frozenset()


def a_trade(side: Side = Side.BUY, order_type: OrderType = OrderType.MARKET) -> Trade:
    return Trade(
        trade_id="t",
        customer_id="alice",
        partition=103,
        epoch=1,
        attempts=1,
        symbol="AAPL",
        side=side,
        quantity=3,
        order_type=order_type,
        limit_price_micros=50_000_000,
        stop_price_micros=0,
        time_in_force=1,
    )


def a_view(*peers: Peer, alive_seconds: float = 100.0) -> View:
    return View(peers, alive_seconds)


def a_peer(name: str, leads: frozenset[int] = NOTHING, alive_seconds: float = 100.0) -> Peer:
    return Peer(name, alive_seconds, leads)


# --- the ring


def test_every_worker_ranks_the_same() -> None:
    names = [f"worker-{number}" for number in range(8)]

    for partition in range(PARTITIONS):
        ring = ring_of(partition, names)
        assert ring == ring_of(partition, names[::-1])
        assert len(set(ring)) == RING_SIZE


@pytest.mark.parametrize("workers", [2, 3, 8])
def test_partitions_spread_over_all_workers(workers: int) -> None:
    names = [f"worker-{number}" for number in range(workers)]

    led = [ring_of(partition, names)[0] for partition in range(PARTITIONS)]

    fair = PARTITIONS / workers
    assert all(fair * 0.5 < led.count(name) < fair * 1.6 for name in names)


def test_a_worker_that_goes_moves_only_its_own_partitions_each_to_the_next_in_its_ring() -> None:
    names = [f"worker-{number}" for number in range(5)]

    for partition in range(PARTITIONS):
        first, second, _ = ring_of(partition, names)
        left = [name for name in names if name != first]
        assert ring_of(partition, left)[0] == second
        gone = [name for name in names if name != second]
        assert ring_of(partition, gone)[0] == first


def test_a_lone_worker_takes_everything_at_once() -> None:
    step = move("ann", a_view(alive_seconds=0.0), NOTHING)

    assert (step.take, step.drop) == (ALL, NOTHING)


def test_workers_that_start_together_share_without_waiting() -> None:
    ann = move("ann", a_view(a_peer("ben", alive_seconds=0.0), alive_seconds=0.0), NOTHING)
    ben = move("ben", a_view(a_peer("ann", alive_seconds=0.0), alive_seconds=0.0), NOTHING)

    assert ann.take | ben.take == ALL
    assert not ann.take & ben.take


def test_a_newcomer_waits_until_a_leader_hands_over() -> None:
    newcomer = a_view(a_peer("ann", leads=ALL), alive_seconds=0.0)

    assert move("ben", newcomer, NOTHING).take == NOTHING


def test_a_leader_keeps_its_partitions_until_the_better_worker_has_settled() -> None:
    young = a_view(a_peer("ben", alive_seconds=SETTLE_SECONDS - 0.1))
    settled = a_view(a_peer("ben", alive_seconds=SETTLE_SECONDS))

    assert move("ann", young, ALL).drop == NOTHING
    dropped = move("ann", settled, ALL).drop
    assert 30 < len(dropped) < 100
    assert dropped == move("ben", a_view(a_peer("ann")), NOTHING).take


def test_the_better_worker_takes_what_is_never_handed_over() -> None:
    alive_seconds = SETTLE_SECONDS + PATIENCE_SECONDS
    deaf = a_view(a_peer("ann", leads=ALL), alive_seconds=alive_seconds)

    assert move("ben", deaf, NOTHING).take


def test_a_worker_that_stands_aside_leads_nothing() -> None:
    step = move("ann", View((), 100.0, may_lead=False), ALL)

    assert (step.take, step.drop) == (NOTHING, ALL)


def test_a_partition_is_lost_only_to_a_newer_epoch() -> None:
    leads = Leads()
    leads.take({5: 2})

    assert not leads.lose(5, 1)
    assert leads.epoch_of(5) == 2
    assert leads.lose(5, 2)
    assert not leads.lose(5, 2)
    assert 5 not in leads


# --- attention


def test_a_customer_is_worked_for_by_one_flight() -> None:
    attention = Attention(ask_after_seconds=5)

    assert attention.begin("alice", ack="1")
    assert not attention.begin("alice", ack="2")
    assert attention.look("alice") == (["1", "2"], False)


def test_what_comes_after_the_look_keeps_the_flight_going() -> None:
    attention = Attention(ask_after_seconds=5)
    attention.begin("alice")
    attention.look("alice")
    attention.begin("alice", ack="late")

    assert attention.is_wanted_again("alice")
    assert attention.look("alice") == (["late"], False)
    assert not attention.is_wanted_again("alice")
    attention.end("alice")
    assert attention.in_flight == 0


def test_a_trade_at_the_exchange_is_asked_after_ever_more_rarely() -> None:
    attention = Attention(ask_after_seconds=5)
    attention.rest("alice", Resting("t", 1, "AAPL", since=100.0, ask_at=0.0))

    asked = [now for now in range(100, 300) if attention.due(["alice"], now, most=9)]

    assert asked == [105, 110, 120, 140, 180, 240]


def test_of_many_trades_at_the_exchange_each_is_asked_after_in_turn() -> None:
    attention = Attention(ask_after_seconds=5)
    customers = [f"c{number}" for number in range(5)]
    for customer in customers:
        attention.rest(customer, Resting("t", 1, "AAPL", since=0.0, ask_at=0.0))

    looks = [attention.due(customers, now, most=2) for now in (100.0, 101.0, 102.0, 103.0)]

    assert looks == [["c0", "c1"], ["c2", "c3"], ["c4"], []]


def test_a_trade_held_back_by_a_halt_is_asked_after_if_it_may_have_been_sent() -> None:
    attention = Attention(ask_after_seconds=5)
    for customer, may_be_sent in (("alice", False), ("bob", True)):
        held_back = Resting("t", 1, "AAPL", 0.0, 0.0, is_halted=True, may_be_sent=may_be_sent)
        attention.rest(customer, held_back)

    assert attention.due(["alice", "bob"], 1_000.0, most=9) == ["bob"]


def test_settled_customers_are_forgotten_and_young_ones_are_not() -> None:
    attention = Attention(ask_after_seconds=5)
    attention.rest("open", Resting("t1", 1, "AAPL", since=0.0, ask_at=0.0))
    attention.rest("done", Resting("t2", 1, "AAPL", since=0.0, ask_at=0.0))
    attention.rest("young", Resting("t3", 1, "AAPL", since=9.0, ask_at=0.0))

    attention.forget_settled([("open", "t1"), ("done", "another")], before=8.0)

    found = {name for name in ("open", "done", "young") if attention.resting_of(name)}
    assert found == {"open", "young"}


def test_a_pause_outlasts_a_look_that_is_too_early_to_find_the_trade() -> None:
    attention = Attention(ask_after_seconds=5)
    attention.pause("young", "t1", until=9.5)
    attention.pause("open", "t2", until=60.0)

    attention.forget_settled([("open", "t2")], before=7.0)

    assert attention.is_paused("young", 9.4)
    assert attention.is_paused("open", 59.0)
    assert not attention.is_paused("young", 9.5)


# --- holds


def test_a_market_buy_holds_all_cash_and_may_spend_no_more() -> None:
    trade = a_trade()

    assert hold_for(trade) == Hold("USD", ALL_AVAILABLE)
    assert max_notional_micros(trade, Held(777)) == 777


def test_a_limit_buy_holds_limit_times_quantity() -> None:
    for order_type in (OrderType.LIMIT, OrderType.STOP_LIMIT):
        trade = a_trade(order_type=order_type)
        assert hold_for(trade) == Hold("USD", 150_000_000)
        assert max_notional_micros(trade, Held(150_000_000)) == 0


@pytest.mark.parametrize(
    ("stop_micros", "quantity", "held"),
    [
        (50_000_000, 3, 165_000_000),
        (100, 1, 110),
        (900_000_000_000, 10_000_000, 2**63 - 1),  # a tenth more would be beyond 64 bits
    ],
)
def test_a_stop_to_buy_holds_a_tenth_more_and_may_spend_no_more(
    stop_micros: int, quantity: int, held: int
) -> None:
    trade = replace(
        a_trade(order_type=OrderType.STOP),
        limit_price_micros=0,
        stop_price_micros=stop_micros,
        quantity=quantity,
    )

    assert hold_for(trade) == Hold("USD", held)
    assert max_notional_micros(trade, Held(held)) == held


def test_a_sell_holds_the_shares() -> None:
    trade = a_trade(side=Side.SELL)

    assert hold_for(trade) == Hold("AAPL", 3)
    assert max_notional_micros(trade, Held(3)) == 0


def test_only_reasons_of_a_trade_reject_it() -> None:
    assert [reason for reason in (0, 1, 13, 99, 100, 202, 205, 401) if rejects(reason)] == [
        1,
        13,
        99,
    ]


# --- reports


def a_report(trade_id: str, news: Accepted | Fill | Ended | None) -> Report:
    return Report(1, trade_id, "alice", Side.BUY, "AAPL", "XSIM", news)


FILL = Fill("x1", 1, 1, 0, is_last=False)
END = Ended(EndKind.CANCELED, 0, "")


def test_a_fill_after_the_end_of_its_trade_begins_a_new_run() -> None:
    reports = [
        a_report("a", FILL),
        a_report("a", END),
        a_report("b", FILL),
        a_report("a", FILL),
        a_report("b", END),
    ]

    assert list(runs(reports)) == [[0, 1, 2], [3, 4]]


@pytest.mark.parametrize(
    "report",
    [
        a_report("t", None),
        a_report("", FILL),
        a_report("t", Fill("", 1, 1, 0, is_last=True)),
        a_report("t", Fill("x", 0, 1, 0, is_last=True)),
        a_report("t", Fill("x", 1, -1, 0, is_last=True)),
        Report(1, "t", "", Side.BUY, "AAPL", "XSIM", FILL),
        Report(1, "t", "alice", None, "AAPL", "XSIM", FILL),
        Report(1, "t", "alice", Side.BUY, "AAPL", "", FILL),
    ],
)
def test_a_report_that_makes_no_sense_is_flawed(report: Report) -> None:
    assert flaw_of(report)


def test_a_report_that_makes_sense_is_not() -> None:
    assert not any(flaw_of(a_report("t", news)) for news in (Accepted("X1"), FILL, END))


def test_a_trade_that_failed_is_left_alone_for_a_while_but_not_the_next_one() -> None:
    attention = Attention(ask_after_seconds=5)
    attention.pause("alice", "t1", until=10.0)

    assert attention.is_paused("alice", 9.9)
    assert attention.is_paused("alice", 9.9, trade_id="t1")
    assert not attention.is_paused("bob", 9.9)
    assert not attention.is_paused("alice", 9.9, trade_id="t2")
    assert not attention.is_paused("alice", 9.9), "what had failed is over"
    attention.pause("alice", "t2", until=10.0)
    assert not attention.is_paused("alice", 10.0)


# --- halts


@pytest.mark.parametrize(
    ("kind", "name", "is_valid"),
    [
        (ScopeKind.FIRM, "", True),
        (ScopeKind.FIRM, "x", False),
        (ScopeKind.CUSTOMER, "alice_1-A", True),
        (ScopeKind.CUSTOMER, "", False),
        (ScopeKind.CUSTOMER, "a" * 65, False),
        (ScopeKind.CUSTOMER, "a b", False),
        (ScopeKind.SYMBOL, "BRK.B", True),
        (ScopeKind.SYMBOL, "aapl", False),
        (ScopeKind.SYMBOL, "A" * 13, False),
        (ScopeKind.SYMBOL, "A\n", False),
    ],
)
def test_a_scope_names_what_can_exist(kind: ScopeKind, name: str, is_valid: bool) -> None:
    assert Scope(kind, name).is_valid is is_valid
