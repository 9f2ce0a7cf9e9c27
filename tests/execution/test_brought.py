"""What the gateway was brought of cancels and replaces: none is lost, none brought too often."""

from services.execution.domain.brought import Brought
from services.execution.domain.trade import OpenCustomer

TRADE, CUSTOMER = "trade-1", "alice"


def brought() -> Brought:
    """A cancel of a trade, brought under epoch 1 at second 100."""
    found = Brought(again_after_seconds=5)
    assert not found.note(TRADE, "c-1", 1, 100.0)
    return found


def asked(customer_id: str, *, is_taken_up: bool = True) -> OpenCustomer:
    """Something is asked of a trade of the customer's."""
    return OpenCustomer(customer_id, 0, TRADE, is_taken_up=is_taken_up)


def test_the_same_request_is_brought_again_only_after_a_while() -> None:
    assert brought().has(TRADE, "c-1", 1, 104.9)
    assert not brought().has(TRADE, "c-1", 1, 105.0)
    assert brought().to_bring({TRADE: asked(CUSTOMER)}, 104.9) == []
    assert brought().to_bring({TRADE: asked(CUSTOMER)}, 105.0) == [CUSTOMER]


def test_what_nobody_has_taken_up_yet_is_brought_at_once() -> None:
    assert brought().to_bring({TRADE: asked(CUSTOMER, is_taken_up=False)}, 100.1) == [CUSTOMER]


def test_another_request_and_another_epoch_are_brought_at_once() -> None:
    for trade_id, request_id, epoch in (
        ("trade-2", "c-1", 1),
        (TRADE, "c-2", 1),
        (TRADE, "c-1", 2),
    ):
        assert not brought().has(trade_id, request_id, epoch, 100.0)
        assert not brought().note(trade_id, request_id, epoch, 100.0), "there is no doubt of it"


def test_a_request_that_is_brought_a_second_time_was_not_answered() -> None:
    found = brought()
    assert found.note(TRADE, "c-1", 1, 105.0)
    assert found.has(TRADE, "c-1", 1, 109.0)


def test_who_waits_with_several_is_brought_once_and_what_is_answered_is_forgotten() -> None:
    found = brought()
    customers = {TRADE: CUSTOMER, "trade-2": CUSTOMER, "trade-3": "bob"}
    open_requests = {trade_id: asked(customer) for trade_id, customer in customers.items()}
    assert found.to_bring(open_requests, 106.0) == [CUSTOMER, "bob"]
    assert found.to_bring({}, 106.0) == []
    assert not found.note(TRADE, "c-1", 1, 106.0)
