"""GetTrade, ListTrades, ListTradeEvents, CancelTrade, ReplaceTrade: what is shown, and to whom."""

import asyncio
from typing import Any

from stockbroker.common.v1.reason_pb2 import Reason
from stockbroker.order.v1 import order_execution_service_pb2 as execution_pb
from stockbroker.order.v1 import order_service_pb2 as pb
from stockbroker.order.v1.order_pb2 import TradeEventKind as Kind
from stockbroker.order.v1.order_pb2 import TradeStatus as Status
from tests.order.client import Order, accepted, canceled, filled, refused, rejected, seqs
from tests.order.conftest import MakeHouse

UNKNOWN_ID = "019aa000-0000-7000-8000-000000000001"
NOT_FOUND = ("NOT_FOUND", "TRADE_NOT_FOUND")


async def all_pages(order: Order, customer: str, **changes: Any) -> list[list[str]]:
    """The trade ids of every page."""
    pages: list[list[str]] = []
    token = ""
    while not pages or token:
        page = await order.page(customer, page_token=token, **changes)
        pages.append([trade.trade_id for trade in page.trades])
        token = page.next_page_token
    return pages


async def test_a_trade_is_found_by_either_id(order: Order) -> None:
    trade = await order.place("alice", client_order_id="mine")
    for request in (
        pb.GetTradeRequest(trade_id=trade.trade_id),
        pb.GetTradeRequest(client_order_id="mine"),
    ):
        answer = await order.trades.GetTrade(request, **order.as_customer("alice"))
        assert answer.trade == trade


async def test_another_customers_trade_looks_like_no_trade_at_all(order: Order) -> None:
    trade = await order.place("alice", client_order_id="mine")
    told = set()
    for trade_id in (trade.trade_id, UNKNOWN_ID):
        for method, request in (
            (order.trades.GetTrade, pb.GetTradeRequest(trade_id=trade_id)),
            (order.trades.ListTradeEvents, pb.ListTradeEventsRequest(trade_id=trade_id)),
            (order.trades.CancelTrade, pb.CancelTradeRequest(trade_id=trade_id)),
            (order.trades.ReplaceTrade, pb.ReplaceTradeRequest(trade_id=trade_id, quantity=1)),
        ):
            call = method(request, **order.as_customer("mallory"))
            assert await refused(call) == NOT_FOUND
            told.add((await call.details(), *map(tuple, await call.trailing_metadata())))
    assert len(told) == 1, "the words are the same to the last byte"

    request = pb.GetTradeRequest(client_order_id="mine")
    call = order.trades.GetTrade(request, **order.as_customer("mallory"))
    assert await refused(call) == NOT_FOUND
    assert not (await order.page("mallory")).trades


NO_IDS: list[tuple[dict[str, str], str]] = [
    ({}, "INVALID_ID"),
    ({"trade_id": ""}, "INVALID_ID"),
    ({"trade_id": "1"}, "INVALID_ID"),
    ({"trade_id": UNKNOWN_ID.upper()}, "INVALID_ID"),
    ({"trade_id": "{" + UNKNOWN_ID + "}"}, "INVALID_ID"),
    ({"trade_id": "\0" * 36}, "INVALID_ID"),
    ({"trade_id": "x" * 1_000_000}, "INVALID_ID"),
    ({"client_order_id": ""}, "INVALID_CLIENT_ORDER_ID"),
    ({"client_order_id": "\0"}, "INVALID_CLIENT_ORDER_ID"),
    ({"client_order_id": "x" * 65}, "INVALID_CLIENT_ORDER_ID"),
]


async def test_an_id_that_cannot_be_one_is_invalid(order: Order) -> None:
    for ids, reason in NO_IDS:
        call = order.trades.GetTrade(pb.GetTradeRequest(**ids), **order.as_customer("alice"))
        assert await refused(call) == ("INVALID_ARGUMENT", reason)


async def test_operators_read_any_trade_by_its_id_and_list_none(order: Order) -> None:
    trade = await order.place("alice", client_order_id="mine")
    operator = order.as_operator()

    found = await order.trades.GetTrade(pb.GetTradeRequest(trade_id=trade.trade_id), **operator)
    assert found.trade == trade
    request = pb.ListTradeEventsRequest(trade_id=trade.trade_id)
    assert len((await order.trades.ListTradeEvents(request, **operator)).events) == 1

    call = order.trades.GetTrade(pb.GetTradeRequest(client_order_id="mine"), **operator)
    assert await refused(call) == ("INVALID_ARGUMENT", "INVALID_ID")
    for method, refused_request in (
        (order.trades.ListTrades, pb.ListTradesRequest()),
        (order.trades.WatchTrades, pb.WatchTradesRequest()),
    ):
        call = method(refused_request, **operator)
        assert await refused(call) == ("PERMISSION_DENIED", "PERMISSION_DENIED")


