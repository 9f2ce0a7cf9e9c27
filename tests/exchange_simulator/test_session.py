"""A member trades over its session."""

import asyncio
from collections import Counter

import grpc
import pytest

from libs.clock import SystemClock
from libs.refusals import Throttled
from libs.rpc.status import metadata_of
from services.exchange_simulator.sessions import MAX_UNSENT, Connection
from stockbroker.exchange.v1 import exchange_pb2 as pb
from stockbroker.exchange.v1 import exchange_service_pb2 as service_pb
from tests.exchange_simulator.member import (
    CANCELED,
    NEW,
    REJECTED,
    TRADE,
    Exchange,
    Member,
    an_order,
)
from tests.support.wait import until


async def test_a_market_order_fills_at_the_best_prices_first(
    exchange: Exchange, member: Member
) -> None:
    _, asks = await exchange.levels("AAPL")
    order = an_order(quantity=asks[0][1] + 1)

    new, *trades = await member.trade(order)

    assert new.exec_type == NEW
    assert new.leaves_quantity == order.quantity
    assert [t.exec_type for t in trades] == [TRADE] * len(trades)
    paid: Counter[int] = Counter()
    for trade in trades:
        paid[trade.last_price_micros] += trade.last_quantity
    assert paid == {asks[0][0]: asks[0][1], asks[1][0]: 1}
    assert trades[-1].cumulative_quantity == order.quantity
    assert trades[-1].leaves_quantity == 0


async def test_a_sell_order_meets_the_bids(exchange: Exchange, member: Member) -> None:
    bids, _ = await exchange.levels("MSFT")

    reports = await member.trade(an_order(symbol="MSFT", side=pb.SIDE_SELL, quantity=1))

    assert reports[-1].last_price_micros == bids[0][0]
    assert reports[-1].side == pb.SIDE_SELL


async def test_reports_are_numbered_without_gap_and_commands_are_kept(member: Member) -> None:
    orders = [an_order(quantity=1 + n) for n in range(50)]
    member.send(*orders[:20])
    member.send(*orders[20:])

    for order in orders:
        await member.ended(order)

    assert [r.seq for r in member.reports] == list(range(1, len(member.reports) + 1))
    assert member.kept_seq == 50
    assert len({r.exec_id for r in member.reports}) == len(member.reports)
    first_of_each = [r.client_order_id for r in member.reports if r.exec_type == NEW]
    assert first_of_each == [o.client_order_id for o in orders]


async def test_an_order_costs_no_more_than_its_bound(exchange: Exchange, member: Member) -> None:
    _, asks = await exchange.levels("AAPL")
    cost = asks[0][0] * 10

    within = await member.trade(an_order(max_notional_micros=cost))
    _, asks = await exchange.levels("AAPL")
    beyond = await member.trade(an_order(max_notional_micros=asks[0][0] * 10 - 1))

    assert [r.exec_type for r in within][:2] == [NEW, TRADE]
    assert sum(r.last_quantity * r.last_price_micros for r in within) == cost
    (rejected,) = beyond
    assert rejected.exec_type == REJECTED
    assert rejected.reject_reason == pb.REJECT_REASON_MAX_NOTIONAL


@pytest.mark.parametrize(
    ("terms", "reason"),
    [
        ({"symbol": "NOPE"}, pb.REJECT_REASON_UNKNOWN_SYMBOL),
        ({"quantity": 0}, pb.REJECT_REASON_OTHER),
        ({"quantity": -1}, pb.REJECT_REASON_OTHER),
        ({"quantity": 2**62}, pb.REJECT_REASON_OTHER),
        ({"side": pb.SIDE_UNSPECIFIED}, pb.REJECT_REASON_OTHER),
        ({"order_type": pb.ORDER_TYPE_STOP}, pb.REJECT_REASON_OTHER),
        ({"time_in_force": 9}, pb.REJECT_REASON_OTHER),
        ({"limit_price_micros": 5}, pb.REJECT_REASON_OTHER),
        ({"order_type": pb.ORDER_TYPE_LIMIT, "limit_price_micros": 5}, pb.REJECT_REASON_OTHER),
    ],
)
async def test_an_order_that_cannot_be_is_rejected_with_a_reason(
    exchange: Exchange, member: Member, terms: dict[str, object], reason: pb.RejectReason.ValueType
) -> None:
    order = an_order(**terms)

    (report,) = await member.trade(order)

    assert report.exec_type == REJECTED
    assert report.reject_reason == reason
    assert report.reason_text
    assert report.leaves_quantity == 0
    assert await exchange.reports_of(order) == [report]


