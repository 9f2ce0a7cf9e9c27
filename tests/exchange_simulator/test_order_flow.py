"""The matching core reproduces a real market's order flow, and fast enough."""

import csv
import time

from services.exchange_simulator.book import BUY, SELL
from services.exchange_simulator.domain import Ticket
from services.exchange_simulator.matching import Matcher, Traded
from tests.exchange_simulator.conditions import COMMANDS, EXCEPTIONS, SEED, needs_data
from tests.exchange_simulator.tickets import DAY, GTC, IOC, fills_of, limit, stop

TIMES = {"NEW": DAY, "IOC": IOC}
# What happens, to which order, how many shares, and the terms of a new order.
Command = tuple[str, int, int, Ticket | None]


def read_seed() -> Matcher:
    matcher = Matcher()
    with SEED.open() as lines:
        for row in csv.DictReader(lines):
            order_id, side, price, quantity = order_of(row)
            assert not matcher.enter(limit(order_id, side, quantity, price, GTC))
    return matcher


def order_of(row: dict[str, str]) -> tuple[int, int, int, int]:
    side = BUY if row["side"] == "B" else SELL
    return int(row["order_id"], 36), side, int(row["price_e4"]), int(row["qty"])


def read_rows() -> list[dict[str, str]]:
    with COMMANDS.open() as lines:
        return list(csv.DictReader(lines))


def fills_from(text: str) -> list[tuple[int, int, int]]:
    """`id:quantity@price|...` of the files."""
    fills = []
    for fill in filter(None, text.split("|")):
        order_id, _, traded = fill.partition(":")
        quantity, _, price = traded.partition("@")
        fills.append((int(order_id, 36), int(quantity), int(price)))
    return fills


def command_of(row: dict[str, str]) -> Command:
    kind, (order_id, side, price, quantity) = row["cmd"], order_of(row)
    is_new = kind in TIMES
    ticket = limit(order_id, side, quantity, price, TIMES[kind]) if is_new else None
    return kind, order_id, quantity, ticket


def run(matcher: Matcher, command: Command) -> list[tuple[int, int, int]]:
    kind, order_id, quantity, ticket = command
    if ticket is not None:
        traded = [event for event in matcher.enter(ticket) if isinstance(event, Traded)]
        return [fill for event in traded for fill in fills_of(event.fills)]
    assert matcher.reduce(order_id, quantity) if kind == "REDUCE" else matcher.cancel(order_id)
    return []


@needs_data
def test_the_real_order_flow_gives_the_real_fills_and_the_real_top_of_book() -> None:
    """Where history itself broke priority (the exceptions) the strict fills are given; then the
    book is set to what really happened."""
    with EXCEPTIONS.open() as lines:
        exceptions = {row["row"]: row for row in csv.DictReader(lines)}
    matcher, fills_seen = read_seed(), 0
    for row in read_rows():
        exception = exceptions.pop(row["row"], None)
        expected = exception["strict_price_time_fills"] if exception else row["expected_fills"]
        assert exception or row["strict_fifo"] != "0"
        matcher.begin()

        fills = run(matcher, command_of(row))

        assert fills == fills_from(expected), row
        fills_seen += len(fills)
        if exception:
            matcher.rollback()
            for order_id, quantity, _ in fills_from(exception["historical_fills"]):
                assert matcher.reduce(order_id, quantity)
        bid, ask = matcher.book.bids.best(), matcher.book.asks.best()
        assert bid is not None
        assert ask is not None
        top = [bid.price, bid.quantity, ask.price, ask.quantity]
        columns = ("bid_after", "bidqty_after", "ask_after", "askqty_after")
        assert top == [int(row[column]) for column in columns], row
    assert not exceptions
    assert fills_seen == 1222


@needs_data
def test_the_core_takes_80_000_commands_a_second_of_one_core() -> None:
    commands = [command_of(row) for row in read_rows()]
    matchers = [read_seed() for _ in range(3)]
    for matcher in matchers:
        for number in range(1, 1001):  # far away, where no trade comes
            assert not matcher.enter(stop(-number, BUY, 100, 7_000_000 + number))

    seconds = []
    for matcher in matchers:
        began = time.process_time()
        for kind, order_id, quantity, ticket in commands:
            if ticket is not None:
                matcher.enter(ticket)
            elif kind == "REDUCE":
                matcher.reduce(order_id, quantity)
            else:
                matcher.cancel(order_id)
        seconds.append(time.process_time() - began)

    assert len(commands) / min(seconds) >= 80_000
