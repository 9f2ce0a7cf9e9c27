"""The operator's hand: books and tapes of the other participants, halts, faults."""

import csv
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from itertools import takewhile
from typing import Any

import grpc
import pytest

from libs import tape
from libs.rpc.status import reason_of
from services.exchange_simulator.faults import Faults, Script
from services.exchange_simulator.main import Settings, house
from stockbroker.exchange.v1 import exchange_control_service_pb2 as pb
from stockbroker.exchange.v1 import exchange_pb2
from tests.exchange_simulator.conditions import COMMANDS, EXCEPTIONS, SEED, needs_data
from tests.exchange_simulator.member import (
    CANCELED,
    NEW,
    REJECTED,
    TRADE,
    Exchange,
    Member,
    an_order,
)
from tests.exchange_simulator.others import DOLLAR, load, play, resting, step
from tests.support.keys import Keys
from tests.support.wait import until


def fills(reports: list[exchange_pb2.ExecutionReport]) -> list[tuple[int, int]]:
    return [(r.last_quantity, r.last_price_micros) for r in reports if r.exec_type == TRADE]


async def test_an_order_meets_a_loaded_book_in_price_time_order(
    exchange: Exchange, member: Member
) -> None:
    resting_orders = [resting(1, 102, 50), resting(2, 101, 30), resting(3, 101, 40)]
    assert await load(exchange, *resting_orders) == 3

    reports = await member.trade(an_order(quantity=100))

    assert fills(reports) == [(30, 101 * DOLLAR), (40, 101 * DOLLAR), (30, 102 * DOLLAR)]
    assert await exchange.levels("AAPL") == ([], [(102 * DOLLAR, 20)])


@needs_data
async def test_300_bought_of_the_real_book_are_the_real_orders_at_their_prices(
    exchange: Exchange, member: Member
) -> None:
    assert await load(exchange, *tape.read_seed(SEED)) == 89

    reports = await member.trade(an_order(quantity=300, max_notional_micros=175_786 * DOLLAR))

    assert fills(reports) == [(200, 585_940_000), (100, 585_980_000)]
    _, asks = await exchange.levels("AAPL")
    assert asks[0] == (585_980_000, 100)


@needs_data
async def test_the_real_order_flow_plays_and_trades_what_was_traded(exchange: Exchange) -> None:
    """Up to the first row in which history itself broke priority."""
    with COMMANDS.open() as lines, EXCEPTIONS.open() as exceptions:
        broken = next(csv.DictReader(exceptions))["row"]
        rows = list(takewhile(lambda row: row["row"] != broken, csv.DictReader(lines)))
    commands = list(tape.read_commands(COMMANDS))[: len(rows)]
    await load(exchange, *tape.read_seed(SEED))

    played = await play(exchange, tape.requests(commands, symbol="AAPL", speed_millis=0))

    assert (played.commands, played.missed) == (len(rows), 0)
    bids, asks = await exchange.levels("AAPL")
    last = {name: int(rows[-1][name]) for name in rows[-1] if name.endswith("_after")}
    assert bids[0] == (last["bid_after"] * 100, last["bidqty_after"])
    assert asks[0] == (last["ask_after"] * 100, last["askqty_after"])
    traded = [fill.partition(":")[2] for row in rows for fill in row["expected_fills"].split("|")]
    assert played.volume == sum(int(fill.partition("@")[0]) for fill in traded if fill)


async def test_a_book_short_of_shares_gives_what_it_has_and_cancels_the_rest(
    exchange: Exchange, member: Member
) -> None:
    await load(exchange, resting(1, 100, 30))

    some = await member.trade(an_order(quantity=100, max_notional_micros=3000 * DOLLAR))
    none = await member.trade(an_order(quantity=1))

    assert [r.exec_type for r in some] == [NEW, TRADE, CANCELED]
    assert some[-1].cumulative_quantity == 30
    assert some[-1].reject_reason == exchange_pb2.REJECT_REASON_NO_LIQUIDITY
    assert [r.exec_type for r in none] == [REJECTED]
    assert none[0].reject_reason == exchange_pb2.REJECT_REASON_NO_LIQUIDITY


