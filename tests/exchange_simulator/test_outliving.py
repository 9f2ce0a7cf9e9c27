"""Orders that rest or wait outlive the exchange, each in its place, and nothing trades twice."""

from collections import Counter
from collections.abc import Callable
from typing import Any

import grpc
import psycopg
import pytest

from libs.refusals import Unavailable
from services.exchange_simulator.database import Database
from services.exchange_simulator.main import Settings
from stockbroker.common.v1.reason_pb2 import Reason
from stockbroker.exchange.v1 import exchange_control_service_pb2 as control
from stockbroker.exchange.v1 import exchange_pb2 as pb
from stockbroker.exchange.v1 import scripts_pb2
from tests.exchange_simulator.member import (
    CANCELED,
    EXPIRED,
    NEW,
    REPLACED,
    TRADE,
    TRIGGERED,
    Exchange,
    Member,
    a_cancel,
    a_limit,
    a_replace,
    an_order,
)
from tests.exchange_simulator.others import DOLLAR, do, load, phase, resting, step
from tests.exchange_simulator.test_durability import process, running
from tests.support.keys import Keys
from tests.support.wait import until

MakeSettings = Callable[..., Settings]
SELL = pb.SIDE_SELL
GTC = pb.TIME_IN_FORCE_GTC
AT_ONCE = control.TapeCommand.KIND_IOC


async def test_killed_and_started_again_every_order_is_in_its_place(
    settings: MakeSettings, keys: Keys
) -> None:
    first, moved, second, third = (a_limit(100 * DOLLAR, time_in_force=GTC) for _ in range(4))
    low, ended = a_limit(90 * DOLLAR), a_limit(100 * DOLLAR)
    early, late = (
        an_order(
            order_type=pb.ORDER_TYPE_STOP,
            stop_price_micros=200 * DOLLAR,
            quantity=quantity,
            max_notional_micros=bound * DOLLAR,
        )
        for quantity, bound in ((3, 0), (4, 803))
    )
    async with process(settings()) as (child, address), Exchange(address, keys) as exchange:
        await exchange.ready()
        await load(exchange)
        async with exchange.member() as member:
            member.send(first, moved, second, low, third, ended, early, late)
            await do(exchange, step(AT_ONCE, resting(1, 100, 4)))
            bounded = a_replace(late, 4, max_notional=804 * DOLLAR)
            member.send(a_replace(moved, 11), a_replace(second, 8), bounded, a_cancel(ended))
            await member.ended(ended)
            child.kill()
            await until(lambda: member.is_ended)
            heard = list(member.reports)

    async with running(settings(), keys) as exchange, exchange.member() as member:
        await until(lambda: len(member.reports) == len(heard))
        assert member.reports == heard
        bids, asks = await exchange.levels("AAPL")
        assert bids[0][0] < asks[0][0], "the makers quote around members' orders"
        await load(exchange, resting(1, 200, 1), resting(2, 201, 50))
        assert (await exchange.levels("AAPL"))[0] == [(100 * DOLLAR, 35), (90 * DOLLAR, 10)]
        standings = await exchange.standings(first, moved, second, third, low, ended)
        assert [s.quantity for s in standings] == [10, 11, 8, 10, 10, 10]
        assert [s.is_open for s in standings] == [True] * 5 + [False]

        for order, left in ((first, 6), (second, 8), (third, 10), (moved, 11)):
            await do(exchange, step(AT_ONCE, resting(9, 100, left)))
            assert (await member.ended(order))[-1].last_quantity == left
        await do(exchange, step(AT_ONCE, resting(9, 200, 1, is_bid=True)))
        await member.said(early, NEW, TRIGGERED, TRADE)
        _, replaced, *_ = await member.said(late, NEW, REPLACED, TRIGGERED, TRADE)
        assert replaced.max_notional_micros == 804 * DOLLAR, "what it costs, and no more"
        assert member.reports_of(early)[-1].seq < member.reports_of(late)[-1].seq
        assert (await member.ask(a_cancel(low))).exec_type == CANCELED
        await member.said(moved, NEW, REPLACED, TRADE)


