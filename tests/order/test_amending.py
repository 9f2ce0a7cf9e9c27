"""Fills that the exchange takes back or corrects: counted at once, and no trade opens again."""

import psycopg
import pytest

from stockbroker.order.v1 import order_execution_service_pb2 as pb
from stockbroker.order.v1.order_pb2 import ExecutionAmendment, Trade
from stockbroker.order.v1.order_pb2 import TradeEventKind as Kind
from stockbroker.order.v1.order_pb2 import TradeStatus as Status
from tests.order.client import Order, Outcome, accepted, filled
from tests.order.test_outcomes import a_trade_in_progress, codes

PRICE = 585_330_000


def amended(trade_id: str, quantity: int, price: int, **fields: str) -> Outcome:
    """The fill `e-1` was another; 0 shares: it never was."""
    amendment = ExecutionAmendment(
        amendment_id="b-1",
        execution_id="e-1",
        venue="XSIM",
        quantity=quantity,
        price_micros=price,
        reason_text="a clear error",
    )
    for name, value in fields.items():
        setattr(amendment, name, value)
    amendment.amended_at.FromNanoseconds(1_700_000_000_123_456_000)
    return pb.Outcome(trade_id=trade_id, amended=amendment)


def busted(trade_id: str, **fields: str) -> Outcome:
    return amended(trade_id, 0, 0, **fields)


async def a_filled_trade(order: Order) -> str:
    """Of 100 shares, in fills of 60 and 40; its id."""
    trade_id = await a_trade_in_progress(order)
    await order.apply(
        accepted(trade_id, "X-1"),
        filled(trade_id, 60, PRICE, execution_id="e-1"),
        filled(trade_id, 40, PRICE + 10_000, execution_id="e-2"),
    )
    return trade_id


def stands(trade: Trade) -> tuple[str, int, int]:
    status = Status.Name(trade.status).removeprefix("TRADE_STATUS_")
    return status, trade.filled_quantity, trade.filled_notional_micros


async def test_a_busted_fill_counts_no_more_and_the_trade_stays_filled(order: Order) -> None:
    trade_id = await a_filled_trade(order)

    assert codes(await order.apply(busted(trade_id))) == ["APPLIED"]

    trade = await order.get("alice", trade_id)
    assert stands(trade) == ("FILLED", 40, 40 * (PRICE + 10_000))
    assert trade.average_price_micros == PRICE + 10_000
    [*_, event] = await order.events("alice", trade_id)
    assert event.kind == Kind.TRADE_EVENT_KIND_EXECUTION_BUSTED
    assert (event.cause, event.trade.filled_quantity) == ("exchange", 40)
    amendment = event.amendment
    assert (amendment.execution_id, amendment.amendment_id) == ("e-1", "b-1")
    assert (amendment.old_quantity, amendment.old_price_micros) == (60, PRICE)
    assert (amendment.quantity, amendment.price_micros) == (0, 0)
    assert amendment.reason_text == "a clear error"
    assert not event.HasField("execution")


async def test_a_corrected_fill_counts_as_it_is_now(order: Order) -> None:
    trade_id = await a_filled_trade(order)

    assert codes(await order.apply(amended(trade_id, 50, PRICE - 10_000))) == ["APPLIED"]

    expected = 50 * (PRICE - 10_000) + 40 * (PRICE + 10_000)
    assert stands(await order.get("alice", trade_id)) == ("FILLED", 90, expected)
    [*_, event] = await order.events("alice", trade_id)
    assert event.kind == Kind.TRADE_EVENT_KIND_EXECUTION_CORRECTED
    assert (event.amendment.old_quantity, event.amendment.quantity) == (60, 50)


async def test_told_again_it_is_no_news_and_another_word_is_impossible(order: Order) -> None:
    trade_id = await a_filled_trade(order)
    bust = busted(trade_id)

    answer = await order.apply(bust, bust, busted(trade_id, amendment_id="b-2"))
    again = await order.apply(bust, amended(trade_id, 1, 1, amendment_id="c-1"))

    assert codes(answer) == ["APPLIED", "REPEATED", "IMPOSSIBLE"]
    assert codes(again) == ["REPEATED", "IMPOSSIBLE"]
    assert stands(await order.get("alice", trade_id))[:2] == ("FILLED", 40)


async def test_a_corrected_fill_is_corrected_again_and_busted_by_what_it_was_last(
    order: Order,
) -> None:
    trade_id = await a_filled_trade(order)
    chain = [
        amended(trade_id, 50, PRICE, amendment_id="c-1"),
        amended(trade_id, 60, PRICE - 1, amendment_id="c-2", previous_amendment_id="c-1"),
        busted(trade_id, amendment_id="b-3", previous_amendment_id="c-2"),
    ]
    rest = 40 * (PRICE + 10_000)

    assert codes(await order.apply(*chain[:2])) == ["APPLIED", "APPLIED"]
    assert stands(await order.get("alice", trade_id)) == ("FILLED", 100, 60 * (PRICE - 1) + rest)
    assert codes(await order.apply(*chain)) == ["REPEATED", "REPEATED", "APPLIED"]
    assert stands(await order.get("alice", trade_id)) == ("FILLED", 40, rest)

    told = [event.amendment for event in (await order.events("alice", trade_id))[-3:]]
    assert [each.amendment_id for each in told] == ["c-1", "c-2", "b-3"]
    assert [each.previous_amendment_id for each in told] == ["", "c-1", "c-2"]
    assert [(each.old_quantity, each.old_price_micros) for each in told] == [
        (60, PRICE),
        (50, PRICE),
        (60, PRICE - 1),
    ]
    assert [(each.quantity, each.price_micros) for each in told] == [
        (50, PRICE),
        (60, PRICE - 1),
        (0, 0),
    ]
    assert {each.execution_id for each in told} == {"e-1"}


