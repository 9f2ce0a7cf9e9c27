"""What may be placed, and what becomes of a batch of calls; pure."""

from datetime import UTC, date, datetime
from typing import Any

import pytest
from msgspec.structs import replace

from libs.refusals import AlreadyExists, Invalid, Refusal
from services.order.domain.event import TradeEvent
from services.order.domain.placing import Placement, Wanted, as_placed, check, place
from services.order.domain.terms import OrderType, Side, Terms, TimeInForce
from services.order.domain.ticks import RULES, TickRule, tick_micros_at
from services.order.domain.trade import Standing, Trade, TradeStatus
from tests.order.gates import open_gate

AT = datetime(2026, 11, 20, 15, 0, tzinfo=UTC)
LATER = datetime(2026, 11, 21, 15, 0, tzinfo=UTC)


def wanted(**changes: Any) -> Wanted:
    """Buy 100 AAPL at the market."""
    return Wanted(
        **{"client_order_id": "c-1", "symbol": "AAPL", "side": 1, "quantity": 100, **changes}
    )


def a_placement(number: int, client_order_id: str, **terms: Any) -> Placement:
    """A call of alice, with the id its trade would get."""
    return Placement(
        trade_id=f"t-{number}",
        client_order_id=client_order_id,
        customer_id="alice",
        terms=Terms(**{"symbol": "AAPL", "side": Side.BUY, "quantity": 100, **terms}),
    )


def test_what_is_left_unsaid_is_market_and_day() -> None:
    terms = check(wanted(), AT.date())
    assert (terms.order_type, terms.time_in_force) == (OrderType.MARKET, TimeInForce.DAY)


@pytest.mark.parametrize(
    "changes",
    [
        {"client_order_id": ""},
        {"client_order_id": " ~" * 32},
        {"symbol": "A"},
        {"symbol": "BRK.B"},
        {"symbol": "BF-B.1234567"},
        {"side": 2},
        {"quantity": 1},
        {"quantity": 10_000_000},
        *({"time_in_force": number} for number in TimeInForce),
        {"order_type": 2, "limit_price_micros": 250_420_000, "time_in_force": 3},
        {"order_type": 2, "limit_price_micros": 100, "time_in_force": 4},
        {"order_type": 2, "limit_price_micros": 100},
        {"order_type": 2, "limit_price_micros": 900_000_000_000, "time_in_force": 2},
        {"order_type": 3, "stop_price_micros": 900_000_000_000},
        {"order_type": 4, "limit_price_micros": 500, "stop_price_micros": 500, "time_in_force": 2},
    ],
)
def test_sound_terms_are_taken(changes: dict[str, Any]) -> None:
    check(wanted(**changes), AT.date())


FAULTS: list[tuple[dict[str, Any], str, str]] = [
    ({"client_order_id": "x" * 65}, "INVALID_CLIENT_ORDER_ID", "client_order_id"),
    ({"client_order_id": "tab\t"}, "INVALID_CLIENT_ORDER_ID", "client_order_id"),
    ({"client_order_id": "nul\0"}, "INVALID_CLIENT_ORDER_ID", "client_order_id"),
    ({"client_order_id": "line\n"}, "INVALID_CLIENT_ORDER_ID", "client_order_id"),
    ({"client_order_id": "naïve"}, "INVALID_CLIENT_ORDER_ID", "client_order_id"),
    ({"client_order_id": "x" * 1_000_000}, "INVALID_CLIENT_ORDER_ID", "client_order_id"),
    ({"symbol": ""}, "INVALID_SYMBOL", "symbol"),
    ({"symbol": "aapl"}, "INVALID_SYMBOL", "symbol"),
    ({"symbol": " AAPL"}, "INVALID_SYMBOL", "symbol"),
    ({"symbol": "AAPL\n"}, "INVALID_SYMBOL", "symbol"),
    ({"symbol": "ABCDEFGHIJKLM"}, "INVALID_SYMBOL", "symbol"),
    ({"symbol": "A" * 1_000_000}, "INVALID_SYMBOL", "symbol"),
    ({"symbol": "ÄAPL"}, "INVALID_SYMBOL", "symbol"),
    ({"symbol": "A;DROP"}, "INVALID_SYMBOL", "symbol"),
    ({"side": 0}, "INVALID_SIDE", "side"),
    ({"side": 3}, "INVALID_SIDE", "side"),
    ({"side": -1}, "INVALID_SIDE", "side"),
    ({"quantity": 0}, "INVALID_QUANTITY", "quantity"),
    ({"quantity": -1}, "INVALID_QUANTITY", "quantity"),
    ({"quantity": 10_000_001}, "INVALID_QUANTITY", "quantity"),
    ({"quantity": 2**31}, "INVALID_QUANTITY", "quantity"),
    ({"quantity": -(2**63)}, "INVALID_QUANTITY", "quantity"),
    ({"order_type": 5}, "INVALID_REQUEST", "order_type"),
    ({"order_type": -1}, "INVALID_REQUEST", "order_type"),
    ({"time_in_force": 5}, "INVALID_REQUEST", "time_in_force"),
    ({"limit_price_micros": 1}, "INVALID_PRICE", "limit_price_micros"),
    ({"stop_price_micros": -1}, "INVALID_PRICE", "stop_price_micros"),
    ({"order_type": 2}, "INVALID_PRICE", "limit_price_micros"),
    ({"order_type": 2, "limit_price_micros": -5}, "INVALID_PRICE", "limit_price_micros"),
    ({"order_type": 2, "limit_price_micros": 2**62}, "INVALID_PRICE", "limit_price_micros"),
    (
        {"order_type": 2, "limit_price_micros": 500, "stop_price_micros": 500},
        "INVALID_PRICE",
        "stop_price_micros",
    ),
    ({"order_type": 2, "limit_price_micros": 1_005_000}, "INVALID_PRICE", "limit_price_micros"),
    ({"order_type": 2, "limit_price_micros": 1_000_100}, "INVALID_PRICE", "limit_price_micros"),
    ({"order_type": 2, "limit_price_micros": 999_950}, "INVALID_PRICE", "limit_price_micros"),
    ({"order_type": 3, "stop_price_micros": 1_000_001}, "INVALID_PRICE", "stop_price_micros"),
    ({"order_type": 3}, "INVALID_PRICE", "stop_price_micros"),
    (
        {"order_type": 3, "stop_price_micros": 500, "time_in_force": 3},
        "INVALID_REQUEST",
        "time_in_force",
    ),
    (
        {"order_type": 3, "stop_price_micros": 500, "time_in_force": 4},
        "INVALID_REQUEST",
        "time_in_force",
    ),
    ({"order_type": 3, "limit_price_micros": 5}, "INVALID_PRICE", "limit_price_micros"),
    ({"order_type": 4, "limit_price_micros": 500}, "INVALID_PRICE", "stop_price_micros"),
    ({"order_type": 4, "stop_price_micros": 5}, "INVALID_PRICE", "limit_price_micros"),
]