async def test_nobody_but_services_takes_trades_up(order: Order) -> None:
    for caller in (order.as_customer("alice"), order.as_operator()):
        for method in ("LeadPartitions", "ClaimTrades", "ListOpenCustomers", "ApplyOutcomes"):
            stub = getattr(order.execution, method)
            request = getattr(execution_pb, f"{method}Request")()
            assert (await refused(stub(request, **caller)))[0] == "PERMISSION_DENIED"


async def test_trades_are_listed_newest_first_in_the_order_placed(order: Order) -> None:
    placed = [(await order.place("alice")).trade_id for _ in range(7)]
    await order.place("bob")

    assert await all_pages(order, "alice") == [placed[::-1]]
    pages = await all_pages(order, "alice", page_size=3)
    assert [len(page) for page in pages] == [3, 3, 1]
    assert [trade_id for page in pages for trade_id in page] == placed[::-1]
    assert await all_pages(order, "alice", page_size=7) == [placed[::-1]]
    assert await all_pages(order, "nobody") == [[]]


async def test_a_list_keeps_its_place_while_trades_are_placed(order: Order) -> None:
    placed = [(await order.place("alice")).trade_id for _ in range(4)]
    first = await order.page("alice", page_size=2)
    await order.place("alice")
    second = await order.page("alice", page_size=2, page_token=first.next_page_token)
    assert [trade.trade_id for trade in second.trades] == placed[1::-1]


async def test_a_list_shows_what_the_filters_name(order: Order) -> None:
    apple = await order.place("alice", symbol="AAPL")
    await order.place("alice", symbol="MSFT")
    await order.claim_as_leader("alice")
    await order.apply(rejected(apple.trade_id))

    async def shown(**filters: Any) -> list[str]:
        return [trade.symbol for trade in (await order.page("alice", **filters)).trades]

    assert await shown(statuses=[Status.TRADE_STATUS_REJECTED]) == ["AAPL"]
    assert await shown(statuses=[Status.TRADE_STATUS_PLACED]) == ["MSFT"]
    both = [Status.TRADE_STATUS_PLACED, Status.TRADE_STATUS_REJECTED]
    assert await shown(statuses=both) == ["MSFT", "AAPL"]
    assert await shown(symbol="AAPL") == ["AAPL"]
    assert await shown(symbol="AAPL", statuses=[Status.TRADE_STATUS_PLACED]) == []
    assert await shown(symbol="ZZZZ") == []


NO_LISTS: list[tuple[dict[str, Any], str]] = [
    ({"statuses": [Status.TRADE_STATUS_UNSPECIFIED]}, "INVALID_REQUEST"),
    ({"statuses": [99]}, "INVALID_REQUEST"),
    ({"symbol": "aapl"}, "INVALID_SYMBOL"),
    ({"symbol": "\0"}, "INVALID_SYMBOL"),
    ({"page_size": -1}, "INVALID_PAGE_SIZE"),
    ({"page_size": 1001}, "INVALID_PAGE_SIZE"),
    ({"page_size": 2**31 - 1}, "INVALID_PAGE_SIZE"),
    ({"page_token": "x"}, "INVALID_PAGE_TOKEN"),
    ({"page_token": "é"}, "INVALID_PAGE_TOKEN"),
    ({"page_token": "A" * 43}, "INVALID_PAGE_TOKEN"),
    ({"page_token": "x" * 1_000_000}, "INVALID_PAGE_TOKEN"),
]


async def test_a_list_that_cannot_be_is_invalid(order: Order) -> None:
    for filters, reason in NO_LISTS:
        assert await refused(order.page("alice", **filters)) == ("INVALID_ARGUMENT", reason)


async def test_a_page_token_is_good_for_its_customer_and_its_filters_alone(order: Order) -> None:
    for customer in ("alice", "bob"):
        for _ in range(3):
            await order.place(customer)
    token = (await order.page("alice", page_size=1, symbol="AAPL")).next_page_token

    assert (await order.page("alice", page_token=token, symbol="AAPL")).trades
    invalid = ("INVALID_ARGUMENT", "INVALID_PAGE_TOKEN")
    for customer, changes in (
        ("bob", {"symbol": "AAPL"}),
        ("alice", {}),
        ("alice", {"symbol": "MSFT"}),
        ("alice", {"symbol": "AAPL", "statuses": [Status.TRADE_STATUS_PLACED]}),
    ):
        assert await refused(order.page(customer, page_token=token, **changes)) == invalid
    for position in range(len(token)):
        forged = token[:position] + ("A" if token[position] != "A" else "B") + token[position + 1 :]
        assert await refused(order.page("alice", page_token=forged, symbol="AAPL")) == invalid


