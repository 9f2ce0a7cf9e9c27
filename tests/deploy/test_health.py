"""The probes ask for names that the services, started as deployed, really serve."""

import importlib
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import grpc
import msgspec
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc

from libs.proof.checkpoint import SigningKey
from libs.settings import load
from tests.deploy import services
from tests.deploy.manifests import compose, container, named, needs_kubectl, rendered
from tests.support.keys import Keys
from tests.support.wait import until

_NOBODY = "127.0.0.1:1"
_PROBES = ("startupProbe", "livenessProbe", "readinessProbe")


@pytest.fixture(params=services.WITH_DATABASE)
async def served(
    request: pytest.FixtureRequest,
    new_database: Callable[[], str],
    nats_url: str,
    keys: Keys,
    tmp_path: Path,
) -> AsyncIterator[tuple[str, "Health"]]:
    """A service that runs with the settings of docker-compose.yml, but on parts of this test."""
    name = request.param
    told = dict(compose()["services"][services.dashed(name)]["environment"])
    SigningKey.new().write(tmp_path / "seal.pem", tmp_path / "seal.pub")
    here = {
        "SIGNING_KEY_FILE": str(tmp_path / "seal.pem"),
        "DATABASE_URL": new_database(),
        "NATS_URL": nats_url,
        "JWKS_FILE": keys.jwks_file,
        "SERVICE_TOKEN_FILE": keys.token_file(name),
        "LISTEN": "127.0.0.1:0",
    }
    for variable in told:
        short = variable.removeprefix("STOCKBROKER_")
        told[variable] = here.get(short, _NOBODY if short.endswith("_ADDRESS") else told[variable])
    settings: msgspec.Struct = load(services.settings(name), told)
    async with (
        importlib.import_module(services.module(name)).house(settings) as rpc,
        grpc.aio.insecure_channel(f"127.0.0.1:{rpc.port}") as channel,
    ):
        yield name, Health(channel)


class Health:
    """What a server says of itself."""

    def __init__(self, channel: grpc.aio.Channel) -> None:
        self._check = health_pb2_grpc.HealthStub(channel).Check  # type: ignore[attr-defined]

    async def of(self, name: str) -> str:
        """SERVING, NOT_SERVING, or NOT_FOUND when the name is not served."""
        try:
            answer = await self._check(health_pb2.HealthCheckRequest(service=name), timeout=30)
        except grpc.aio.AioRpcError as error:
            return error.code().name
        return str(health_pb2.HealthCheckResponse.ServingStatus.Name(answer.status))


async def test_its_health_is_asked_for_by_names_that_it_serves(
    served: tuple[str, Health],
) -> None:
    name, health = served
    asked = {compose()["services"][services.dashed(name)]["healthcheck"]["test"][-1]}
    await _all_are_served(health, asked)
    assert await health.of("stockbroker.order.v1.OrderServices") == "NOT_FOUND"


@needs_kubectl
async def test_its_probes_ask_for_names_that_it_serves(served: tuple[str, Health]) -> None:
    name, health = served
    main = container(named(rendered("prod"), "Deployment", services.dashed(name)))
    await _all_are_served(health, {main[probe]["grpc"]["service"] for probe in _PROBES})


async def _all_are_served(health: Health, names: set[str]) -> None:
    """Ready or not: a service whose neighbours are missing may say that it is not."""
    for name in names:

        async def is_served(name: str = name) -> bool:
            return await health.of(name) in ("SERVING", "NOT_SERVING")

        await until(is_served, what=f"{name} is served")
