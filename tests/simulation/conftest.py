"""A simulated house on this worker's PostgreSQL."""

from collections.abc import Iterator

import pytest

from libs.embedded import Postgres
from simulation.run import Tools
from simulation.tools import tools


@pytest.fixture(scope="session")
def simulated(postgres: Postgres, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Tools]:
    """What simulated runs share."""
    with tools(postgres, tmp_path_factory.mktemp("simulation"), prefix="simulated_") as shared:
        yield shared