async def test_a_limit_order_fills_at_its_price_or_better_and_never_rests(
    exchange: Exchange, member: Member
) -> None:
    _, asks = await exchange.levels("AAPL")
    terms = {
        "order_type": pb.ORDER_TYPE_LIMIT,
        "limit_price_micros": asks[0][0],
        "quantity": asks[0][1] + 5,
    }

    whole_or_none = await member.trade(an_order(**terms, time_in_force=pb.TIME_IN_FORCE_FOK))
    what_there_is = await member.trade(an_order(**terms, time_in_force=pb.TIME_IN_FORCE_IOC))

    assert [r.exec_type for r in whole_or_none] == [NEW, CANCELED]
    assert {r.last_price_micros for r in what_there_is if r.exec_type == TRADE} == {asks[0][0]}
    canceled = what_there_is[-1]
    assert canceled.exec_type == CANCELED
    assert canceled.reject_reason == pb.REJECT_REASON_NO_LIQUIDITY
    assert canceled.cumulative_quantity == asks[0][1]


async def test_the_same_id_again_is_executed_once(exchange: Exchange, member: Member) -> None:
    order, other = an_order(), an_order()
    first = await member.trade(order)

    member.send(order, order)
    await member.trade(other)

    assert member.reports_of(order) == first
    assert await exchange.reports_of(order) == first


async def test_one_id_sent_twice_in_one_message_is_executed_once(member: Member) -> None:
    order, other = an_order(), an_order()

    member.send(order, order, other)
    await member.ended(other)

    assert [r.exec_type for r in member.reports_of(order)].count(NEW) == 1


async def test_an_id_used_again_with_other_terms_is_refused_and_the_order_stands(
    exchange: Exchange, member: Member
) -> None:
    order = an_order(quantity=10)
    first = await member.trade(order)
    other = an_order(client_order_id=order.client_order_id, quantity=11)

    member.send(other)
    await until(lambda: member.reports[-1].exec_type == REJECTED)

    refusal = member.reports[-1]
    assert refusal.reject_reason == pb.REJECT_REASON_DUPLICATE_ORDER_ID
    assert refusal.exchange_order_id == ""
    assert await exchange.reports_of(order) == first


async def test_an_order_never_sent_is_not_known(exchange: Exchange) -> None:
    assert await exchange.reports_of(an_order()) is None


async def test_a_command_seen_before_is_skipped(member: Member) -> None:
    order, next_order = an_order(), an_order()
    await member.trade(order)

    member.send(order, next_order, first_seq=1)
    await member.ended(next_order)

    assert len([r for r in member.reports_of(order) if r.exec_type == NEW]) == 1
    assert member.kept_seq == 2


async def test_a_gap_ends_the_session_and_keeps_what_came_before(exchange: Exchange) -> None:
    before, after = an_order(), an_order()
    async with exchange.member() as member:
        member.send(before)
        member.send(after, first_seq=3)
        assert await member.code_at_end() == grpc.StatusCode.INVALID_ARGUMENT

    assert await exchange.reports_of(before) is not None
    assert await exchange.reports_of(after) is None


@pytest.mark.parametrize(
    "request_",
    [
        service_pb.SessionRequest(),
        service_pb.SessionRequest(logon=service_pb.SessionRequest.Logon(session_id="x")),
        service_pb.SessionRequest(
            commands=service_pb.SessionRequest.Commands(
                # Seq 1 and a command of a kind this exchange has not heard of.
                commands=[service_pb.SessionRequest.Command.FromString(b"\x08\x01\x7a\x00")]
            )
        ),
        service_pb.SessionRequest(
            commands=service_pb.SessionRequest.Commands(
                commands=[
                    service_pb.SessionRequest.Command(
                        seq=1, new_order=an_order(client_order_id="with\0nul")
                    )
                ]
            )
        ),
        service_pb.SessionRequest(acknowledge=service_pb.SessionRequest.Acknowledge(report_seq=99)),
    ],
)
async def test_a_broken_message_ends_the_session(
    exchange: Exchange, request_: service_pb.SessionRequest
) -> None:
    async with exchange.member() as member:
        member.put(request_)

        assert await member.code_at_end() == grpc.StatusCode.INVALID_ARGUMENT


