"""The book reproduces a real market's order flow, and fast enough."""

import csv
import time

from services.exchange_simulator.book import BUY, SELL, Book, Fill
from tests.exchange_simulator.conditions import COMMANDS, EXCEPTIONS, SEED, needs_data

Command = tuple[str, int, int, int, int]


def read_seed() -> Book:
    book = Book()
    with SEED.open() as lines:
        for row in csv.DictReader(lines):
            assert not book.add(*order_of(row))
    return book


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


def run(book: Book, command: Command) -> list[Fill]:
    kind, order_id, side, price, quantity = command
    if kind == "NEW":
        return book.add(order_id, side, price, quantity)
    if kind == "IOC":
        return book.take(side, quantity, price)
    assert book.reduce(order_id, quantity) if kind == "REDUCE" else book.delete(order_id)
    return []


@needs_data
def test_the_real_order_flow_gives_the_real_fills_and_the_real_top_of_book() -> None:
    """Where history itself broke priority (the exceptions) the strict fills are given; then the
    book is set to what really happened."""
    with EXCEPTIONS.open() as lines:
        exceptions = {row["row"]: row for row in csv.DictReader(lines)}
    book, fills_seen = read_seed(), 0
    for row in read_rows():
        exception = exceptions.pop(row["row"], None)
        expected = exception["strict_price_time_fills"] if exception else row["expected_fills"]
        assert exception or row["strict_fifo"] != "0"
        book.begin()

        fills = [
            (fill.order.order_id, fill.quantity, fill.price)
            for fill in run(book, (row["cmd"], *order_of(row)))
        ]

        assert fills == fills_from(expected), row
        fills_seen += len(fills)
        if exception:
            book.rollback()
            for order_id, quantity, _ in fills_from(exception["historical_fills"]):
                assert book.reduce(order_id, quantity)
        bid, ask = book.bids.best(), book.asks.best()
        assert bid is not None
        assert ask is not None
        top = [bid.price, bid.quantity, ask.price, ask.quantity]
        columns = ("bid_after", "bidqty_after", "ask_after", "askqty_after")
        assert top == [int(row[column]) for column in columns], row
    assert not exceptions
    assert fills_seen == 1222


@needs_data
def test_the_core_takes_80_000_commands_a_second_of_one_core() -> None:
    commands: list[Command] = [(row["cmd"], *order_of(row)) for row in read_rows()]
    books = [read_seed() for _ in range(3)]

    seconds = []
    for book in books:
        began = time.process_time()
        for kind, order_id, side, price, quantity in commands:
            if kind == "NEW":
                book.add(order_id, side, price, quantity)
            elif kind == "IOC":
                book.take(side, quantity, price)
            elif kind == "REDUCE":
                book.reduce(order_id, quantity)
            else:
                book.delete(order_id)
        seconds.append(time.process_time() - began)

    assert len(commands) / min(seconds) >= 80_000
