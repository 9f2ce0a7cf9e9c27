"""What a lane does once: where it is open whether that was committed, the session begins anew."""

from collections.abc import Awaitable, Callable
from typing import TypeVar

import psycopg

from libs.refusals import Unavailable
from stockbroker.common.v1.reason_pb2 import Reason

Done = TypeVar("Done")
Work = Callable[[psycopg.AsyncConnection], Awaitable[Done]]


def once(work: Work[Done], *, unknown: str) -> Work[Done]:
    """`work`, which raises Unavailable when a lane tries it again. `unknown`: what is not known."""
    is_begun = False

    async def begun_once(connection: psycopg.AsyncConnection) -> Done:
        nonlocal is_begun
        if is_begun:
            raise Unavailable(Reason.REASON_UNAVAILABLE, f"what became of {unknown} is not known")
        is_begun = True
        return await work(connection)

    return begun_once