async def test_a_command_that_orders_nothing_uses_its_number_up(exchange: Exchange) -> None:
    nothing = service_pb.SessionRequest.Commands(
        commands=[service_pb.SessionRequest.Command(seq=1)]
    )
    async with exchange.member() as member:
        member.put(service_pb.SessionRequest(commands=nothing))
        member.send(order := an_order(), first_seq=2)

        assert (await member.ended(order))[0].seq == 1


async def test_a_member_ahead_of_the_exchange_is_told_where_the_exchange_stands(
    exchange: Exchange,
) -> None:
    async with exchange.member() as member:
        reports = await member.trade(an_order())

    async with exchange.member(next_report_seq=reports[-1].seq + 2) as ahead:
        assert await ahead.code_at_end() == grpc.StatusCode.FAILED_PRECONDITION
        assert ahead.error is not None
        stands = metadata_of(ahead.error)
    assert stands == {"next_report_seq": str(reports[-1].seq + 1), "next_command_seq": "2"}


async def test_a_session_begins_with_a_name_and_a_sequence(exchange: Exchange) -> None:
    async with exchange.member(session_id="a b") as nameless:
        assert await nameless.code_at_end() == grpc.StatusCode.INVALID_ARGUMENT
    async with exchange.member(next_report_seq=0) as lost:
        assert await lost.code_at_end() == grpc.StatusCode.INVALID_ARGUMENT
    async with exchange.member(next_report_seq=2) as ahead:
        assert await ahead.code_at_end() == grpc.StatusCode.FAILED_PRECONDITION


async def test_the_newest_connection_of_a_session_wins(exchange: Exchange) -> None:
    async with exchange.member() as older, exchange.member() as newer:
        assert await older.code_at_end() == grpc.StatusCode.ABORTED

        reports = await newer.trade(an_order())

        assert reports[0].exec_type == NEW


async def test_a_session_that_ends_well_ends_with_ok(exchange: Exchange) -> None:
    async with exchange.member() as member:
        await member.trade(an_order())
        await member.leave()

        assert await member.code_at_end() == grpc.StatusCode.OK


async def test_sessions_have_sequences_of_their_own(exchange: Exchange) -> None:
    async with exchange.member("one") as one, exchange.member("two") as two:
        await asyncio.gather(
            *(member.trade(an_order()) for member in (one, two) for _ in range(10))
        )

        for member in (one, two):
            assert [r.seq for r in member.reports] == list(range(1, len(member.reports) + 1))


async def test_reports_come_again_until_they_are_acknowledged(exchange: Exchange) -> None:
    async with exchange.member() as member:
        first = await member.trade(an_order())
        second = await member.trade(an_order())
        member.acknowledge(first[-1].seq)
        await member.trade(an_order())  # so that the acknowledgement has been read
        third = member.reports[len(first) + len(second) :]

    async with exchange.member(next_report_seq=len(member.reports) + 1) as again:
        await until(lambda: len(again.reports) >= len(second) + len(third))

        assert again.reports == second + third
        assert again.logged_on is not None
        assert again.logged_on.next_command_seq == 4
        assert again.logged_on.next_report_seq == third[-1].seq + 1


async def test_a_member_that_lost_reports_gets_them_again(exchange: Exchange) -> None:
    async with exchange.member() as member:
        reports = await member.trade(an_order())
        member.acknowledge(reports[-1].seq)
        await member.trade(an_order())
        everything = list(member.reports)

    async with exchange.member(next_report_seq=1) as again:
        await until(lambda: len(again.reports) == len(everything))

        assert again.reports == everything


async def test_what_happened_while_the_member_was_away_is_told_at_logon(
    exchange: Exchange,
) -> None:
    order = an_order()
    async with exchange.member() as member:
        member.send(order)
        await until(lambda: member.kept_seq == 1)

    async with exchange.member() as again:
        assert (await again.ended(order))[0].exec_type == NEW


async def test_a_member_that_does_not_read_is_let_go_and_takes_no_more_memory() -> None:
    connection = Connection("gateway", missed=range(1, 1), next_command_seq=1)
    for _ in range(MAX_UNSENT + 1):
        connection.send(service_pb.SessionResponse())
    with pytest.raises(Throttled):
        await anext(connection.messages(SystemClock()))
