"""A real quarter of an hour of AAPL, every order of it a member's, over the session."""

import csv
from collections.abc import Iterator
from pathlib import Path

from stockbroker.exchange.v1 import exchange_pb2 as pb
from tests.exchange_simulator.conditions import COMMANDS, EXCEPTIONS, SEED, needs_data
from tests.exchange_simulator.member import (
    TRADE,
    Command,
    Exchange,
    Member,
    a_cancel,
    a_limit,
    a_replace,
)
from tests.exchange_simulator.others import load
from tests.support.wait import until

TIMES = {
    "NEW": pb.TIME_IN_FORCE_DAY,
    "IOC": pb.TIME_IN_FORCE_IOC,
}
# An order, the shares that traded, and the price in micros.
Told = tuple[str, int, int]


class Flow:
    """The members' commands, and the fills that both sides of each trade are to be told."""

    def __init__(self) -> None:
        self.expected: list[Told] = []
        self._orders: dict[str, pb.NewOrder] = {}

    def seed(self) -> Iterator[Command]:
        """The orders that rested before."""
        for row in _rows(SEED):
            yield self._order(row, pb.TIME_IN_FORCE_GTC)

    def commands(self) -> Iterator[Command]:
        """What was done then. Where history itself broke priority, what came of it is done."""
        exceptions = {row["row"]: row for row in _rows(EXCEPTIONS)}
        for row in _rows(COMMANDS):
            exception = exceptions.get(row["row"])
            if exception is not None:
                for order_id, quantity, _ in _fills(exception["historical_fills"]):
                    yield self._less(order_id, quantity)
                continue
            for order_id, quantity, price in _fills(row["expected_fills"]):
                self.expected += [(row["order_id"], quantity, price), (order_id, quantity, price)]
            yield self._command(row)

    def _command(self, row: dict[str, str]) -> Command:
        if row["cmd"] in TIMES:
            return self._order(row, TIMES[row["cmd"]])
        if row["cmd"] == "REDUCE":
            return self._less(row["order_id"], int(row["qty"]))
        return a_cancel(self._orders[row["order_id"]])

    def _order(self, row: dict[str, str], tif: pb.TimeInForce.ValueType) -> pb.NewOrder:
        order = a_limit(
            int(row["price_e4"]) * 100,
            client_order_id=row["order_id"],
            side=pb.SIDE_BUY if row["side"] == "B" else pb.SIDE_SELL,
            quantity=int(row["qty"]),
            time_in_force=tif,
        )
        self._orders[order.client_order_id] = order
        return order

    def _less(self, order_id: str, quantity: int) -> Command:
        order = self._orders[order_id]
        if quantity == order.quantity:
            return a_cancel(order)
        less = pb.NewOrder()
        less.CopyFrom(order)
        less.quantity -= quantity
        self._orders[order_id] = less
        return a_replace(order, less.quantity)


def _rows(path: Path) -> Iterator[dict[str, str]]:
    with path.open() as lines:
        yield from csv.DictReader(lines)


def _fills(text: str) -> Iterator[Told]:
    for fill in filter(None, text.split("|")):
        order_id, _, traded = fill.partition(":")
        quantity, _, price = traded.partition("@")
        yield order_id, int(quantity), int(price) * 100


@needs_data
async def test_the_real_order_flow_gives_members_the_real_fills_row_by_row(
    exchange: Exchange, member: Member
) -> None:
    await load(exchange)
    flow = Flow()
    commands = [*flow.seed(), *flow.commands()]

    for first in range(0, len(commands), 1000):
        member.send(*commands[first : first + 1000])
        await until(lambda: member.kept_seq == member.next_command_seq - 1)
    await member.ask(a_cancel(a_limit(1)))  # its answer comes after all others
    told = [r for r in member.reports if r.exec_type == TRADE]
    fills = [(r.client_order_id, r.last_quantity, r.last_price_micros) for r in told]
    assert fills == flow.expected
    assert len(told) > 2400
    answers = [r.command_seq for r in member.reports if r.command_seq]
    asked = [n for n, c in enumerate(commands, 1) if not isinstance(c, pb.NewOrder)]
    assert sorted(answers) == [*asked, len(commands) + 1]
    last = list(_rows(COMMANDS))[-1]
    bids, asks = await exchange.levels("AAPL")
    assert bids[0] == (int(last["bid_after"]) * 100, int(last["bidqty_after"]))
    assert asks[0] == (int(last["ask_after"]) * 100, int(last["askqty_after"]))
