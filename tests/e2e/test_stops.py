"""Stops that the exchange waits with, on the whole running house."""

import pytest

from tests.e2e import stops
from tests.e2e.changing import a_scene
from tests.support.house import House

pytestmark = pytest.mark.xdist_group("house")


async def test_a_stop_waits_for_its_price_and_then_sells(house: House) -> None:
    async with a_scene(house) as scene:
        await stops.sells_once_its_price_trades(scene, by_house=False)


async def test_a_stop_to_buy_is_replaced_by_one_that_costs_more(house: House) -> None:
    async with a_scene(house) as scene:
        await stops.is_replaced_and_holds_what_it_may_cost(scene)