async def test_orders_in_a_symbol_that_is_listed_no_more_are_halted_and_can_be_canceled(
    settings: MakeSettings, keys: Keys
) -> None:
    symbol = "TEST.FILL"
    by_script = an_order(symbol="TEST.REST", time_in_force=GTC)
    day = a_limit(DOLLAR, symbol=symbol)
    stays, leaves = (a_limit(DOLLAR, symbol=symbol, time_in_force=GTC) for _ in range(2))
    async with running(settings(), keys) as exchange, exchange.member() as member:
        await member.rest(by_script)
        await exchange.control.SetScripts(
            scripts_pb2.SetScriptsRequest(), metadata=exchange.operator
        )
        for order in (day, stays, leaves):
            await member.rest(order)

    async with running(settings(test_symbols=False), keys) as exchange, exchange.member() as member:
        assert (await member.ask(a_cancel(by_script))).exec_type == CANCELED
        assert (await member.ask(a_cancel(leaves))).exec_type == CANCELED
        replace = await member.ask(a_replace(stays, 5))
        (refused,) = await member.trade(an_order(symbol=symbol))
        assert {replace.reject_reason, refused.reject_reason} == {pb.REJECT_REASON_HALTED}
        await phase(exchange, control.SetPhaseRequest.PHASE_NEXT_DAY)
        await member.said(day, NEW, EXPIRED)
        assert await exchange.levels(symbol) == ([(DOLLAR, 10)], [])
        assert (await member.trade(an_order()))[0].exec_type == NEW

    async with running(settings(), keys) as exchange, exchange.member() as member:
        assert (DOLLAR, 10) in (await exchange.levels(symbol))[0]
        assert (await member.trade(an_order(symbol=symbol)))[0].exec_type == NEW


async def test_killed_again_and_again_amid_orders_that_meet_each_share_trades_once(
    settings: MakeSettings, keys: Keys
) -> None:
    """Bids and offers of one price in turn, of two sizes, all of them GTC: all of it must trade."""
    orders = [
        a_limit(1000 * DOLLAR, side=side, quantity=quantity, symbol="KO", time_in_force=GTC)
        for _ in range(60)
        for side, quantity in ((pb.SIDE_BUY, 6), (SELL, 4), (SELL, 2))
    ]
    shares = 2 * sum(order.quantity for order in orders if order.side == SELL)
    heard: list[pb.ExecutionReport] = []
    for enough in (40, 200, 10**9):
        async with process(settings()) as (child, address), Exchange(address, keys) as exchange:
            await exchange.ready()
            await exchange.control.LoadBook(
                control.LoadBookRequest(symbol="KO"), metadata=exchange.operator
            )
            async with exchange.member() as member:
                for order in orders[member.next_command_seq - 1 :]:
                    member.send(order)
                await until(has_traded(member, shares, enough))
                child.kill()
                await until(lambda m=member: m.is_ended)  # type: ignore[misc]
                heard += member.reports

    by_seq = {report.seq: report for report in heard}
    assert sorted(by_seq) == list(range(1, len(by_seq) + 1))
    assert all(report == by_seq[report.seq] for report in heard)
    filled = Counter[str]()
    for report in by_seq.values():
        filled[report.client_order_id] += report.last_quantity
    assert filled == {order.client_order_id: order.quantity for order in orders}


def has_traded(member: Member, shares: int, enough: int = 10**9) -> Callable[[], bool]:
    """Whether all shares have traded, or `enough` reports have come."""
    return lambda: len(member.reports) > enough or traded(member.reports) == shares


def has_traded_or_ended(member: Member, shares: int) -> Callable[[], bool]:
    """Whether all shares have traded, or the connection is over."""
    return lambda: member.is_ended or traded(member.reports) == shares


def traded(reports: list[pb.ExecutionReport]) -> int:
    return sum(r.last_quantity for r in {r.seq: r for r in reports}.values())


