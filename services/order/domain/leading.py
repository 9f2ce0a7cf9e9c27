"""The rules of leading partitions and taking trades up."""

from collections.abc import Iterable

from libs.partition import PARTITIONS
from services.order import refusals

_DEFAULT_LIMIT = 1000
_MAX_LIMIT = 100_000
_MAX_WORKER_CHARACTERS = 128


def check_worker(name: str) -> None:
    """A worker's name is 1 to 128 printable characters. Raises Invalid."""
    if not 1 <= len(name) <= _MAX_WORKER_CHARACTERS or not name.isprintable():
        raise refusals.invalid_request("worker", "must be 1 to 128 printable characters")


def check_partitions(partitions: Iterable[int]) -> list[int]:
    """The partitions in order, each once. Raises Invalid."""
    distinct = sorted(set(partitions))
    if distinct and not (distinct[0] >= 0 and distinct[-1] < PARTITIONS):
        raise refusals.invalid_request("partitions", "must be 0 to 127 each")
    return distinct


def check_epochs(grants: Iterable[tuple[int, int]]) -> dict[int, int]:
    """Epochs by partition. Raises Invalid, also when a partition is named with two epochs."""
    pairs = set(grants)
    epochs = dict(pairs)
    check_partitions(epochs)
    if len(epochs) < len(pairs) or any(epoch < 1 for epoch in epochs.values()):
        raise refusals.invalid_request("claims", "must name each partition with one epoch")
    return epochs


def check_limit(limit: int) -> int:
    """The limit meant: 0 is 1000. Raises Invalid."""
    if not 0 <= limit <= _MAX_LIMIT:
        raise refusals.invalid_request("limit", f"must be 0 to {_MAX_LIMIT}")
    return limit or _DEFAULT_LIMIT


def check_age(older_than_ms: int) -> None:
    """Raises Invalid."""
    if older_than_ms < 0:
        raise refusals.invalid_request("older_than_ms", "must not be negative")
