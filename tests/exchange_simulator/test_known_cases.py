"""The matching core goes as others do in the transcribed cases of a known suite.

Left out are the cases in which a market order waits on the book: here nothing of one ever rests.
"""

import json
from typing import Any

import pytest

from services.exchange_simulator.book import BUY, SELL
from services.exchange_simulator.matching import Matcher, Traded
from tests.exchange_simulator.conditions import CASES, needs_data
from tests.exchange_simulator.tickets import fills_of, limit, market

Step = dict[str, Any]


class Case:
    """One case in progress. Orders go by name; price 0 is a market order."""

    def __init__(self, orders: dict[str, dict[str, Any]]) -> None:
        self.matcher = Matcher()
        self.book = self.matcher.book
        self.orders = orders
        self.ids = {name: number for number, name in enumerate(orders, start=1)}
        self.names = {number: name for name, number in self.ids.items()}
        self.canceled: set[str] = set()
        self.filled = {name: [0, 0] for name in orders}

    def add(self, step: Step) -> None:
        name = step["order"]
        price, quantity = self.orders[name]["price"], self.orders[name]["qty"]
        side = BUY if self.orders[name]["side"] == "BUY" else SELL
        order_id = self.ids[name]
        ticket = (
            limit(order_id, side, quantity, price) if price else market(order_id, side, quantity)
        )
        traded = [event for event in self.matcher.enter(ticket) if isinstance(event, Traded)]
        fills = [fill for event in traded for fill in fills_of(event.fills)]
        for resting_id, shares, at in fills:
            for party in (name, self.names[resting_id]):
                self.filled[party][0] += shares
                self.filled[party][1] += shares * at
        assert bool(fills) == step["expect_match"]
        taken = sum(shares for _, shares, _ in fills)
        assert (taken == quantity) == step["expect_complete"]

    def cancel(self, step: Step) -> None:
        if self.matcher.cancel(self.ids[step["order"]]):
            self.canceled.add(step["order"])
        assert (step["order"] in self.canceled) == (step["expect_state"] == "cancelled")

    def expect_count(self, step: Step) -> None:
        assert len(list(self.book.orders(self._side(step)))) == step["n"]

    def expect_depth(self, step: Step) -> None:
        """The best levels; zeros are the suite's word for no such level."""
        for half, levels in ((self.book.bids, step["bids"]), (self.book.asks, step["asks"])):
            found = [(v.price, v.orders, v.quantity) for v in half.best_first()]
            found += [(0, 0, 0)] * len(levels)
            expected = [(v["price"], v["orders"], v["qty"]) for v in levels]
            assert found[: len(expected)] == expected

    def expect_fills_since_scope(self, step: Step) -> None:
        for fill in step["fills"]:
            expected = [fill["filled_qty"], fill["filled_cost"]]
            assert self.filled[fill["order"]] == expected
        self.filled = {name: [0, 0] for name in self.orders}

    def expect_first(self, step: Step) -> None:
        assert next(self.book.orders(self._side(step))).order_id == self.ids[step["order"]]

    def expect_first_open(self, step: Step) -> None:
        assert next(self.book.orders(self._side(step))).quantity == step["qty"]

    def _side(self, step: Step) -> int:
        return BUY if step["side"] == "bids" else SELL


def rests_a_market_order(case: dict[str, Any]) -> bool:
    return any(
        case["orders"][step["order"]]["price"] == 0 and not step["expect_complete"]
        for step in case["steps"]
        if step["op"] == "add"
    )


def cases() -> list[Any]:
    known = json.loads(CASES.read_text())["cases"] if CASES.exists() else []
    return [pytest.param(case, id=case["case"]) for case in known if not rests_a_market_order(case)]


@needs_data
@pytest.mark.parametrize("case", cases())
def test_a_known_case_goes_as_in_other_books(case: dict[str, Any]) -> None:
    in_progress = Case(case["orders"])
    for step in case["steps"]:
        getattr(in_progress, step["op"])(step)