async def test_a_bound_below_what_there_is_fills_nothing(
    exchange: Exchange, member: Member
) -> None:
    await load(exchange, resting(1, 100, 30), resting(2, 101, 30))

    (rejected,) = await member.trade(an_order(quantity=60, max_notional_micros=6029 * DOLLAR))

    assert rejected.reject_reason == exchange_pb2.REJECT_REASON_MAX_NOTIONAL
    assert await exchange.levels("AAPL") == ([], [(100 * DOLLAR, 30), (101 * DOLLAR, 30)])


async def test_nobody_quotes_in_a_loaded_book_until_it_is_given_back(
    exchange: Exchange, member: Member
) -> None:
    opening = await exchange.levels("AAPL")
    await load(exchange, resting(1, 100, 30))
    await member.trade(an_order(quantity=10))
    assert await exchange.levels("AAPL") == ([], [(100 * DOLLAR, 20)])

    request = pb.ResetBookRequest(symbol="AAPL")
    await exchange.control.ResetBook(request, metadata=exchange.operator)

    assert await exchange.levels("AAPL") == opening


async def test_the_makers_fill_up_again_after_trades(exchange: Exchange, member: Member) -> None:
    for _ in range(20):
        _, asks = await exchange.levels("AAPL")
        reports = await member.trade(an_order(quantity=sum(q for _, q in asks) // 2))
        assert sum(r.last_quantity for r in reports) > 0
        assert reports[-1].leaves_quantity == 0
        assert reports[-1].exec_type == TRADE


async def test_a_tape_does_what_it_says(exchange: Exchange) -> None:
    await load(exchange, resting(1, 100, 30, is_bid=True), resting(2, 102, 30))
    commands = [
        step(pb.TapeCommand.KIND_NEW, resting(3, 102, 20)),
        step(pb.TapeCommand.KIND_REDUCE, resting(2, 102, 10)),
        step(pb.TapeCommand.KIND_IOC, resting(4, 102, 25, is_bid=True)),
        step(pb.TapeCommand.KIND_DELETE, pb.RestingOrder(order_id=1)),
        step(pb.TapeCommand.KIND_DELETE, pb.RestingOrder(order_id=1)),
        step(pb.TapeCommand.KIND_NEW, resting(3, 103, 20)),
        step(pb.TapeCommand.KIND_NEW, resting(5, 102, 5, is_bid=True)),
    ]

    played = await play(exchange, [pb.PlayTapeRequest(symbol="AAPL", commands=commands)])

    assert (played.commands, played.missed, played.volume) == (7, 2, 30)
    assert await exchange.levels("AAPL") == ([], [(102 * DOLLAR, 10)])


async def test_a_tape_keeps_its_time(exchange: Exchange) -> None:
    commands = [
        pb.TapeCommand(
            kind=pb.TapeCommand.KIND_NEW,
            order=resting(n, 100, 1),
            at_nanos=34_200 * 10**9 + n * 50_000_000,
        )
        for n in range(1, 12)
    ]
    await load(exchange)
    began = time.monotonic()

    await play(exchange, tape.requests(commands, symbol="AAPL", speed_millis=2000, size=3))

    assert 0.25 <= time.monotonic() - began < 5


async def test_a_tape_and_members_trade_with_each_other(exchange: Exchange, member: Member) -> None:
    await load(exchange, resting(1, 100, 30))
    await member.trade(an_order(quantity=30))

    gone = [step(pb.TapeCommand.KIND_DELETE, pb.RestingOrder(order_id=1))]
    more = [step(pb.TapeCommand.KIND_NEW, resting(2, 99, 10))]
    first = await play(exchange, [pb.PlayTapeRequest(symbol="AAPL", commands=gone)])
    second = await play(exchange, [pb.PlayTapeRequest(symbol="AAPL", commands=more)])
    reports = await member.trade(an_order(quantity=10))

    assert (first.missed, second.missed) == (1, 0)
    assert fills(reports) == [(10, 99 * DOLLAR)]


@pytest.mark.parametrize(
    "orders",
    [
        [resting(1, 100, 10), resting(1, 101, 10)],
        [resting(1, 100, 10), resting(2, 100, 10, is_bid=True)],
        [resting(0, 100, 10)],
        [resting(1, 0, 10)],
        [resting(1, 100, 0)],
        [resting(1, 100, -5)],
        [resting(1, 10**7, 1)],
    ],
)
async def test_a_book_that_cannot_be_is_refused_and_the_old_one_stands(
    exchange: Exchange, orders: list[pb.RestingOrder]
) -> None:
    before = await exchange.levels("AAPL")

    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await load(exchange, *orders)

    assert refused.value.code() == grpc.StatusCode.INVALID_ARGUMENT
    assert await exchange.levels("AAPL") == before


async def test_a_symbol_that_is_not_listed_has_no_book(exchange: Exchange) -> None:
    calls: list[Awaitable[Any]] = [
        exchange.control.LoadBook(pb.LoadBookRequest(symbol="NOPE"), metadata=exchange.operator),
        exchange.control.ResetBook(pb.ResetBookRequest(symbol=""), metadata=exchange.operator),
        exchange.control.SetHalt(pb.SetHaltRequest(symbol="aapl"), metadata=exchange.operator),
        play(exchange, [pb.PlayTapeRequest(symbol="NOPE")]),
    ]
    for call in calls:
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await call
        assert refused.value.code() == grpc.StatusCode.NOT_FOUND
        assert reason_of(refused.value) == "UNKNOWN_SYMBOL"


async def test_a_halted_symbol_trades_no_more_until_it_is_resumed(
    exchange: Exchange, member: Member
) -> None:
    await exchange.halt("AAPL", is_halted=True)
    (rejected,) = await member.trade(an_order())
    others = await member.trade(an_order(symbol="MSFT"))
    await exchange.halt("AAPL", is_halted=False)
    resumed = await member.trade(an_order())

    assert rejected.reject_reason == exchange_pb2.REJECT_REASON_HALTED
    assert others[0].exec_type == NEW
    assert resumed[0].exec_type == NEW


async def faults(exchange: Exchange, **script: int) -> None:
    request = pb.SetFaultsRequest(**script)
    await exchange.control.SetFaults(request, metadata=exchange.operator)


async def test_reports_are_doubled_and_swapped_on_demand_and_none_is_lost(
    exchange: Exchange, member: Member
) -> None:
    await faults(exchange, duplicate_report_permille=500, reorder_report_permille=500)
    orders = [an_order() for _ in range(30)]
    member.send(*orders)
    for order in orders:
        await member.ended(order)
    await until(lambda: set(range(1, 61)) <= {r.seq for r in member.reports})

    seqs = [r.seq for r in member.reports]
    assert max(Counter(seqs).values()) > 1
    assert seqs != sorted(seqs)
    for order in orders:
        known = await exchange.reports_of(order)
        assert known is not None
        assert sum(r.last_quantity for r in known) == order.quantity


async def test_orders_are_refused_on_demand(exchange: Exchange, member: Member) -> None:
    await faults(exchange, reject_order_permille=1000)
    (rejected,) = await member.trade(an_order())
    await faults(exchange)
    taken = await member.trade(an_order())

    assert rejected.reject_reason == exchange_pb2.REJECT_REASON_OTHER
    assert taken[0].exec_type == NEW


async def test_a_lost_acknowledgement_brings_the_reports_again(exchange: Exchange) -> None:
    await faults(exchange, lose_acknowledge_permille=1000)
    async with exchange.member() as member:
        reports = await member.trade(an_order())
        member.acknowledge(reports[-1].seq)
        reports += await member.trade(an_order())

    async with exchange.member(next_report_seq=reports[-1].seq + 1) as again:
        await until(lambda: again.reports == reports)


async def test_reports_wait_on_demand_and_nothing_else_does(
    exchange: Exchange, member: Member
) -> None:
    await faults(exchange, delay_report_ms=60_000)
    order = an_order()
    member.send(order)
    await until(lambda: member.kept_seq == 1)

    assert await exchange.reports_of(order) is not None
    assert member.reports == []


async def test_an_order_is_left_unanswered_on_demand_and_never_executed(
    exchange: Exchange, member: Member
) -> None:
    await faults(exchange, unanswered_order_permille=1000)
    member.send(silent := an_order())
    await until(lambda: member.kept_seq == 1)
    await faults(exchange)
    member.send(silent)
    await member.trade(an_order())

    assert await exchange.reports_of(silent) == []
    assert member.reports_of(silent) == []
    (standing,) = await exchange.standings(silent)
    assert (standing.is_known, standing.is_open, standing.cumulative_quantity) == (True, True, 0)


async def test_orders_find_their_symbol_halted_on_demand(
    exchange: Exchange, member: Member
) -> None:
    await faults(exchange, halted_order_permille=1000)
    (rejected,) = await member.trade(an_order())

    assert rejected.reject_reason == exchange_pb2.REJECT_REASON_HALTED


async def test_the_exchange_hangs_up_on_demand_and_the_next_logon_brings_what_was_lost(
    exchange: Exchange,
) -> None:
    await faults(exchange, hang_up_permille=1000)
    async with exchange.member() as member:
        member.send(order := an_order())
        assert await member.code_at_end() == grpc.StatusCode.UNAVAILABLE
        assert member.reports == []
    await faults(exchange)

    async with exchange.member() as again:
        assert fills(await again.ended(order))


def test_some_reports_wait_on_demand_and_others_do_not() -> None:
    faults = Faults(seed=1)
    faults.begin(Script(delay_report_ms=1500, delay_report_permille=500), seed=3)

    assert {faults.delay_seconds() for _ in range(100)} == {0.0, 1.5}


async def test_a_seed_in_the_script_gives_the_same_faults_again(
    exchange: Exchange, member: Member
) -> None:
    async def refused(seed: int) -> list[bool]:
        await faults(exchange, reject_order_permille=500, seed=seed)
        return [(await member.trade(an_order()))[0].exec_type == REJECTED for _ in range(20)]

    first = await refused(7)

    assert await refused(7) == first
    assert await refused(8) != first


@pytest.mark.parametrize(
    "script",
    [
        {"unanswered_order_permille": 1001},
        {"hang_up_permille": -1},
        {"duplicate_report_permille": 1001},
        {"reorder_report_permille": -1},
        {"delay_report_ms": 60_001},
    ],
)
async def test_a_script_out_of_range_is_refused(exchange: Exchange, script: dict[str, int]) -> None:
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await faults(exchange, **script)

    assert refused.value.code() == grpc.StatusCode.INVALID_ARGUMENT


async def test_only_operators_have_the_hand(exchange: Exchange, keys: Keys) -> None:
    for token in (keys.service("exchange_gateway"), keys.customer("alice")):
        with pytest.raises(grpc.aio.AioRpcError) as denied:
            await exchange.control.SetFaults(
                pb.SetFaultsRequest(), metadata=(("authorization", f"Bearer {token}"),)
            )
        assert denied.value.code() == grpc.StatusCode.PERMISSION_DENIED


async def test_the_same_fault_seed_gives_the_same_faults(
    settings: Callable[..., Settings], keys: Keys
) -> None:
    async def run(session_id: str, fault_seed: int) -> list[int]:
        async with (
            house(settings(fault_seed=fault_seed)) as rpc,
            Exchange(rpc.address, keys) as exchange,
        ):
            await exchange.ready()
            await faults(exchange, duplicate_report_permille=500)
            async with exchange.member(session_id) as member:
                orders = [an_order() for _ in range(20)]
                member.send(*orders)
                await until(lambda: {r.seq for r in member.reports} >= set(range(1, 41)))
                return [r.seq for r in member.reports]

    assert await run("a", 7) == await run("b", 7)
    assert await run("c", 7) != await run("d", 8)
