"""The benchmark's own judgement: the figures of a run that is not sound are refused."""

import asyncio

import pytest

from bench.callers import BatchDoor, Customers, Run, UnaryDoor
from bench.judging import NotTrue, filled_at
from tests.order.test_placing import rows
from tests.support.house import House
from tests.support.wait import until

pytestmark = pytest.mark.xdist_group("house")


async def _anytime() -> None:
    """Let through at once."""


async def _settled(house: House, run: Run) -> dict[str, float]:
    """When each was filled, once none is open."""
    url = house.database_url("order")

    async def is_settled() -> bool:
        trade_ids = ", ".join(f"'{each}'" for each in run.due)
        return not await rows(url, f"SELECT FROM open_trade WHERE trade_id IN ({trade_ids})")

    await until(is_settled, seconds=60)
    return await filled_at(url, run)


async def test_what_both_doors_place_is_found_filled_and_what_is_missing_is_told(
    house: House,
) -> None:
    customers = Customers(str(house.folder / "keys" / "signing.pem"), 20)
    await asyncio.gather(*(house.endow(each, cash=10**13) for each in customers.ids))
    address = house.service_address("order")
    unary, batches = UnaryDoor([address], customers, callers=4), BatchDoor([address], customers)

    closed = await batches.run(0.05, _anytime)
    filled = await _settled(house, closed)
    assert filled.keys() == closed.due.keys()
    assert all(filled[trade_id] >= due for trade_id, due in closed.due.items())

    for door in (unary, batches):
        paced = await door.paced(0.5, 20)
        assert len(await _settled(house, paced)) == 10 == len(paced.ack_seconds)
        paced.due.popitem()
        with pytest.raises(NotTrue, match="9 trades were answered, 10 are recorded"):
            await _settled(house, paced)
    await unary.close()
    await batches.close()