async def test_a_page_token_is_good_at_every_process_and_after_a_restart(
    make_house: MakeHouse,
) -> None:
    async with make_house() as order:
        placed = [(await order.place("alice")).trade_id for _ in range(2)]
        token = (await order.page("alice", page_size=1)).next_page_token
    async with make_house() as order:
        page = await order.page("alice", page_token=token)
    assert [trade.trade_id for trade in page.trades] == placed[:1]


async def test_a_trades_story_is_told_whole_and_oldest_first(order: Order) -> None:
    trade = await order.place("alice")
    others = [await order.place("alice") for _ in range(3)]
    await order.claim_as_leader("alice")
    await order.apply(
        accepted(trade.trade_id, "X-9"),
        filled(trade.trade_id, 30, 10_000_001, execution_id="e-1"),
        filled(trade.trade_id, 20, 10_000_002, execution_id="e-2"),
        canceled(trade.trade_id),
    )

    events = await order.events("alice", trade.trade_id)
    assert [event.kind for event in events] == [
        Kind.TRADE_EVENT_KIND_PLACED,
        Kind.TRADE_EVENT_KIND_STARTED,
        Kind.TRADE_EVENT_KIND_ACCEPTED,
        Kind.TRADE_EVENT_KIND_EXECUTED,
        Kind.TRADE_EVENT_KIND_EXECUTED,
        Kind.TRADE_EVENT_KIND_CANCELED,
    ]
    assert seqs(events) == [1, 5, 6, 7, 8, 9]
    assert [event.cause for event in events] == ["customer", "house", *["exchange"] * 4]
    assert [event.trade.filled_quantity for event in events] == [0, 0, 0, 30, 50, 50]
    assert [event.execution.execution_id for event in events] == ["", "", "", "e-1", "e-2", ""]
    assert all(event.trade.seq == event.seq for event in events)
    assert events[0].trade == trade

    last = events[-1].trade
    assert last == await order.get("alice", trade.trade_id)
    assert last.filled_notional_micros == 30 * 10_000_001 + 20 * 10_000_002
    assert last.average_price_micros == 10_000_001
    assert last.exchange_order_id == "X-9"
    assert (last.status, last.reason) == (
        Status.TRADE_STATUS_CANCELED,
        Reason.REASON_NO_LIQUIDITY,
    )
    assert events[4].execution.executed_at.nanos == 123_456_000
    for other in others:
        assert len(await order.events("alice", other.trade_id)) == 1


async def test_other_terms_that_cannot_be_are_refused_and_change_nothing(order: Order) -> None:
    trade = await order.place("alice")
    alice = order.as_customer("alice")

    replace = pb.ReplaceTradeRequest(trade_id=trade.trade_id, quantity=5)
    not_at_the_market = ("FAILED_PRECONDITION", "NOT_REPLACEABLE")
    assert await refused(order.trades.ReplaceTrade(replace, **alice)) == not_at_the_market
    assert await order.get("alice", trade.trade_id) == trade

    for changes, reason in (
        ({"quantity": -1}, "INVALID_QUANTITY"),
        ({"quantity": 1, "limit_price_micros": -1}, "INVALID_PRICE"),
        ({"quantity": 1, "client_order_id": "x" * 65}, "INVALID_CLIENT_ORDER_ID"),
    ):
        request = pb.ReplaceTradeRequest(trade_id=trade.trade_id, **changes)
        call = order.trades.ReplaceTrade(request, **alice)
        assert await refused(call) == ("INVALID_ARGUMENT", reason)
    call = order.trades.CancelTrade(pb.CancelTradeRequest(trade_id="x"), **alice)
    assert await refused(call) == ("INVALID_ARGUMENT", "INVALID_ID")


async def test_many_lists_at_once_do_not_hinder_each_other(order: Order) -> None:
    for number in range(5):
        await order.place(f"c{number}")
    pages = await asyncio.gather(*(order.page(f"c{number % 5}") for number in range(100)))
    assert all(len(page.trades) == 1 for page in pages)
