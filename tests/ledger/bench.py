"""Two writers of one database, without doors, and a hand that gives the turn to write."""

import asyncio
import contextlib
import logging
from collections import Counter as Tally
from collections.abc import Iterator
from typing import Any

import msgspec
import psycopg
import structlog
import uvloop

from libs.clock import SystemClock
from libs.embedded import Postgres
from libs.embedded.postgres import SUPERUSER
from libs.postgres import Pool, migrate
from services.ledger.domain.books import Result
from services.ledger.domain.corrections import Booking
from services.ledger.domain.forms import Malformed
from services.ledger.domain.memory import Memory
from services.ledger.domain.operations import Operation
from services.ledger.main import MIGRATIONS
from services.ledger.service.asking import take_all
from services.ledger.store import epochs
from services.ledger.store.history import History, read_range
from services.ledger.tenure import Tenure
from services.ledger.writer import Writer
from tests.ledger.asked import correction_of, moves_back, operation_of
from tests.ledger.words import CORRECTING, Asked, Move

TABLES = "account, hold, restraint, transfer, entry, batch"
AFRESH = """
    UPDATE journal_head SET transfer_seq = 0, account_id = 0, recorded_at = NULL, batch_seq = 0,
        batch_hash = decode(repeat('00', 32), 'hex')
"""
EXAMPLES_PER_TRUNCATE = 50
_LAST = 2**62


class Turn(Tenure):
    """A writer's turn that is given by hand."""

    def __init__(self, database_url: str) -> None:
        async def on_change(is_writer: bool) -> None:
            pass

        super().__init__(database_url, clock=SystemClock(), on_change=on_change)


class Bench:
    """Two writers of one database, without doors."""

    def __init__(self, runner: asyncio.Runner, database_url: str, superuser_url: str) -> None:
        self.run = runner.run
        self.run(migrate(database_url, MIGRATIONS))
        self.met: Tally[tuple[str, int]] = Tally()
        self.examples = 0
        self.operations = 0
        self.turns = [Turn(database_url) for _ in range(2)]
        # One decides each call in a batch, the other in many, each while the one before is written.
        self.writers = [
            Writer(database_url, tenure=turn, clock=SystemClock(), max_items=most, max_queued=100)
            for turn, most in zip(self.turns, (100, 4), strict=True)
        ]
        self.holder = -1
        self._pool = Pool(database_url, size=1)
        self.run(self._pool.open())
        self.history = History(self._pool)
        self._superuser = psycopg.connect(superuser_url, autocommit=True, prepare_threshold=2)
        self._superuser.execute("SET session_replication_role = replica")  # history may be emptied
        self.reader = self.run(
            psycopg.AsyncConnection.connect(database_url, autocommit=True, prepare_threshold=2)
        )

    def close(self) -> None:
        for writer in self.writers:
            self.run(writer.close())
        for turn in self.turns:
            turn.epoch = None
            self.run(turn.end())
        self.run(self._pool.close())
        self.run(self.reader.close())
        self._superuser.close()

    def begin(self) -> None:
        """Empty books."""
        self.examples += 1
        for writer, most in zip(self.writers, (100, 3), strict=True):  # an example is its own
            writer._memory = Memory(most=most)
        with self._superuser.pipeline():
            if self.examples % EXAMPLES_PER_TRUNCATE == 0:
                self._superuser.execute(f"TRUNCATE {TABLES}".encode())
            else:  # much faster while there is little
                for table in TABLES.split(", "):
                    self._superuser.execute(f"DELETE FROM {table}".encode())
            self._superuser.execute(AFRESH)

    def give_turn(self, writer: int) -> None:
        """The other one does not know that its turn is over."""
        if self.holder != writer:
            ((self.turns[writer].epoch,),) = self.run(self._take_turn())
            self.holder = writer

    async def _take_turn(self) -> list[tuple[Any, ...]]:
        cursor = await self.reader.execute(epochs.TAKE, {"seconds": -1})
        return await cursor.fetchall()

    def ask(self, batch: list[Asked], writer: int) -> list[Result | Malformed]:
        """All results. Raises what the service would answer the call with."""
        self.operations += len(batch)
        bookings = self._bookings(batch)

        def operation(asked: Asked) -> Operation:
            is_correction = asked.deed in CORRECTING
            return (
                correction_of(asked, bookings.get(asked.of, []))
                if is_correction
                else operation_of(asked)
            )

        return self.run(take_all(self.writers[writer], batch, operation))

    def _bookings(self, batch: list[Asked]) -> dict[str, list[Booking]]:
        """Of what the batch corrects, as the service reads it."""
        ids = [asked.of for asked in batch if asked.deed in CORRECTING]
        if not ids:
            return {}
        lines = self.run(self.history.corrections(ids))
        found = self.run(self.history.transfers([id_ for line in lines.values() for id_ in line]))
        moved = self.run(self.history.moved(found.values()))
        return {
            first: [
                Booking(
                    id=id_,
                    kind=found[id_].record.kind,
                    reference=found[id_].record.reference,
                    is_refused=bool(found[id_].record.reason),
                    moved=moved[id_],
                )
                for id_ in line
            ]
            for first, line in lines.items()
        }

    def select(self, *queries: str) -> list[list[tuple[Any, ...]]]:
        """What the database answers to each."""
        with self._superuser.pipeline():
            cursors = [self._superuser.execute(query.encode()) for query in queries]
        return [cursor.fetchall() for cursor in cursors]

    def journal(self, after: int) -> list[tuple[Any, ...]]:
        """All transfers above `after`, each with its entries, as readers are told of them."""
        return [
            (
                stored.record.id,
                stored.record.kind,
                stored.record.reason,
                stored.record.amount,
                stored.record.hold_id,
                stored.record.reverses,
                sorted(msgspec.structs.astuple(row.entry) for row in stored.entries),
            )
            for stored in self.run(read_range(self.reader, after, _LAST))
        ]

    def moves_back(self, id_: str) -> tuple[Move, ...]:
        """What a reversal of that transfer moves."""
        stored = self.run(self.history.transfers([id_]))[id_]
        return moves_back(self.run(self.history.moved([stored]))[id_])


@contextlib.contextmanager
def a_bench(postgres: Postgres, postgres_url: str) -> Iterator[Bench]:
    """A bench on a database of its own."""
    superuser_url = postgres.url(postgres_url.rpartition("/")[2], SUPERUSER)
    quiet = structlog.make_filtering_bound_logger(logging.CRITICAL)
    structlog.configure(wrapper_class=quiet)  # a line per batch is most of the time it takes
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        bench = Bench(runner, postgres_url, superuser_url)
        try:
            yield bench
        finally:
            bench.close()
            structlog.reset_defaults()
