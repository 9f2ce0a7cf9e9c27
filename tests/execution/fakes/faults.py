"""What goes wrong at a neighbour."""

import asyncio
from collections import defaultdict
from collections.abc import Callable
from typing import Any

from libs.refusals import Unavailable
from stockbroker.common.v1.reason_pb2 import Reason

_PATIENCE_SECONDS = 60.0


class Faults:
    """What goes wrong at a neighbour.

    `is_away` fails every call; `lose` says how many answers of a method are lost after the work
    was done; `closed` methods
    are kept waiting before the work, `muted` ones after it; `poison` says which requests end in
    a fault.
    """

    def __init__(self) -> None:
        self.is_away = False
        self.lose: dict[str, int] = {}
        self.closed: set[str] = set()
        self.muted: set[str] = set()
        self.poison: Callable[[Any], bool] = lambda request: False
        self.calls: dict[str, int] = defaultdict(int)

    async def before(self, method: str, request: Any) -> None:
        """Called before the work."""
        self.calls[method] += 1
        await _while(lambda: method in self.closed)
        if self.is_away:
            raise _unavailable()
        if self.poison(request):
            raise RuntimeError("poison")

    async def after(self, method: str) -> None:
        """Called after the work."""
        await _while(lambda: method in self.muted)
        if self.lose.get(method, 0) > 0:
            self.lose[method] -= 1
            raise _unavailable()


async def _while(holds: Callable[[], bool]) -> None:
    deadline = asyncio.get_running_loop().time() + _PATIENCE_SECONDS
    while holds() and asyncio.get_running_loop().time() < deadline:
        await asyncio.sleep(0.005)


def _unavailable() -> Unavailable:
    return Unavailable(Reason.REASON_UNAVAILABLE, "away")
