"""What the tests of one xdist group share, and how long."""

from contextlib import AbstractContextManager, ExitStack
from typing import TypeVar

import pytest

Thing = TypeVar("Thing")


class Groups:
    """What is open for the tests of a group is closed after the last of them.

    The fixtures that open it are of the session: else each module would start it again. A house
    that nobody asks for anything still costs a twelfth of a processor.
    """

    def __init__(self) -> None:
        self._open: dict[str, ExitStack] = {}

    def open(self, group: str, thing: AbstractContextManager[Thing]) -> Thing:
        """Enter it until the group is over."""
        return self._open.setdefault(group, ExitStack()).enter_context(thing)

    def leave(self, item: pytest.Item, next_item: pytest.Item | None) -> None:
        """A test is over, and that is the next one."""
        group = group_of(item)
        if next_item is None or group_of(next_item) != group:
            self._open.pop(group, ExitStack()).close()

    def close(self) -> None:
        """Nobody needs anything any more."""
        for group in list(self._open):
            self._open.pop(group).close()


def together(items: list[pytest.Item]) -> None:
    """Let the tests of a group stand where its first one stands, in their order."""
    places: dict[str, int] = {}
    keys = [places.setdefault(group_of(item) or item.nodeid, n) for n, item in enumerate(items)]
    items[:] = [item for _, _, item in sorted(zip(keys, range(len(items)), items, strict=True))]


def group_of(item: pytest.Item) -> str:
    """The name in `xdist_group(...)`; empty: it stands alone."""
    marker = item.get_closest_marker("xdist_group")
    return str(marker.args[0]) if marker is not None else ""