async def test_a_trade_that_cannot_be_kept_leaves_every_order_in_its_place(
    settings: MakeSettings, keys: Keys
) -> None:
    async with running(settings(), keys) as exchange:
        await load(exchange)
        first, second = (a_limit(100 * DOLLAR, time_in_force=GTC) for _ in range(2))
        async with exchange.member() as member:
            member.send(first, second)
            await member.said(second, NEW)
            before = await exchange.levels("AAPL")
            with psycopg.connect(settings().database_url, autocommit=True) as database:
                database.execute("ALTER TABLE report RENAME TO elsewhere")
                async with exchange.member("another") as other:
                    other.send(an_order(side=SELL, quantity=4))
                    assert await other.code_at_end() == grpc.StatusCode.UNAVAILABLE
                # The member whose order it was about is cut off too, and was told nothing.
                assert await member.code_at_end() == grpc.StatusCode.UNAVAILABLE
                assert len(member.reports) == 2
                database.execute("ALTER TABLE elsewhere RENAME TO report")
            assert await exchange.levels("AAPL") == before

        async with exchange.member() as member:
            await do(exchange, step(AT_ONCE, resting(1, 100, 10)))
            await member.ended(first)
            await member.said(first, NEW, TRADE)
            await member.said(second, NEW)


async def test_orders_that_rest_stay_true_under_every_disturbance(
    settings: MakeSettings, keys: Keys
) -> None:
    async with running(settings(), keys) as exchange:
        await load(exchange)
        script = control.SetFaultsRequest(
            duplicate_report_permille=300,
            reorder_report_permille=300,
            lose_acknowledge_permille=300,
            hang_up_permille=100,
            seed=5,
        )
        await exchange.control.SetFaults(script, metadata=exchange.operator)
        orders = [
            a_limit(100 * DOLLAR, side=side, quantity=3)
            for _ in range(40)
            for side in (pb.SIDE_BUY, SELL)
        ]
        heard: list[pb.ExecutionReport] = []
        while traded(heard) < 240:
            async with exchange.member() as member:
                for order in orders[member.next_command_seq - 1 :]:
                    member.send(order)
                await until(has_traded_or_ended(member, 240))
                heard += member.reports
                if member.reports and not member.is_ended:
                    member.acknowledge(max(r.seq for r in member.reports))

        by_seq = {report.seq: report for report in heard}
        assert sorted(by_seq) == list(range(1, len(by_seq) + 1))
        assert all(report == by_seq[report.seq] for report in heard)


async def test_a_trade_that_was_kept_though_it_seemed_not_is_done_once(
    settings: MakeSettings, keys: Keys, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = Database.run

    async def losing_the_answer(self: Database, work: Any) -> Any:
        await run(self, work)
        raise Unavailable(Reason.REASON_UNAVAILABLE, "nobody knows whether it was committed")

    async with running(settings(), keys) as exchange:
        await load(exchange)
        first, second = (a_limit(100 * DOLLAR, time_in_force=GTC) for _ in range(2))
        offer = an_order(side=SELL, quantity=14)
        async with exchange.member() as member, exchange.member("another") as other:
            member.send(first, second)
            await member.said(second, NEW)
            with monkeypatch.context() as patch:
                patch.setattr(Database, "run", losing_the_answer)
                other.send(offer)
                assert await other.code_at_end() == grpc.StatusCode.UNAVAILABLE
                assert await member.code_at_end() == grpc.StatusCode.UNAVAILABLE

        async with exchange.member() as member, exchange.member("another") as other:
            await other.said(offer, NEW, TRADE, TRADE)
            await member.said(first, NEW, TRADE)
            await do(exchange, step(AT_ONCE, resting(1, 100, 6)))
            await member.said(second, NEW, TRADE, TRADE)
            assert await exchange.levels("AAPL") == ([], [])
            assert [r.seq for r in member.reports] == [1, 2, 3, 4, 5]


async def test_a_stop_that_was_triggered_stays_behind_those_who_rested_before(
    settings: MakeSettings, keys: Keys
) -> None:
    price = 100 * DOLLAR
    stop = an_order(
        order_type=pb.ORDER_TYPE_STOP_LIMIT, stop_price_micros=price, limit_price_micros=price
    )
    rested = a_limit(price)
    async with running(settings(), keys) as exchange, exchange.member() as member:
        await load(exchange)
        for order in (stop, rested):
            await member.rest(order)
        await do(exchange, step(AT_ONCE, resting(1, 100, 1)))
        await member.said(stop, NEW, TRIGGERED)

    async with running(settings(), keys) as exchange, exchange.member() as member:
        await load(exchange)
        await do(exchange, step(AT_ONCE, resting(1, 100, 9)))
        await member.said(rested, NEW, TRADE, TRADE)
        await member.said(stop, NEW, TRIGGERED)
