"""Who trades first after cancels and replaces: an order that only shrinks keeps its place."""

from collections.abc import Callable
from typing import Any

import pytest

from services.exchange_simulator.book import BUY, SELL
from services.exchange_simulator.main import Settings, house
from services.exchange_simulator.matching import Traded
from stockbroker.exchange.v1 import exchange_control_service_pb2 as control
from stockbroker.exchange.v1 import exchange_pb2 as pb
from tests.exchange_simulator.conditions import needs_data
from tests.exchange_simulator.member import TRADE, Exchange, Member, a_cancel, a_limit, a_replace
from tests.exchange_simulator.others import DOLLAR, do, load, resting, step
from tests.exchange_simulator.test_known_cases import Case, Step, cases
from tests.exchange_simulator.tickets import limit
from tests.support.keys import Keys
from tests.support.wait import until

MakeSettings = Callable[..., Settings]
AT_ONCE = control.TapeCommand.KIND_IOC
MORE = 7


class Shrinking(Case):
    """Whatever rests came larger, and was replaced by what it is, with everybody behind it."""

    def add(self, step: Step) -> None:
        name = step["order"]
        price, quantity = self.orders[name]["price"], self.orders[name]["qty"]
        side = BUY if self.orders[name]["side"] == "BUY" else SELL
        if not price or self.book.offer(side, 1, price).quantity:
            super().add(step)
            return
        order_id = self.ids[name]
        events = self.matcher.enter(limit(order_id, side, quantity + MORE, price))
        behind = 1_000_000 + order_id
        events += self.matcher.enter(limit(behind, side, 1, price))
        shrunk = self.matcher.replace(order_id, quantity)
        self.matcher.cancel(behind)
        assert shrunk == []
        assert not [event for event in events if isinstance(event, Traded)]
        assert not step["expect_match"]


@needs_data
@pytest.mark.parametrize("case", cases())
def test_a_known_case_goes_the_same_when_orders_shrink_to_what_they_are(
    case: dict[str, Any],
) -> None:
    in_progress = Shrinking(case["orders"])
    for each in case["steps"]:
        getattr(in_progress, each["op"])(each)


async def who_trades(
    exchange: Exchange, member: Member, orders: dict[str, pb.NewOrder], order_id: int
) -> str:
    """Whose order gets one more share sold into the book."""
    before = {name: len(member.reports_of(order)) for name, order in orders.items()}
    await do(exchange, step(AT_ONCE, resting(order_id, 90, 1)))
    await member.ask(a_cancel(a_limit(DOLLAR)))  # answered after what the sale brought
    (name,) = (
        name for name, order in orders.items() if len(member.reports_of(order)) > before[name]
    )
    assert member.reports_of(orders[name])[-1].exec_type == TRADE
    return name


async def test_places_are_kept_and_lost_as_documented_and_outlive_a_restart(
    settings: MakeSettings, keys: Keys
) -> None:
    orders = {
        name: a_limit(100 * DOLLAR, quantity=10, time_in_force=pb.TIME_IN_FORCE_GTC)
        for name in ("partly", "same", "shrunk", "grown", "away and back")
    }
    async with house(settings()) as rpc, Exchange(rpc.address, keys) as exchange:
        await exchange.ready()
        await load(exchange)
        async with exchange.member() as member:
            for order in orders.values():
                await member.rest(order)
            await do(exchange, step(AT_ONCE, resting(1, 100, 8)))
            await member.ask(a_replace(orders["grown"], 11))
            away = orders["away and back"]
            await member.ask(a_replace(away, 10, limit=99 * DOLLAR))
            await member.ask(a_replace(away, 10, limit=100 * DOLLAR))
            await member.ask(a_replace(orders["shrunk"], 1))
            await member.ask(a_replace(orders["same"], 10, limit=100 * DOLLAR))
            await member.ask(a_replace(orders["partly"], 9))  # of which 8 are filled
            last = len(member.reports)

    async with house(settings()) as rpc, Exchange(rpc.address, keys) as exchange:
        await exchange.ready()
        await load(exchange)
        async with exchange.member() as member:
            await until(lambda: len(member.reports) == last)  # told again: never acknowledged
            turn = [await who_trades(exchange, member, orders, 100 + n) for n in range(12)]
            await member.ask(a_cancel(orders["grown"]))
            turn.append(await who_trades(exchange, member, orders, 200))

    assert turn[0] == "partly", "its one share"
    assert turn[1:11] == ["same"] * 10
    assert turn[11] == "shrunk"
    assert turn[12] == "away and back", "behind what had grown before it, which is canceled"
