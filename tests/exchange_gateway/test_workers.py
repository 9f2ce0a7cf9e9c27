"""Several workers of execution: any of them takes reports, so one that is away delays nobody."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from tests.exchange_gateway.conftest import Gateway, Scene, an_order
from tests.exchange_gateway.execution_double import ExecutionDouble
from tests.support.wait import until


@pytest.fixture
async def another(scene: Scene) -> AsyncIterator[ExecutionDouble]:
    """A second worker."""
    worker = ExecutionDouble()
    await worker.start()
    yield worker
    await worker.stop()


@asynccontextmanager
async def _gateway(scene: Scene, another: ExecutionDouble) -> AsyncIterator[Gateway]:
    """A gateway that knows both workers, the scene's own first."""
    addresses = f"127.0.0.1:{scene.execution.port}, 127.0.0.1:{another.port}"
    async with scene.gateway(execution_address=addresses) as gateway:
        await until(gateway.is_connected)
        yield gateway


async def test_reports_go_to_the_next_worker_when_one_is_away_and_stay_there(
    scene: Scene, another: ExecutionDouble
) -> None:
    async with _gateway(scene, another) as gateway:
        await gateway.submit(first := an_order())
        await until(lambda: scene.execution.is_filled(first.trade_id))
        assert another.calls == []

        scene.execution.is_away = True
        await gateway.submit(second := an_order())
        await until(lambda: another.is_filled(second.trade_id))
        assert not scene.execution.is_filled(second.trade_id)

        scene.execution.is_away = False
        await gateway.submit(third := an_order())
        await until(lambda: another.is_filled(third.trade_id))
        assert not scene.execution.is_filled(third.trade_id)


async def test_reports_go_to_the_next_worker_when_one_stands_still(
    scene: Scene, another: ExecutionDouble
) -> None:
    async with _gateway(scene, another) as gateway:
        scene.execution.answers.clear()
        await gateway.submit(order := an_order())
        await until(lambda: another.is_filled(order.trade_id), seconds=30)
        scene.execution.answers.set()


async def test_with_every_worker_away_reports_wait_for_the_first_to_come_back(
    scene: Scene, another: ExecutionDouble
) -> None:
    async with _gateway(scene, another) as gateway:
        scene.execution.is_away = another.is_away = True
        await gateway.submit(order := an_order())
        await until(scene.venue.is_acknowledged)
        another.is_away = False
        await until(lambda: another.is_filled(order.trade_id))
        assert not scene.execution.is_filled(order.trade_id)