@pytest.mark.parametrize(("changes", "reason", "field"), FAULTS)
def test_each_fault_has_its_reason_and_names_its_field(
    changes: dict[str, Any], reason: str, field: str
) -> None:
    with pytest.raises(Invalid) as refusal:
        check(wanted(**changes), AT.date())
    assert (refusal.value.reason_name, refusal.value.field) == (reason, field)
    assert len(refusal.value.text) < 200, "what was sent is not said back"


@pytest.mark.parametrize(
    ("price_micros", "said"),
    [
        (250_425_000, "limit price must be a multiple of $0.01 at that price"),
        (1_000_100, "limit price must be a multiple of $0.01 at that price"),
        (999_950, "limit price must be a multiple of $0.0001 at that price"),
        (0, "limit price must be above $0.00, at most $900,000.00, for this order type"),
    ],
)
def test_what_is_wrong_with_a_price_is_said_in_dollars(price_micros: int, said: str) -> None:
    with pytest.raises(Invalid) as refusal:
        check(wanted(order_type=2, limit_price_micros=price_micros), AT.date())
    assert refusal.value.text == said


@pytest.mark.parametrize(("sent", "meant"), [("aapl", "AAPL"), (" brk.b ", "BRK.B")])
def test_a_symbol_in_lower_case_is_told_what_was_meant(sent: str, meant: str) -> None:
    with pytest.raises(Invalid, match=f"did you mean {meant}"):
        check(wanted(symbol=sent), AT.date())


def test_a_batch_gets_its_sequence_in_the_order_of_the_calls() -> None:
    calls = [a_placement(1, "z"), a_placement(2, "a"), a_placement(3, "m")]
    placing = place(calls, {}, {"alice": 7}, open_gate(AT))

    assert [trade.seq for trade in _trades(placing.answers)] == [8, 9, 10]
    assert [event.trade.client_order_id for event in placing.events] == ["z", "a", "m"]


def test_repeated_calls_get_the_trade_as_first_recorded() -> None:
    first = _trades(place([a_placement(1, "a")], {}, {"alice": 0}, open_gate(AT)).answers)[0]
    filled = replace(
        first, standing=Standing(status=TradeStatus.FILLED, filled_quantity=100), seq=4,
        updated_at=LATER,
    )  # fmt: skip

    calls = [a_placement(2, "a"), a_placement(3, "b"), a_placement(4, "b")]
    placing = place(calls, {("alice", "a"): filled}, {"alice": 4}, open_gate(LATER))

    again, new, new_again = _trades(placing.answers)
    assert again == first == as_placed(filled)
    assert new == new_again
    assert new.trade_id == "t-3"
    assert _seqs(placing.events) == [5]


@pytest.mark.parametrize(
    "terms",
    [
        {"symbol": "MSFT"},
        {"side": Side.SELL},
        {"quantity": 101},
        {"order_type": OrderType.LIMIT},
        {"limit_price_micros": 1},
        {"stop_price_micros": 1},
        {"time_in_force": TimeInForce.GTC},
    ],
)
def test_other_terms_under_the_same_id_are_refused(terms: dict[str, Any]) -> None:
    calls = [a_placement(1, "a"), a_placement(2, "a", **terms), a_placement(3, "b")]
    placing = place(calls, {}, {"alice": 0}, open_gate(AT))

    refusal = placing.answers[1]
    assert isinstance(refusal, AlreadyExists)
    assert refusal.reason_name == "CLIENT_ORDER_ID_REUSED"
    assert _seqs(placing.events) == [1, 2], "a refused call takes no number"


def _trades(answers: list[Trade | Refusal]) -> list[Trade]:
    return [answer for answer in answers if isinstance(answer, Trade)]


def _seqs(events: list[TradeEvent]) -> list[int]:
    return [event.seq for event in events]


def test_the_steps_of_prices_are_those_of_the_day() -> None:
    finer = (*RULES, TickRule(date(2027, 1, 4), ((1_000_000, 5_000), (0, 100))))
    days = (date(2005, 1, 3), date(2027, 1, 3), date(2027, 1, 4), date(2030, 1, 1))
    assert [tick_micros_at(20_000_000, day, finer) for day in days] == [
        10_000,
        10_000,
        5_000,
        5_000,
    ]
    assert [tick_micros_at(500_000, day, finer) for day in days] == 4 * [100]
