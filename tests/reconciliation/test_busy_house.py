"""An honest house gives no breaks, busy or killed, and what is wrong is found all the same."""

import asyncio
import os
import signal
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import contextmanager

import grpc
import pytest
from tenacity import retry, retry_if_exception_type, stop_after_delay, wait_fixed

from stockbroker.reconciliation.v1 import reconciliation_service_pb2 as pb
from tests.reconciliation.scene import EVERY_STATE, USD, Scene
from tests.support.app import BUY, SELL
from tests.support.house import House, running_house
from tests.support.wait import until

pytestmark = [pytest.mark.xdist_group("busy_reconciliation"), pytest.mark.timeout(300)]

SOURCES = ("exchange_simulator", "exchange_gateway", "order", "ledger")
insist = retry(
    retry=retry_if_exception_type(grpc.aio.AioRpcError),
    stop=stop_after_delay(90),
    wait=wait_fixed(0.2),
    reraise=True,
)


@pytest.fixture(scope="module")
def busy_house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    """A house whose reconciliation compares often, with a grace that outlasts a slow restart."""
    folder = tmp_path_factory.mktemp("busy")
    with running_house(folder, INTERVAL_SECONDS="0.2", GRACE_SECONDS="8") as house:
        yield house


@pytest.fixture
async def scene(busy_house: House) -> AsyncIterator[Scene]:
    """The house and its operators."""
    scene = Scene(busy_house)
    yield scene
    await scene.channel.close()


async def trade(scene: Scene, customer: str, count: int) -> None:
    """Trades of a customer to their ends, BUY and SELL in turn, whatever dies meanwhile."""
    await scene.house.endow(customer, cash=10_000_000 * USD, shares={"KO": 1_000})
    async with scene.house.app(customer) as app:

        @insist
        async def place(number: int) -> str:
            side = (BUY, SELL)[number % 2]
            terms = {"client_order_id": f"{customer}-{number}"}
            return (await app.place(side, 1 + number % 7, "KO", **terms)).trade_id

        placed = {await place(number) for number in range(count)}
        await insist(app.story)(placed, seconds=120)


@insist
async def all_breaks(scene: Scene) -> list[str]:
    """Every break there ever was, in words."""
    request = pb.ListBreaksRequest(states=EVERY_STATE, page_size=1000)
    found = await scene.service.ListBreaks(request, metadata=scene.olivia, timeout=30)
    return [str(each) for each in found.breaks]


@contextmanager
def frozen(house: House, name: str) -> Iterator[None]:
    """A service that is there and does nothing."""
    pid = house.pid(name)
    os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(pid, signal.SIGCONT)


def is_another(house: House, name: str, pid: int) -> Callable[[], bool]:
    """Whether the supervisor has started it again."""
    return lambda: house.pid(name) != pid


def has_one_away(scene: Scene) -> Callable[[], Awaitable[list[pb.SourceStatus]]]:
    """The sources that are away, once there are any."""

    async def look() -> list[pb.SourceStatus]:
        return [each for each in (await scene.status()).sources if each.is_away]

    return look


async def test_a_busy_honest_run_gives_no_break(scene: Scene) -> None:
    await asyncio.gather(*(trade(scene, f"busy-{number}", 40) for number in range(8)))
    await scene.compared()

    ((made,),) = scene.change(
        "exchange_simulator", "SELECT count(*) FROM report WHERE exec_type = 2"
    )
    ((agreed, others),) = scene.change(
        "reconciliation",
        "SELECT (SELECT count(*) FROM agreed_execution), (SELECT count(*) FROM sighting)",
    )
    assert made >= 320
    assert 4 * agreed + others == 4 * made
    assert await all_breaks(scene) == []


async def test_busts_and_corrections_of_an_honest_house_give_no_break(scene: Scene) -> None:
    fills = await asyncio.gather(*(scene.a_fill(f"amended-{number}") for number in range(6)))
    await asyncio.gather(*(scene.bust(fill.execution_id) for fill in fills[::2]))

    async def correct_twice_and_bust(execution_id: str) -> None:
        once = await scene.correct(execution_id, 3)
        await scene.bust(await scene.correct(once, 5))

    await asyncio.gather(*(correct_twice_and_bust(fill.execution_id) for fill in fills[1::2]))
    await scene.compared()

    told = scene.change(
        "reconciliation",
        "SELECT source, count(*) FILTER (WHERE is_fill),"
        " count(DISTINCT amendment_id) FILTER (WHERE amendment_id <> '') FROM sighting"
        " WHERE execution_id = ANY(%s) GROUP BY source ORDER BY source",
        [fill.execution_id for fill in fills],
    )
    assert told == [(source, len(fills), 3 + 3 * 3) for source in range(1, 5)]
    assert await all_breaks(scene) == []


async def test_with_a_source_away_its_lag_is_told_and_nothing_is_a_break(scene: Scene) -> None:
    fill = await scene.a_fill("regretted")
    with frozen(scene.house, "exchange_gateway"):
        await scene.bust(fill.execution_id)
        trading = asyncio.create_task(trade(scene, "patient", 3))
        (away,) = await until(has_one_away(scene), seconds=60)
        assert away.detail
        assert away.lag_ms > 0
    await trading
    await scene.compared()
    assert await all_breaks(scene) == []


async def test_kill_9_of_it_and_of_every_source_makes_no_break_and_hides_none(
    scene: Scene,
) -> None:
    house = scene.house
    trading = asyncio.gather(*(trade(scene, f"hardy-{number}", 30) for number in range(4)))
    for victim in (*SOURCES, "reconciliation"):
        pid = house.pid(victim)
        house.kill(victim)
        await until(is_another(house, victim, pid), seconds=60)
    await trading
    await insist(scene.compared)()
    assert await all_breaks(scene) == []

    fill = await scene.a_fill("hanna")
    put = "UPDATE execution SET quantity = quantity + %s WHERE execution_id = %s"
    scene.change("order", put, 1, fill.execution_id)
    await scene.opened(fill.execution_id, "ALTERED_AT_ORDER")
    house.kill("reconciliation")
    scene.change("order", put, -1, fill.execution_id)
    assert await insist(scene.closed)(fill.execution_id) == {"AGREED"}
