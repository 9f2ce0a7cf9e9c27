"""Real workers on a real order service, PostgreSQL and NATS: they come, go, die and stand still."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from pathlib import Path
from signal import SIGCONT, SIGKILL, SIGSTOP, SIGTERM

import pytest

from services.execution.main import Settings
from services.order.database import MIGRATIONS
from tests.execution.desk import eventually
from tests.execution.fakes import Street
from tests.execution.floor import Floor
from tests.support.keys import Keys

CUSTOMERS = [f"customer-{number}" for number in range(12)]


@pytest.fixture
async def floor(
    keys: Keys,
    neighbours: Street,
    nats_url: str,
    new_database: Callable[..., str],
    new_settings: Callable[..., Settings],
) -> AsyncIterator[Floor]:
    """A floor without workers."""
    async with AsyncExitStack() as stack:
        floor = Floor(keys, neighbours, nats_url, new_database(MIGRATIONS), new_settings)
        yield await stack.enter_async_context(floor)


async def trading(floor: Floor, stop: asyncio.Event) -> None:
    """Customers place trades until they are told to stop."""
    while not stop.is_set():
        await asyncio.gather(*(floor.place(customer) for customer in CUSTOMERS))
        await asyncio.sleep(0.5)


@pytest.mark.timeout(180)
async def test_partitions_spread_over_workers_and_move_as_they_come_and_go(
    floor: Floor, tmp_path: Path
) -> None:
    names = [f"w{number}" for number in range(8)]
    one = await floor.start(names[0], tmp_path / "w0.log")
    await eventually(lambda: floor.is_shared(names[:1]))

    two, three = [await floor.start(name, tmp_path / f"{name}.log") for name in names[1:3]]
    await eventually(lambda: floor.is_shared(names[:3], within=(28, 58)))

    for name in names[3:]:
        await floor.start(name, tmp_path / f"{name}.log")
    await eventually(lambda: floor.is_shared(names, within=(8, 26)), seconds=90)

    one.signal(SIGTERM)
    assert await one.wait() == 0
    two.signal(SIGKILL)
    three.signal(SIGKILL)
    await eventually(lambda: floor.is_shared(names[3:], within=(14, 40)), seconds=60)

    await floor.start(names[0], tmp_path / "w0.log")  # the same name gets the same place
    left = [names[0], *names[3:]]
    await eventually(lambda: floor.is_shared(left, within=(10, 34)), seconds=60)


@pytest.mark.timeout(180)
async def test_trades_run_once_and_in_order_whatever_becomes_of_workers(
    floor: Floor, tmp_path: Path
) -> None:
    names = ["w0", "w1", "w2"]
    one, two, three = [await floor.start(name, tmp_path / f"{name}.log") for name in names]
    await eventually(lambda: floor.is_shared(names))
    stop = asyncio.Event()
    traders = asyncio.create_task(trading(floor, stop))

    one.signal(SIGKILL)
    await eventually(lambda: floor.is_shared(names[1:]))
    two.signal(SIGSTOP)
    await eventually(lambda: floor.is_shared(names[2:]))
    two.signal(SIGCONT)  # it believes that it leads, until it finds that it stood still
    await eventually(lambda: floor.is_shared(names[1:], within=(40, 88)))
    await floor.start("w0", tmp_path / "w0.log")
    await eventually(lambda: floor.is_shared(names, within=(28, 58)))
    three.signal(SIGTERM)
    assert await three.wait() == 0
    await eventually(lambda: floor.is_shared(names[:2], within=(40, 88)))

    stop.set()
    await traders
    await floor.check()
    assert len(floor.gateway.sent) >= 3 * len(CUSTOMERS)
