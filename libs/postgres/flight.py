"""Connections whose pipelines send their statements together."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Any

import psycopg
from psycopg.abc import PQGen


class Flight(psycopg.AsyncPipeline):
    """A pipeline that sends nothing until somebody waits for an answer, or it ends.

    psycopg sends each statement as it comes: that is a system call each, and wakes the server up
    for each. Here they stay in its queue of commands. This leans on two inner steps of psycopg,
    sending and fetching; without them statements would only leave one by one again.
    """

    def _communicate_gen(self) -> PQGen[None]:
        """Psycopg would send and receive here, after each statement: later."""
        return
        yield

    def _fetch_gen(self, *, flush: bool) -> PQGen[None]:
        """Somebody waits: send all there is, and receive. The first fault is told."""
        try:
            yield from super()._communicate_gen()
        except psycopg.Error:
            with suppress(psycopg.Error):
                yield from super()._fetch_gen(flush=flush)
            raise
        yield from super()._fetch_gen(flush=flush)


class Connection(psycopg.AsyncConnection[Any]):
    """One whose pipelines are flights."""

    @asynccontextmanager
    async def pipeline(self) -> AsyncIterator[psycopg.AsyncPipeline]:
        """As of psycopg."""
        if self._pipeline is None:
            self._pipeline = Flight(self)
        async with super().pipeline() as pipeline:
            yield pipeline
