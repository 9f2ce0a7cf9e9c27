"""What the services themselves say of their settings, for the deployment to be held to."""

import importlib
import importlib.util
from collections.abc import Iterable
from pathlib import Path

import msgspec

from libs.settings import PREFIX
from tests.deploy.manifests import ROOT

# Programs for a person, which no platform runs.
_FOR_PEOPLE = {"chaos", "cli", "house"}
NAMES = sorted(
    path.parent.name
    for path in (ROOT / "services").glob("*/main.py")
    if path.parent.name not in _FOR_PEOPLE
)
WITH_DATABASE = [name for name in NAMES if name != "edge"]


def dashed(name: str) -> str:
    """A service's name as hosts bear it."""
    return name.replace("_", "-")


def module(name: str) -> str:
    """How its process is started: `python -m` this."""
    return f"services.{name}.main"


def settings(name: str) -> type[msgspec.Struct]:
    """Its Settings struct."""
    kind: type[msgspec.Struct] = importlib.import_module(module(name)).Settings
    return kind


def variables(name: str) -> set[str]:
    """The variables that its settings are read from."""
    return {PREFIX + field.name.upper() for field in msgspec.structs.fields(settings(name))}


def unknown(name: str, environment: Iterable[str]) -> list[str]:
    """What the environment sets in vain: no such setting."""
    ours = {variable for variable in environment if variable.startswith(PREFIX)}
    return sorted(ours - variables(name))


def migrations(name: str) -> Path:
    """Where a service with a database keeps its SQL."""
    return ROOT / "services" / name / "migrations"