async def test_what_was_recorded_when_a_fill_was_amended_once_at_most_is_amended_again(
    order: Order, postgres_url: str
) -> None:
    trade_id = await a_filled_trade(order)
    await order.apply(amended(trade_id, 50, PRICE, amendment_id="c-1"))
    with psycopg.connect(postgres_url) as connection:
        connection.execute(
            "UPDATE execution_amendment"
            " SET event_seq = DEFAULT, old_quantity = DEFAULT, old_price_micros = DEFAULT"
        )

    again = amended(trade_id, 55, PRICE, amendment_id="c-2", previous_amendment_id="c-1")
    assert codes(await order.apply(again)) == ["APPLIED"]

    told = [event.amendment for event in (await order.events("alice", trade_id))[-2:]]
    assert [(each.amendment_id, each.old_quantity, each.quantity) for each in told] == [
        ("c-1", 60, 50),
        ("c-2", 50, 55),
    ]
    assert told[0].old_price_micros == PRICE


async def test_an_amendment_that_does_not_go_on_from_the_latest_is_impossible(
    order: Order,
) -> None:
    trade_id = await a_filled_trade(order)
    early = busted(trade_id, amendment_id="b-2", previous_amendment_id="c-1")
    assert codes(await order.apply(early)) == ["IMPOSSIBLE"]
    first = amended(trade_id, 50, PRICE, amendment_id="c-1")
    answer = await order.apply(first, early, busted(trade_id, amendment_id="b-9"))
    assert codes(answer) == ["APPLIED", "APPLIED", "IMPOSSIBLE"]
    stale = amended(trade_id, 1, PRICE, amendment_id="c-9", previous_amendment_id="c-1")
    after_bust = amended(trade_id, 1, PRICE, amendment_id="c-9", previous_amendment_id="b-2")
    assert codes(await order.apply(stale, after_bust)) == ["IMPOSSIBLE", "IMPOSSIBLE"]
    assert stands(await order.get("alice", trade_id))[:2] == ("FILLED", 40)


async def test_a_trade_that_works_on_is_filled_when_the_exchange_has_no_more_of_it(
    order: Order,
) -> None:
    trade_id = await a_trade_in_progress(order)
    await order.apply(accepted(trade_id, "X-1"), filled(trade_id, 60, PRICE, execution_id="e-1"))
    await order.apply(busted(trade_id))
    assert stands(await order.get("alice", trade_id)) == ("PARTIALLY_FILLED", 0, 0)

    too_many = filled(trade_id, 41, PRICE, execution_id="e-9")
    last = filled(trade_id, 40, PRICE, execution_id="e-2")

    assert codes(await order.apply(too_many, last)) == ["IMPOSSIBLE", "APPLIED"]
    assert stands(await order.get("alice", trade_id)) == ("FILLED", 40, 40 * PRICE)


async def test_no_more_is_filled_than_was_ordered_once_a_fill_was_made_larger(
    order: Order,
) -> None:
    trade_id = await a_trade_in_progress(order)
    await order.apply(accepted(trade_id, "X-1"), filled(trade_id, 60, PRICE, execution_id="e-1"))
    assert codes(await order.apply(amended(trade_id, 80, PRICE))) == ["APPLIED"]

    too_many = filled(trade_id, 21, PRICE, execution_id="e-9")
    fits = filled(trade_id, 20, PRICE, execution_id="e-2")

    assert codes(await order.apply(too_many, fits)) == ["IMPOSSIBLE", "APPLIED"]
    assert stands(await order.get("alice", trade_id))[:2] == ("PARTIALLY_FILLED", 100)


@pytest.mark.parametrize(
    ("quantity", "price", "fields"),
    [
        (0, 0, {"execution_id": "e-7"}),
        (0, 0, {"venue": "XTEST"}),
        (0, 0, {"amendment_id": ""}),
        (0, PRICE, {}),
        (5, 0, {}),
        (-1, PRICE, {}),
        (61, PRICE, {}),
    ],
)
async def test_what_cannot_be_true_of_a_fill_changes_nothing(
    order: Order, quantity: int, price: int, fields: dict[str, str]
) -> None:
    trade_id = await a_filled_trade(order)
    before = await order.get("alice", trade_id)
    answer = await order.apply(amended(trade_id, quantity, price, **fields))
    assert codes(answer) == ["IMPOSSIBLE"]
    assert await order.get("alice", trade_id) == before


async def test_the_fill_of_another_trade_is_not_taken_back(order: Order) -> None:
    await a_filled_trade(order)
    other = await a_trade_in_progress(order)
    assert codes(await order.apply(busted(other))) == ["IMPOSSIBLE"]
